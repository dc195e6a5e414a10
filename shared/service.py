"""What a service is, and what a process hands to each of the services it runs."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import anyio
import anyio.abc
import httpx
import structlog
from fastapi import FastAPI

from shared.access import Verifier
from shared.acting import Acting, acting_as
from shared.audit import Audited
from shared.bus import Bus, Queue
from shared.clock import Clock
from shared.errors import Unavailable
from shared.events import Payload
from shared.http import refuse_open_routes
from shared.outbound import Policy
from shared.pkcs11 import Token
from shared.sealing import Sealer
from shared.settings import ServiceSettings, SettingsSource
from shared.store import Auditing, Database, is_away
from shared.store.measured import Measured
from shared.store.migrate import Schema
from shared.tls import client_context
from shared.trace import perhaps

log = structlog.get_logger(__name__)


class Siblings(Protocol):
    """Opens clients to the other services' APIs, by network or, in one process, without."""

    def open(
        self, name: str, *, caller: str, api_key: str | None, sealing_key: bytes | None = None
    ) -> httpx.AsyncClient:
        """Return a client whose base URL is the API of service `name` and which carries a token.

        `caller` is the asking service; `api_key` is what it exchanges for tokens (left out, the one
        made for it at first start, in the data folder); `sealing_key` is its raw X25519 public key,
        where secrets are to be sealed to it.
        """


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a server is reached: a host name or an address, and a port."""

    host: str
    port: int


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a process hands to each of its services."""

    settings: SettingsSource
    data_dir: Path
    bus: Bus
    clock: Clock
    sealer: Sealer
    verifier: Verifier
    token_issuer: str
    outbound: Policy
    siblings: Siblings
    retry_after: tuple[timedelta, ...]
    """How long a failed event waits before each further try."""
    token: Token | None = None
    """The PKCS#11 token that keys may be made in, where the settings name one."""
    own_servers: tuple[Endpoint, ...] = ()
    """What the platform itself runs on: its bus, its databases, and where this process listens."""

    def open_database(
        self, name: str, settings: ServiceSettings, *, audited: Mapping[type[Any], Audited] | None = None
    ) -> Database:
        """Open a service's own database: the one in its settings, else a file in the data folder.

        `audited` are the tables whose changes are recorded; who only prepares it says none.
        """
        auditing = Auditing(tables=audited, clock=self.clock) if audited is not None else None
        return open_database(name, settings, data_dir=self.data_dir, auditing=auditing)


def open_database(
    name: str, settings: ServiceSettings, *, data_dir: Path, auditing: Auditing | None = None
) -> Database:
    """Open a service's own database: the one in its settings, else `<name>.db` in the data folder."""
    tls = None
    if settings.database_tls_ca is not None:
        tls = client_context(
            settings.database_tls_ca,
            certificate=settings.database_tls_certificate,
            key=settings.database_tls_key,
        )
    password = settings.database_password.get_secret_value() if settings.database_password else None
    return Database(
        database_url(name, settings, data_dir=data_dir),
        source=name,
        password=password,
        tls=tls,
        auditing=auditing,
    )


def database_url(name: str, settings: ServiceSettings, *, data_dir: Path) -> str:
    """Return the URL of a service's own database."""
    return settings.database_url or f"sqlite:///{data_dir / name}.db"


@dataclass(frozen=True, kw_only=True)
class Service:
    """One of the five, assembled: its API, its work beside the API, and the queue it listens on."""

    name: str
    api: FastAPI
    database: Database
    queues: Sequence[Queue]
    emits: Sequence[type[Payload]]
    receives: Sequence[type[Payload]]
    jobs: Sequence[Callable[[], Coroutine[Any, Any, None]]]
    """Each runs until cancelled; one that raises ends the process."""
    schema: Schema | None = None
    """What its database must look like for it to work."""
    measured: Measured | None = None
    """What it tells Prometheus of its own state."""

    def __post_init__(self) -> None:
        """Raise `OpenRoute` where the API has a route that is not closed."""
        refuse_open_routes(self.api)

    async def ready(self) -> None:
        """Return when it can work. Raises `Unavailable` or `Conflict` with what stands in the way."""
        await self.database.ready()
        if self.schema is not None:
            await self.schema.require_current(self.database)

    async def work(self) -> None:
        """Run all jobs until cancelled."""
        async with anyio.create_task_group() as tasks:
            for job in self.jobs:
                tasks.start_soon(job)


class Worker:
    """Repeats a step: at once while there is more to do or when rung, else after a while."""

    def __init__(
        self,
        name: str,
        step: Callable[[datetime], Awaitable[bool]],
        *,
        clock: Clock,
        every: timedelta,
    ) -> None:
        """`step` gets the present instant and returns whether it left something to do."""
        self._name = name
        self._step = step
        self._clock = clock
        self._every = every
        self._bell = anyio.Event()

    def ring(self) -> None:
        """Wake the worker: there is something to do."""
        self._bell.set()

    async def run(self) -> None:
        """Work until cancelled. An absent database or broker is waited for; any other error ends it."""
        failures = 0
        while True:
            self._bell = anyio.Event()
            try:
                while await self._traced_step():
                    pass
                failures = 0
            except Exception as error:
                if not _passes(error):
                    raise
                failures += 1
                log.warning("worker.delayed", worker=self._name, failures=failures, error=str(error))
            pause = self._every.total_seconds() if not failures else backoff(failures)
            with anyio.move_on_after(pause):
                await self._bell.wait()

    async def _traced_step(self) -> bool:
        # What one step does belongs together, and not with the step before, nor with who has begun it all.
        with perhaps(self._name), acting_as(Acting()):
            return await self._step(self._clock())


def _passes(error: BaseException) -> bool:
    """Return whether an error says that a database or a broker was away, and nothing worse."""
    if isinstance(error, BaseExceptionGroup):
        return all(_passes(each) for each in error.exceptions)
    return isinstance(error, Unavailable | OSError) or is_away(error)


def backoff(failures: int) -> float:
    """Return how many seconds to wait after so many failures in a row: half a second to 15."""
    return min(0.25 * 2.0 ** min(failures, 10), 15.0)


Claim = TypeVar("Claim")


class Claims(Protocol[Claim]):
    """Work that is claimed piece by piece, so that no two lanes or replicas do the same."""

    async def claim(self, *, now: datetime) -> Claim | None:
        """Return a due piece, leased to the caller; None where nothing is due."""

    async def run(self, claim: Claim) -> None:
        """Do it. What fails becomes a row, never an exception: that would end the process.

        Where there is no database to write the row to, the lease runs out and the piece is claimed again.
        """


class Lanes(Generic[Claim]):
    """Works on up to `parallel` pieces at once: a slow one takes one lane, never all."""

    def __init__(
        self, name: str, work: Claims[Claim], *, clock: Clock, every: timedelta, parallel: int
    ) -> None:
        self._name = name
        self._work = work
        self._free = parallel
        self._worker = Worker(name, self._start_one, clock=clock, every=every)
        self._tasks: anyio.abc.TaskGroup

    def ring(self) -> None:
        """Wake up: something may be due."""
        self._worker.ring()

    async def run(self) -> None:
        """Work until cancelled."""
        async with anyio.create_task_group() as self._tasks:
            await self._worker.run()

    async def _start_one(self, now: datetime) -> bool:
        if self._free == 0:
            return False
        claim = await self._work.claim(now=now)
        if claim is None:
            return False
        self._free -= 1
        self._tasks.start_soon(self._one, claim)
        return True

    async def _one(self, claim: Claim) -> None:
        try:
            await self._work.run(claim)
        except Exception as error:
            if not _passes(error):
                raise
            log.warning("worker.broken_off", worker=self._name, error=str(error))
        finally:
            self._free += 1
            self.ring()
