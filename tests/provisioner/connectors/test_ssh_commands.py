import asyncio
from pathlib import Path

import pytest

from services.provisioner.connectors.ssh import logged_in
from services.provisioner.connectors.ssh_commands import run_command
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import access
from tests.servers.ssh import Sshd


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        ("true", 0, ""),
        ("echo out; echo err >&2; exit 3", 3, "out\nerr\n"),
        ("cat", 0, "given: \u00e4"),
    ],
)
async def test_a_command_is_run_with_what_it_is_given_and_its_words_come_back(
    host: SshHost, command: str, status: int, words: str
):
    async with logged_in(access(host)) as connection:
        given = "given: \u00e4" if command == "cat" else None
        assert await run_command(connection, command, given=given, keep=100) == (status, words)


async def test_of_endless_words_the_end_is_kept(host: SshHost):
    async with logged_in(access(host)) as connection:
        _, words = await run_command(connection, "yes \u00e4 | head -n 500000; echo end", given=None, keep=20)
    assert words.endswith("\u00e4\nend\n")
    assert 20 < len(words) <= 84


async def test_a_connection_that_is_lost_meanwhile_gives_no_status(host: SshHost):
    async with logged_in(access(host, command=30)) as connection:
        running = asyncio.create_task(run_command(connection, "sleep 20", given=None, keep=100))
        while not host.commands:
            await asyncio.sleep(0.01)
        connection.abort()
        status, _ = await running
    assert status is None


async def test_what_a_signal_ends_has_no_status_of_its_own_and_what_is_no_text_is_shown_as_such(
    tmp_path: Path,
):
    server = Sshd(tmp_path)
    server.start()
    try:
        async with logged_in(access(server)) as connection:
            ended = await run_command(connection, r"printf 'a\377b'; kill -9 $$", given=None, keep=100)
    finally:
        server.stop()
    assert ended == (-1, "a\ufffdb")
