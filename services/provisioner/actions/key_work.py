"""The work on keys that are made on targets: make and bring the request, or remove what waits in vain."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from services.provisioner import store
from services.provisioner.actions.accesses import Accesses
from services.provisioner.actions.targets import read_options, read_slot
from services.provisioner.connectors import MakesKeys, WantedKey
from services.provisioner.connectors.registry import target_kind
from services.provisioner.connectors.renewal import NotWaiting, Renewal
from services.provisioner.domain import DeploymentError, Failure, Schedule
from services.provisioner.domain.key_requests import KeyState, Unfit, unfit
from shared.clock import Clock
from shared.errors import EverleafError
from shared.ids import new_id
from shared.store import Database

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class KeyClaim:
    """A request for a key that this process works on until the lease runs out."""

    order_id: str
    lease: str


class KeyWork:
    """Takes up due requests for keys, each by one process at a time; whatever is done on a target may be repeated."""

    def __init__(
        self,
        database: Database,
        *,
        renewal: Renewal,
        accesses: Accesses,
        schedule: Schedule,
        lease: timedelta,
        clock: Clock,
    ) -> None:
        """`lease` is also the longest that one attempt may take."""
        self._database = database
        self._renewal = renewal
        self._accesses = accesses
        self._schedule = schedule
        self._lease = lease
        self._clock = clock

    async def forget_leases(self) -> None:
        """Let go of what a killed process held: only where there can be no other process."""
        if self._database.is_sqlite:
            async with self._database.transaction() as tx:
                await store.end_all_key_leases(tx)

    async def claim(self, *, now: datetime) -> KeyClaim | None:
        """Take a due request that nobody works on; None where there is none."""
        async with self._database.read() as session:
            if not await store.is_any_key_due(session, now):
                return None
        async with self._database.transaction() as tx:
            lease = new_id()
            row = await store.claim_key(tx, lease=lease, until=now + self._lease, now=now)
            return KeyClaim(order_id=row.order_id, lease=lease) if row is not None else None

    async def run(self, claim: KeyClaim) -> None:
        """Work on a claimed request once; what fails is remembered and tried again."""
        try:
            await self._attempt(claim)
        except Exception as error:
            # The lease is left to run out: that is the pause before it is taken up again.
            log.warning("key_request.broken_off", order_id=claim.order_id, exc_info=error)

    async def _attempt(self, claim: KeyClaim) -> None:
        async with self._database.read() as session:
            row = await session.get_one(store.KeyRequest, claim.order_id)
        work = self._clear if row.state == KeyState.CLEARING else self._make
        try:
            async with asyncio.timeout(self._lease.total_seconds()):
                await work(claim, row)
        except DeploymentError as error:
            await self._failed(claim, row, error)
        except TimeoutError:
            reason = "The target took too long."
            await self._failed(claim, row, DeploymentError(Failure.UNREACHABLE, reason, step="make key"))
        except EverleafError as error:
            failure = DeploymentError(Failure.UNFORESEEN, error.detail, step="make key")
            await self._failed(claim, row, failure)

    async def _make(self, claim: KeyClaim, row: store.KeyRequest) -> None:
        binding, fault = await self._place(row.lineage_id)
        if binding is None or fault is not None:
            await self._refuse(claim, row, fault)
            return
        if row.binding_id not in (None, binding.id):
            await self._drop(row)
        async with self._held(claim) as held:
            # Kept before anything is there: so it is found again and removed, whatever happens.
            held.binding_id, held.target_id, held.slot = binding.id, binding.target_id, binding.slot
        wanted = WantedKey(order_id=row.order_id, names=row.names, key_type=row.key_type)
        async with self._opened(binding.target_id, binding.slot) as (target, slot):
            csr = await target.make_key(slot, wanted=wanted)
        try:
            await self._renewal.bring_request(row.order_id, csr)
            state = KeyState.BROUGHT
        except NotWaiting:
            is_over = await self._renewal.is_failed(row.order_id)
            state = KeyState.CLEARING if is_over else KeyState.BROUGHT
        await self._conclude(claim, before=KeyState.WANTED, after=state)

    async def _place(self, lineage_id: str) -> tuple[store.Binding | None, Unfit | None]:
        """Return the only binding of a lineage, and why no key can be made there."""
        async with self._database.read() as session:
            bindings = await store.bindings_of_lineage(session, lineage_id)
            obstacle = None
            if len(bindings) == 1:
                target = await session.get_one(store.Target, bindings[0].target_id)
                kind = target_kind(target.kind)
                obstacle = f"No keys are made on targets of the kind {target.kind}."
                if issubclass(kind, MakesKeys):
                    obstacle = kind.cannot_make_key(read_slot(kind, bindings[0].slot))
        fault = unfit([each.slot_key for each in bindings], obstacle=obstacle)
        return next(iter(bindings), None), fault

    async def _refuse(self, claim: KeyClaim, row: store.KeyRequest, fault: Unfit | None) -> None:
        if fault is not None:
            try:
                await self._renewal.refuse_request(
                    row.order_id, reason=fault.reason, what_to_do=fault.what_to_do, is_final=True
                )
            except NotWaiting:
                log.info("key_request.not_waiting", order_id=row.order_id)
        reason = fault.reason if fault is not None else None
        await self._conclude(claim, before=KeyState.WANTED, after=KeyState.CLEARING, error=reason)

    async def _clear(self, claim: KeyClaim, row: store.KeyRequest) -> None:
        await self._drop(row)
        await self._conclude(claim, before=KeyState.CLEARING, after=KeyState.OVER)

    async def _drop(self, row: store.KeyRequest) -> None:
        if row.target_id is None or row.slot is None:
            return
        async with self._database.read() as session:
            if await session.get(store.Target, row.target_id) is None:
                return  # nobody knows any more how to log in there
        async with self._opened(row.target_id, row.slot) as (target, slot):
            await target.drop_key(slot, order_id=row.order_id)

    @asynccontextmanager
    async def _opened(self, target_id: str, document: Any) -> AsyncIterator[tuple[MakesKeys[Any], Any]]:
        async with self._database.read() as session:
            row = await session.get_one(store.Target, target_id)
        kind = target_kind(row.kind)
        access, options = self._accesses.of(row), read_options(kind, row.options)
        async with kind.open(access, options=options) as target:
            if not isinstance(target, MakesKeys):
                raise DeploymentError(Failure.KEY_NOT_MADE, f"{row.kind} makes no keys.", step="make key")
            yield target, read_slot(kind, document)

    async def _conclude(
        self, claim: KeyClaim, *, before: KeyState, after: KeyState, error: str | None = None
    ) -> None:
        async with self._held(claim) as row:
            row.lease = row.lease_until = None
            row.last_error = error or row.last_error
            if row.state != before:
                return  # somebody has said meanwhile what comes next, and when
            row.state, row.attempts = after, 0
            row.next_attempt_at = self._clock() if after is KeyState.CLEARING else None

    async def _failed(self, claim: KeyClaim, seen: store.KeyRequest, error: DeploymentError) -> None:
        log.info("key_request.failed", order_id=claim.order_id, reason=error.detail, step=error.step)
        if seen.state == KeyState.WANTED:
            await self._tell(seen, error)
        async with self._held(claim) as row:
            now = self._clock()
            row.lease = row.lease_until = None
            row.last_error = error.detail
            if row.state != seen.state:
                return
            row.attempts += 1
            if row.state == KeyState.WANTED and now > row.expires_at:
                row.state, row.next_attempt_at = KeyState.CLEARING, now
            else:
                row.next_attempt_at = self._schedule.next_repair(attempt=row.attempts, now=now)

    async def _tell(self, row: store.KeyRequest, error: DeploymentError) -> None:
        """Say in renewal, where the order is looked at, why it still waits."""
        try:
            await self._renewal.refuse_request(
                row.order_id, reason=error.detail, what_to_do=error.next_step, is_final=False
            )
        except (NotWaiting, DeploymentError) as other:
            log.info("key_request.untold", order_id=row.order_id, reason=str(other))

    @asynccontextmanager
    async def _held(self, claim: KeyClaim) -> AsyncIterator[store.KeyRequest]:
        async with self._database.transaction() as tx:
            row = await store.held_key(tx, claim.order_id, lease=claim.lease)
            if row is None:
                raise store.LeaseLost
            yield row
            row.updated_at = self._clock()
