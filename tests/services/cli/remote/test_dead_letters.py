"""Dead letters on the terminal: seen with their reason, put back, thrown away, by an administrator only."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from typer.testing import CliRunner

from everleaf import NotSafe, Problem
from services.cli.remote.dead_letters import app
from services.run import front_door, listen, serve
from shared.access import Verifier
from shared.bus import Delivery, Message, Outcome, Queue, Verdict
from shared.bus.sqlite import SqliteBus
from shared.dead_letters import dead_letter_routes
from shared.http import create_api
from shared.service import Service
from shared.store import Database
from tests.builders import ISSUER, KnownKey, bearer

QUEUE = Queue(name="inventory.events", types=("tree.planted",), backoff=())


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """A served inventory, whose queue has two dead letters and nothing else."""
    bus, database = SqliteBus(tmp_path / "bus.db"), Database(f"sqlite:///{tmp_path}/g.db", source="inventory")
    await bus.declare([QUEUE])
    await bus.publish([Message(id=each, type="tree.planted", body=b"{}") for each in ("oak", "elm")])
    died = anyio.Event()

    async def give_up(deliveries: Sequence[Delivery]) -> list[Outcome]:
        died.set()
        return [Outcome(verdict=Verdict.DEAD, reason="no ground\x1b[31m") for _ in deliveries]

    routes = dead_letter_routes(bus, QUEUE, database)
    api = create_api(
        name="inventory", summary="A test.", routers=[routes], verifier=Verifier(KnownKey(), issuer=ISSUER)
    )
    service = Service(
        name="inventory", api=api, database=database, queues=[QUEUE], emits=[], receives=[], jobs=[]
    )
    bound = listen("127.0.0.1", 0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bus.consume, QUEUE, give_up)
        await died.wait()
        while (await bus.depth(QUEUE)).dead < 2:
            await anyio.sleep(0.01)
        tasks.start_soon(serve, front_door([service], bus), [service], bound)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        tasks.cancel_scope.cancel()
    await bus.close()
    await database.close()


async def told(tmp_path: Path, url: str, *arguments: str, role: str = "admin") -> str:
    """Run the command as somebody with a role, and return what it writes."""
    token = tmp_path / f"{role}.token"
    token.write_text(bearer(role)["Authorization"].removeprefix("Bearer "))
    asked = [*arguments, "--url", url, "--token-file", str(token)]
    result = await anyio.to_thread.run_sync(partial(CliRunner().invoke, app, asked))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


async def test_they_are_seen_with_their_reason_and_put_back_or_thrown_away(url: str, tmp_path: Path) -> None:
    seen = await told(tmp_path, url, "list", "inventory", role="viewer")
    assert "total: 2\n" in seen
    assert "tree.planted" in seen
    assert "no ground" in seen
    assert "\x1b" not in seen
    for act in ("redrive", "discard"):
        with pytest.raises(Problem, match="does not have the permission dead-letters:admin"):
            await told(tmp_path, url, act, "inventory", "--id", "oak", role="operator")
    assert await told(tmp_path, url, "discard", "inventory", "--id", "oak") == "count: 1\n"
    assert await told(tmp_path, url, "redrive", "inventory") == "count: 1\n"


async def test_a_wrong_name_and_a_plain_text_address_are_refused_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    assert "weather" in await told(tmp_path, "http://127.0.0.1:1", "list", "weather")
    with pytest.raises(NotSafe):
        await told(tmp_path, "http://everleaf.example", "list", "inventory")
