"""Reading beside the loop: the same answers, and the loop goes on meanwhile."""

import anyio
import pytest

from services.discovery.configuration.registry import read_all
from services.discovery.connectors.apart import read_apart
from shared.errors import Unavailable
from tests.discovery.configuration.held import HeldFiles

SERVER = "server {{ listen 443 ssl; server_name s{0}.test; ssl_certificate /c/{0}.pem; ssl_certificate_key /c/{0}.key; }}\n"


def nginx(servers: int) -> HeldFiles:
    many = "".join(map(SERVER.format, range(servers)))
    return HeldFiles(
        {"/etc/nginx/nginx.conf": "http { include more/*.conf; }", "/etc/nginx/more/a.conf": many}
    )


async def test_it_reads_what_is_read_on_the_loop():
    files = nginx(3)
    readings = await read_apart(files)
    assert readings == await read_all(files)
    assert [use.certificate for reading in readings for use in reading.uses] == [
        "/c/0.pem",
        "/c/1.pem",
        "/c/2.pem",
    ]


async def test_the_loop_goes_on_while_a_long_file_is_read():
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await anyio.sleep(0.01)
            turns += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(turn)
        [reading] = await read_apart(nginx(3000))
        tasks.cancel_scope.cancel()
    assert len(reading.uses) == 3000
    assert turns > 3


async def test_a_host_that_stops_answering_is_an_error_of_the_reading():
    class Away(HeldFiles):
        async def read(self, path: str) -> bytes:
            raise Unavailable(f"{path}: no answer.", next_step="Look at the host.")

    with pytest.raises(Unavailable, match="no answer"):
        await read_apart(Away({"/etc/nginx/nginx.conf": ""}))
