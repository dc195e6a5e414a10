from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
import structlog
from fastapi import FastAPI

from shared.access import Verifier
from shared.errors import Invalid, Unavailable
from shared.http import OpenRoute, create_api
from shared.service import Lanes, Service, Worker, backoff, open_database
from shared.settings import ServiceSettings, SettingsSource
from shared.store import Database
from shared.trace import trace_id
from tests.builders import ISSUER, KnownKey
from tests.servers.postgres import Postgres
from tests.servers.processes import free_port
from tests.servers.tls import CertificateAuthority

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NEVER = timedelta(hours=1)
SOON = timedelta(milliseconds=20)
Job = Callable[[], Coroutine[Any, Any, None]]


def worker(step: Callable[[datetime], Awaitable[bool]], *, every: timedelta = NEVER) -> Worker:
    return Worker("gardener", step, clock=lambda: NOW, every=every)


@asynccontextmanager
async def running(job: Job) -> AsyncIterator[None]:
    """Run a job beside the block, and cancel it at the end; what it raises comes through."""
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(job)
            yield
            tasks.cancel_scope.cancel()


class Steps:
    """Counts its steps; each does the next of what it was told, and says so if there is more."""

    def __init__(self, *script: bool | Exception) -> None:
        self.done = 0
        self.traces: list[str] = []
        self._script = list(script)
        self._stepped = anyio.Event()

    async def __call__(self, now: datetime) -> bool:
        assert now == NOW
        self.done += 1
        self.traces.append(trace_id())
        self._stepped.set()
        self._stepped = anyio.Event()
        outcome = self._script.pop(0) if self._script else False
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def reach(self, number: int) -> None:
        while self.done < number:
            await self._stepped.wait()


async def test_a_worker_goes_on_at_once_while_there_is_more_to_do_and_then_waits():
    steps = Steps(True, True, False)
    async with running(worker(steps).run):
        await steps.reach(3)
        await anyio.sleep(0.05)
    assert steps.done == 3


async def test_a_worker_looks_again_after_a_while():
    steps = Steps()
    async with running(worker(steps, every=SOON).run):
        await steps.reach(4)


async def test_a_worker_that_is_rung_does_not_wait():
    steps = Steps()
    rung = worker(steps)
    async with running(rung.run):
        await steps.reach(1)
        await anyio.sleep(0.02)
        rung.ring()
        await steps.reach(2)


async def test_a_bell_that_rings_during_a_step_is_not_missed():
    steps = Steps()

    async def ring_in_the_first(now: datetime) -> bool:
        more = await steps(now)
        if steps.done == 1:
            ringing.ring()
        return more

    ringing = worker(ring_in_the_first)
    async with running(ringing.run):
        await steps.reach(2)


def _away() -> list[Exception]:
    orig = Exception("gone")
    return [
        Unavailable("The CA is away.", next_step="Wait."),
        sa.exc.OperationalError("SELECT 1", {}, orig),
        sa.exc.InterfaceError("SELECT 1", {}, orig),
        sa.exc.DBAPIError("SELECT 1", {}, orig, connection_invalidated=True),
        sa.exc.TimeoutError(),
        ConnectionRefusedError(),
        TimeoutError(),
    ]


@pytest.mark.parametrize("error", _away(), ids=lambda error: type(error).__name__)
async def test_a_worker_waits_for_what_is_away_and_says_so(error: Exception):
    steps = Steps(error, True, False)
    with structlog.testing.capture_logs() as lines:
        async with running(worker(steps).run):
            await steps.reach(1)
            await anyio.sleep(0.02)
            assert steps.done == 1
            await steps.reach(3)
    assert [(line["event"], line["worker"]) for line in lines] == [("worker.delayed", "gardener")]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a mistake"),
        Invalid("No.", next_step="Do."),
        sa.exc.ProgrammingError("SELECT", {}, Exception()),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_any_other_error_ends_a_worker(error: Exception):
    steps = Steps(error)
    with pytest.raises(type(error)):
        await worker(steps).run()
    assert steps.done == 1


async def test_a_worker_outlives_its_database(postgres: Postgres):
    database = Database(postgres.database("garden").url, source="garden")
    steps = Steps(True, False)

    async def look(now: datetime) -> bool:
        async with database.transaction() as tx:
            process = await tx.session.scalar(sa.text("SELECT pg_backend_pid()"))
            if steps.done == 0:
                await steps(now)
                await anyio.to_thread.run_sync(postgres.sql, f"SELECT pg_terminate_backend({process})")
            await tx.session.execute(sa.text("SELECT 1"))
        return await steps(now)

    async with running(worker(look).run):
        await steps.reach(2)
    await database.close()


async def test_a_worker_stops_where_it_is_when_cancelled():
    started, ended = anyio.Event(), anyio.Event()

    async def wait(_now: datetime) -> bool:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return False

    async with running(worker(wait).run):
        await started.wait()
    assert ended.is_set()


async def test_each_step_has_a_trace_of_its_own():
    steps = Steps(True, True, False)
    async with running(worker(steps).run):
        await steps.reach(3)
    assert len(set(steps.traces)) == 3


def test_patience_grows_to_a_quarter_of_a_minute_and_never_overflows():
    assert [backoff(failures) for failures in (1, 2, 3, 6, 7, 100_000)] == [0.5, 1, 2, 15, 15, 15]


def api() -> FastAPI:
    return create_api(
        name="garden", summary="Trees.", routers=[], verifier=Verifier(KnownKey(), issuer=ISSUER)
    )


def service(tmp_path: Path, *jobs: Job, app: FastAPI | None = None) -> Service:
    return Service(
        name="garden",
        api=app or api(),
        database=Database(f"sqlite:///{tmp_path}/garden.db", source="garden"),
        queues=[],
        emits=[],
        receives=[],
        jobs=jobs,
    )


def test_a_service_with_an_open_route_cannot_be_assembled(tmp_path: Path):
    app = api()
    app.add_api_route("/open", lambda: None)
    with pytest.raises(OpenRoute, match="/open"):
        service(tmp_path, app=app)


async def test_a_job_that_fails_ends_the_others(tmp_path: Path):
    others = []

    async def fail() -> None:
        await anyio.sleep(0.01)
        raise RuntimeError("a mistake")

    async def go_on() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            others.append("ended")

    with pytest.raises(ExceptionGroup) as raised:
        await service(tmp_path, fail, go_on).work()
    assert raised.group_contains(RuntimeError, match="a mistake")
    assert others == ["ended"]


async def test_a_database_is_a_file_in_the_data_folder_unless_told_otherwise(tmp_path: Path):
    settings = SettingsSource(environ={}).load(ServiceSettings, section="garden")
    database = open_database("garden", settings, data_dir=tmp_path)
    await database.ready()
    await database.close()
    assert (tmp_path / "garden.db").exists()


async def test_a_database_from_the_settings_gets_its_password_and_its_tls(
    postgres: Postgres, tmp_path: Path, lab_ca: CertificateAuthority
):
    own = postgres.database("garden")
    environ = {
        "EVERLEAF_GARDEN_DATABASE_URL": f"postgresql://{own.user}@127.0.0.1:{own.port}/{own.name}",
        "EVERLEAF_GARDEN_DATABASE_PASSWORD": own.password,
    }
    settings = SettingsSource(environ=environ).load(ServiceSettings, section="garden")
    database = open_database("garden", settings, data_dir=tmp_path)
    await database.ready()
    await database.close()

    (tmp_path / "ca.pem").write_bytes(lab_ca.pem)
    strict = settings.model_copy(update={"database_tls_ca": tmp_path / "ca.pem"})
    verified = open_database("garden", strict, data_dir=tmp_path)
    with pytest.raises(Unavailable):  # this server does not speak TLS, and plain text will not do
        await verified.ready()
    await verified.close()


def test_a_database_ca_that_is_not_there_is_one_clear_line(tmp_path: Path):
    settings = ServiceSettings(
        database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none",
        database_tls_ca=tmp_path / "none.pem",
    )
    with pytest.raises(Invalid, match=r"none\.pem"):
        open_database("garden", settings, data_dir=tmp_path)


class Pieces:
    """Work of some pieces; each ends as the script says."""

    def __init__(self, *script: BaseException | None) -> None:
        self._script = list(script)
        self.ended = 0

    async def claim(self, *, now: datetime) -> BaseException | str | None:
        assert now == NOW
        if not self._script:
            return None
        return self._script.pop(0) or "a piece"

    async def run(self, claim: BaseException | str) -> None:
        self.ended += 1
        if isinstance(claim, BaseException):
            raise claim


async def test_a_piece_that_loses_its_database_is_left_to_its_lease_and_the_others_go_on() -> None:
    away = ExceptionGroup("two tasks of a piece", [ConnectionRefusedError(), ConnectionResetError()])
    pieces = Pieces(ConnectionResetError(), away, None)
    lanes: Lanes[BaseException | str] = Lanes("beds", pieces, clock=lambda: NOW, every=NEVER, parallel=1)
    async with running(lanes.run):
        while pieces.ended < 3:
            await anyio.sleep(0.001)


async def test_a_piece_that_breaks_ends_the_process() -> None:
    mixed = ExceptionGroup("two tasks of a piece", [ConnectionResetError(), ValueError("a bug")])
    lanes: Lanes[BaseException | str] = Lanes(
        "beds", Pieces(mixed), clock=lambda: NOW, every=NEVER, parallel=1
    )
    with pytest.raises(ExceptionGroup) as raised:
        async with running(lanes.run):
            await anyio.sleep_forever()
    assert raised.group_contains(ValueError, match="a bug")
