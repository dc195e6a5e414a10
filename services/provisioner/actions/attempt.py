"""One attempt at one deployment: forward, step by step and each remembered, or back to what was there."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.provisioner import store
from services.provisioner.actions.accesses import Accesses, where
from services.provisioner.actions.keys import OwnKey
from services.provisioner.actions.outcomes import Change, Job
from services.provisioner.actions.targets import read_options
from services.provisioner.connectors import ReplacesInPlace, Target
from services.provisioner.connectors.renewal import Renewal, purpose
from services.provisioner.connectors.wire import Expected, Wire, until_served
from services.provisioner.domain import (
    WAY_BACK,
    DeploymentError,
    Failure,
    Material,
    NotYet,
    Phase,
    Schedule,
    pair,
)
from shared.clock import Clock
from shared.errors import EverleafError
from shared.ids import new_id
from shared.sealing import CannotOpen, Sealer, open_with
from shared.store import Database

log = structlog.get_logger(__name__)

AnyTarget = Target[Any, Any, Any]


@dataclass(frozen=True, kw_only=True)
class Means:
    """What attempts are made with."""

    sealer: Sealer
    own_key: OwnKey
    renewal: Renewal
    accesses: Accesses
    wire: Wire
    schedule: Schedule
    verify_for: timedelta
    """How long a server may take until it serves the new certificate, while it serves another one."""
    start_for: timedelta
    """How long it may take until it serves anything."""
    watch_for: timedelta = timedelta()
    """How long a certificate that is in place is watched, where no rollout says it."""
    watch_every: timedelta = timedelta(seconds=10)
    look_every: timedelta | None = None
    """How often it is looked whether what was put in place is still there; None for never."""


class NotKept(Exception):
    """The database was not reached: the target is as it was, and what was remembered last still holds."""


@contextmanager
def _our_own_trouble() -> Iterator[None]:
    # Not an error of the target, which nothing is to be put back for.
    try:
        yield
    except OSError as error:
        raise NotKept(str(error)) from error


class Attempt:
    """Takes a deployment from where it stands as far as it goes.

    What is about to be done is remembered before it is done; so after a `kill -9` at any point the
    next attempt finds in `phase` what may have happened, and goes on from what the target shows.
    """

    def __init__(self, database: Database, job: Job, *, lease: str, means: Means, clock: Clock) -> None:
        self._database = database
        self.deployment_id = job.row.id
        self._lease = lease
        self._means = means
        self._clock = clock
        self._steps: list[store.Noted] = []
        self._job = job
        self.has_let_go = False
        """Whether the lease was ended with the last change."""

    async def run(self) -> None:
        """Go forward; where that fails, go back; and remember how it ended."""
        try:
            await self._forth_or_back()
        except NotYet as later:
            row = self._job.row
            if later.reason == row.reason or (self._phase is Phase.RESTORING and row.restored is False):
                self._steps.clear()  # it was looked at before, and nothing is new
            async with self._change() as change:
                change.wait(later)

    async def _forth_or_back(self) -> None:
        error = await self._tried(self._forward)
        if error is not None and self._phase in WAY_BACK:
            async with self._change() as change:
                change.turn_back(error)
            error = await self._tried(self._put_back)
        if error is not None:
            async with self._change() as change:
                change.fail(error, schedule=self._means.schedule)

    async def _tried(self, work: Callable[[], Awaitable[None]]) -> DeploymentError | None:
        try:
            await work()
        except (store.LeaseLost, NotKept, SQLAlchemyError, NotYet):
            raise  # that is our own trouble, or none
        except Exception as error:  # noqa: BLE001 - whatever it was, the target must not be left as it is
            failed = _as_failure(error, deployment_id=self.deployment_id)
            self._note(failed.step, failed.detail, ok=False)
            return failed
        return None

    async def _forward(self) -> None:
        match self._phase:
            case Phase.START | Phase.STAGING:
                async with self._opened() as target:
                    await self._stage(target)
                    await self._bind(target)
            case Phase.BINDING:
                async with self._opened() as target:
                    await self._bind(target)
            case Phase.WATCHING:
                await self._watch()
            case Phase.TIDYING:
                async with self._opened() as target:
                    await self._tidy(target)
            case Phase.CLEARING | Phase.RESTORING:
                await self._put_back()
            case Phase.OVER:
                return

    async def _stage(self, target: AnyTarget) -> None:
        sealed, material = await self._material()
        before = await asyncio.gather(*(self._means.wire.served(each) for each in self._job.endpoints))
        self._job.begin_staging(sealed)
        await self._go_on()
        undo = await target.stage(self._job.slot, material=material, report=self._note)
        self._job.begin_binding(undo, served_before=before)
        await self._go_on()

    async def _material(self) -> tuple[bytes | None, Material]:
        """Return the key as it came, if it did, and what is put in place: neither is kept beyond the staging."""
        job = self._job
        if job.renewal.key_is_on_target:
            return None, Material(chain=job.chain, key_pem=None, waiting=job.row.order_id)
        # The key is asked for when the target has let us in.
        sealed = job.row.sealed_key or await self._released(job.row.order_id)
        material = pair(job.chain, await self._opened_key(sealed, order_id=job.row.order_id))
        self._note("compare keys", "The private key is the certificate's.")
        if issubclass(job.kind, ReplacesInPlace) and job.kind.needs_previous(job.slot):
            material = replace(material, previous=await self._previous())
        return sealed, material

    async def _previous(self) -> Material | None:
        """Return the pair that our last deployment put there, or None where there is none or its key is not to be had."""
        async with self._database.read() as session:
            renewal = await store.renewal_in_place(session, self._job.row)
        if renewal is None or renewal.key_is_on_target:
            return None
        chain = tuple(base64.b64decode(text) for text in renewal.chain)
        try:
            sealed = await self._released(renewal.order_id, of="the certificate that is in place")
        except DeploymentError as error:
            if error.failure is not Failure.KEY_REFUSED:
                raise
            self._note(error.step, f"No way back by its key: {error.detail}", ok=False)
            return None
        return pair(chain, await self._opened_key(sealed, order_id=renewal.order_id))

    async def _released(self, order_id: str, *, of: str = "the certificate") -> bytes:
        sealed = await self._means.renewal.release_key(order_id, deployment_id=self._job.row.id)
        self._note("fetch key", f"Renewal released the private key of {of}, sealed.")
        return sealed

    async def _opened_key(self, sealed: bytes, *, order_id: str) -> bytes:
        own = await self._means.own_key.opened()
        try:
            return open_with(own, sealed, purpose=purpose(order_id, deployment_id=self._job.row.id))
        except CannotOpen as error:
            raise DeploymentError(Failure.KEY_REFUSED, error.detail, step="open key") from error

    async def _bind(self, target: AnyTarget) -> None:
        job = self._job
        await target.bind(job.slot, undo=job.undo, report=self._note)
        await target.verify(job.slot, fingerprint=job.row.fingerprint, report=self._note)
        await self._see_new()
        span = timedelta(seconds=job.row.watch) if job.row.watch is not None else self._means.watch_for
        if span:
            async with self._change() as change:
                change.begin_watching(span, every=self._means.watch_every)
        else:
            await self._succeed(target)

    async def _watch(self) -> None:
        """Look once more at what is in place; where the time is over, be done with it."""
        job, means = self._job, self._means
        expected = [Expected(endpoint=each, fingerprint=job.row.fingerprint) for each in job.endpoints]
        await until_served(means.wire, expected, limit=means.verify_for, silent_limit=means.start_for)
        until = job.row.watch_until
        if until is not None and self._clock() < until:
            async with self._change() as change:
                change.watch_on(every=self._means.watch_every)
        else:
            self._note("watch", "It was served for as long as it was watched.")
            async with self._opened() as target:
                await self._succeed(target)

    async def _succeed(self, target: AnyTarget) -> None:
        row = self._job.row
        with _our_own_trouble():
            await self._keep_in_place(row)
        await self._tidy(target)

    async def _keep_in_place(self, row: store.Deployment) -> None:
        async with self._database.driven() as tx:
            change = Change(tx=tx, row=row, job=self._job, now=self._clock())
            await change.succeed(lease=self._lease, steps=self._steps, look_every=self._means.look_every)
        self._steps = []

    async def _see_new(self) -> None:
        job = self._job
        await self._until_served(
            [Expected(endpoint=each, fingerprint=job.row.fingerprint) for each in job.endpoints]
        )

    async def _until_served(self, expected: Sequence[Expected]) -> None:
        means = self._means
        await until_served(means.wire, expected, limit=means.verify_for, silent_limit=means.start_for)
        for each in expected:
            self._note("verify", f"{each.endpoint} serves {each.fingerprint}.")

    async def _tidy(self, target: AnyTarget) -> None:
        await target.tidy(undo=self._job.undo)
        self._job.end(now=self._clock())
        with _our_own_trouble():
            await store.end(self._database, self._job.row, lease=self._lease, steps=self._steps)
        self._steps = []
        self.has_let_go = True

    async def _put_back(self) -> None:
        async with self._opened() as target:
            if self._phase is Phase.CLEARING:
                await target.clear(self._job.slot)
            else:
                await target.restore(self._job.slot, undo=self._job.undo, report=self._note)
                await self._see_old_again()
        async with self._change() as change:
            change.conclude(self._means.schedule)

    async def _see_old_again(self) -> None:
        before = self._job.row.served_before or []
        await self._until_served(
            [
                Expected(endpoint=endpoint, fingerprint=fingerprint)
                for endpoint, fingerprint in zip(self._job.endpoints, before, strict=True)
                if fingerprint is not None  # where nothing was served before there is nothing to see again
            ]
        )

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[AnyTarget]:
        target, kind = self._job.target, self._job.kind
        access = self._means.accesses.of(target)
        async with kind.open(access, options=read_options(kind, target.options)) as opened:
            self._note("connect", f"Logged in to {where(target)}.")
            yield opened

    @property
    def _phase(self) -> Phase:
        return Phase(self._job.row.phase)

    def _note(self, step: str, text: str, *, ok: bool = True) -> None:
        self._steps.append(
            store.Noted(
                id=new_id(),
                deployment_id=self.deployment_id,
                attempt=self._job.row.attempt + 1,
                at=self._clock(),
                step=step,
                ok=ok,
                text=text,
            )
        )

    async def _go_on(self) -> None:
        """Keep how far it has come, and the steps since the last time, before anything more is done."""
        row = self._job.row
        row.updated_at = self._clock()
        with _our_own_trouble():
            await store.go_on(self._database, row, lease=self._lease, steps=self._steps)
        self._steps = []

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[Change]:
        """Change the row, and keep the steps since the last time, in one transaction."""
        now = self._clock()
        async with self._database.transaction() as tx:
            row = await store.held(tx, self.deployment_id, lease=self._lease)
            yield Change(tx=tx, row=row, job=self._job, now=now)
            row.updated_at = now
            await store.keep_steps(tx, self._steps)
        self._steps = []
        self._job = replace(self._job, row=row)


def _as_failure(error: Exception, *, deployment_id: str) -> DeploymentError:
    if isinstance(error, DeploymentError):
        return error
    log.error("deployment.unforeseen", deployment_id=deployment_id, exc_info=error)
    reason = error.detail if isinstance(error, EverleafError) else type(error).__name__
    return DeploymentError(Failure.UNFORESEEN, reason, step="unforeseen")
