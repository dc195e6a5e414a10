"""Sources that are listened to: a change is a run, one process holds each, and none is lost between two of them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from services.discovery import store
from services.discovery.actions import source_watches
from services.discovery.actions.accesses import Accesses
from services.discovery.actions.source_watches import PAUSE, SourceWatches, WatchClaim
from services.discovery.actions.sources import NewSource, Sources
from services.discovery.connectors import Limits, Noticed
from services.discovery.connectors.kubernetes import KubernetesCluster
from services.discovery.connectors.registry import WATCHED
from shared.access import Principal
from shared.errors import EverleafError, Refused, Unavailable
from shared.outbound import Policy
from shared.sealing import KeyEncryptionKey, Sealer
from shared.store import Database

CALLER = Principal(id="tester", name="Tester", roles=frozenset({"admin"}))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Cluster:
    """What is opened in the place of a cluster: it tells what the test says, and fails as it says."""

    is_watched = True

    def __init__(self, told: Sequence[Noticed], error: EverleafError | None) -> None:
        self.after: list[str | None] = []
        self.has_told = anyio.Event()
        self._told = told
        self._error = error

    @asynccontextmanager
    async def open(self, _access: Any) -> AsyncIterator["Cluster"]:
        yield self

    async def watch(self, *, after: str | None, notice: Any) -> None:
        self.after.append(after)
        for each in self._told:
            await notice(each)
        self.has_told.set()
        if self._error is not None:
            raise self._error
        await anyio.sleep_forever()


class Desk:
    """Sources and their watches over one database, with time in hand."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = NOW
        accesses = Accesses(database, Sealer([KeyEncryptionKey(b"k" * 32)]), limits=Limits(), policy=Policy())
        self.sources = Sources(database, accesses, ring=lambda: None)
        self.watches = SourceWatches(
            database,
            accesses=accesses,
            clock=lambda: self.now,
            lease=timedelta(seconds=0.2),
            ring=lambda: None,
        )

    async def source(self, *, every: float | None = 3600, **settings: Any) -> str:
        new = NewSource(
            name="cluster",
            kind="kubernetes",
            settings={"cluster": "c", "server": "https://c.test", **settings},
            credential={"token": "t"},
            every=every,
        )
        return (await self.sources.create(new, caller=CALLER, now=self.now)).id

    async def claim(self) -> WatchClaim:
        claim = await self.watches.claim(now=self.now)
        assert claim is not None
        return claim

    async def listen(self, cluster: Cluster, *, until: Callable[[], Awaitable[bool]] | None = None) -> None:
        """Listen until all is told (and something more is so), or until it ends."""
        claim = await self.claim()
        cluster.has_told = anyio.Event()
        async with anyio.create_task_group() as tasks:

            async def run() -> None:
                await self.watches.run(claim)
                tasks.cancel_scope.cancel()

            tasks.start_soon(run)
            with anyio.fail_after(60):
                await cluster.has_told.wait()
                while until is not None and not await until():
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()

    async def watch(self, source_id: str) -> store.SourceWatch:
        row = await self.sources.watch(source_id, caller=CALLER)
        assert row is not None
        return row

    async def runs(self, source_id: str) -> list[str]:
        found = await self.sources.runs(source_id, after=None, limit=10, caller=CALLER)
        return [run.state for run in found]

    async def set_run(self, source_id: str, state: str) -> None:
        async with self.database.transaction() as tx:
            run = await store.open_run(tx, source_id)
            assert run is not None
            run.state = state


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def tells(
    monkeypatch: pytest.MonkeyPatch, *told: Noticed, error: EverleafError | None = None, watched: bool = True
) -> Cluster:
    cluster = Cluster(told, error)
    cluster.is_watched = watched
    monkeypatch.setattr(source_watches, "readable_kind", lambda _name: cluster)
    return cluster


def news(position: str = "1") -> Noticed:
    return Noticed(position=position, is_news=True)


def quiet(position: str) -> Noticed:
    return Noticed(position=position, is_news=False)


def test_clusters_are_what_can_be_watched() -> None:
    assert (KubernetesCluster.kind,) == WATCHED


async def test_a_change_is_a_run_at_once_and_the_next_process_goes_on_where_this_one_stood(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = tells(monkeypatch, news("1"), quiet("2"))
    source = await desk.source()
    held = await desk.claim()
    assert await desk.watches.claim(now=desk.now) is None, "one process holds it"
    desk.now += timedelta(seconds=1)
    await desk.listen(cluster)
    assert held.position is None
    assert await desk.runs(source) == ["queued"]
    row = await desk.watch(source)
    assert (row.state, row.position, row.is_changed, row.lease) == ("watching", "2", False, None)
    await desk.listen(cluster)
    assert cluster.after == [None, "2"]


async def test_a_run_that_has_begun_is_followed_by_another(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tells(monkeypatch, news())
    source = await desk.source()
    await desk.sources.run(source, caller=CALLER, now=desk.now)
    await desk.set_run(source, "running")
    await desk.listen(first)
    assert (await desk.runs(source), (await desk.watch(source)).is_changed) == (["running"], True)
    await desk.set_run(source, "finished")

    async def is_followed() -> bool:
        return await desk.runs(source) == ["queued", "finished"]

    await desk.listen(tells(monkeypatch), until=is_followed)
    assert not (await desk.watch(source)).is_changed


async def test_a_run_that_has_not_begun_reads_it_and_no_other_is_added(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = tells(monkeypatch, news(), news())
    source = await desk.source()
    await desk.sources.run(source, caller=CALLER, now=desk.now)
    await desk.listen(cluster)
    assert (await desk.runs(source), (await desk.watch(source)).is_changed) == (["queued"], False)


async def test_what_changes_all_the_time_is_not_read_all_the_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = tells(monkeypatch, news())
    source = await desk.source()
    await desk.listen(cluster)
    await desk.set_run(source, "finished")
    await desk.listen(cluster)
    assert (await desk.runs(source), (await desk.watch(source)).is_changed) == (["finished"], True)
    desk.now += PAUSE
    await desk.listen(cluster)
    assert await desk.runs(source) == ["queued", "finished"]


@pytest.mark.parametrize(
    ("error", "pause"),
    [
        (Unavailable("It is away.", next_step="Wait."), timedelta(seconds=5)),
        (Refused("No.", next_step="Ask."), timedelta(hours=1)),
    ],
)
async def test_why_it_is_not_watched_is_kept_and_it_is_tried_again_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: EverleafError, pause: timedelta
) -> None:
    cluster = tells(monkeypatch, error=error)
    source = await desk.source()
    await desk.watches.run(await desk.claim())
    assert cluster.after == [None]
    row = await desk.watch(source)
    assert (row.state, row.error, row.next_step) == ("failed", error.detail, error.next_step)
    assert row.next_attempt_at == desk.now + pause
    assert await desk.watches.claim(now=desk.now) is None
    await desk.sources.renew_credential(source, {"token": "another"}, caller=CALLER, now=desk.now)
    assert (await desk.claim()).source_id == source, "a new credential is tried at once"


async def test_a_new_credential_ends_the_watch_with_the_old_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = tells(monkeypatch, quiet("1"))
    source = await desk.source()
    claim = await desk.claim()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.watches.run, claim)
        await cluster.has_told.wait()
        await desk.sources.renew_credential(source, {"token": "another"}, caller=CALLER, now=desk.now)
        with anyio.fail_after(60):
            while (await desk.watch(source)).lease is not None:
                await anyio.sleep(0.02)


async def test_what_is_not_to_be_watched_is_left_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    tells(monkeypatch, news(), watched=False)
    source = await desk.source(watch=False)
    await desk.watches.run(await desk.claim())
    assert ((await desk.watch(source)).state, await desk.runs(source)) == ("off", [])
    assert await desk.watches.claim(now=desk.now) is None
    await desk.sources.delete(source, caller=CALLER, now=desk.now)
    assert await desk.watches.claim(now=desk.now + timedelta(days=2)) is None
    unscheduled = await desk.source(every=None)
    assert await desk.watches.claim(now=desk.now) is None
    assert await desk.sources.watch(unscheduled, caller=CALLER) is None
