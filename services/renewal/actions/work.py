"""The work on orders: which one is taken up by whom, and that it is let go of again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio
import structlog

from services.renewal import store
from services.renewal.actions.attempt import Attempt
from services.renewal.actions.batches import MOST, Batch, may_be_batched
from services.renewal.actions.means import Means
from services.renewal.domain.orders import State
from shared.clock import Clock
from shared.ids import new_id
from shared.store import Database, Transaction
from shared.store.traces import continuing

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """An order, or several alike, that this process works on as long as it keeps the lease."""

    order_id: str
    lease: str
    is_batch: bool = False
    """Whether others of the same profile are on the same lease."""


class Work:
    """Takes up due orders, each by one process at a time."""

    def __init__(self, database: Database, *, means: Means, lease: timedelta, clock: Clock) -> None:
        self._database = database
        self._means = means
        self._lease = lease
        self._clock = clock

    async def forget_leases(self) -> None:
        """Let go of what a killed process held: only where there can be no other process."""
        if self._database.is_sqlite:
            async with self._database.transaction() as tx:
                await store.end_all_leases(tx)

    async def claim(self, *, now: datetime) -> Claim | None:
        """Take a due order that nobody works on; None where there is none."""
        async with self._database.read() as session:
            if not await store.is_any_due(session, now):
                return None
        async with self._database.transaction() as tx:
            lease, until = new_id(), now + self._lease
            order = await store.claim(tx, lease=lease, until=until, now=now)
            if order is None:
                return None
            order.state = State.ISSUING
            is_fresh = order.csr is None and order.given_csr is None and order.held_by is None
            is_batch = is_fresh and await self._claim_alike(tx, order, until=until, now=now)
            return Claim(order_id=order.id, lease=lease, is_batch=is_batch)

    async def _claim_alike(
        self, tx: Transaction, order: store.Order, *, until: datetime, now: datetime
    ) -> bool:
        if not await may_be_batched(tx, order, means=self._means):
            return False
        return await store.claim_alike(tx, order, until=until, now=now, limit=MOST - 1) > 0

    async def run(self, claim: Claim) -> None:
        """Work on a claimed order until it is over, or waits for something."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep, claim, tasks.cancel_scope)
                is_done = await self._attempt(claim)
                tasks.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._let_go(claim)
            raise
        # Where it broke off the lease is left to run out: that is the pause before it is taken up again.
        if is_done:
            await self._let_go(claim)

    async def _attempt(self, claim: Claim) -> bool:
        try:
            for order_id in await self._left_of(claim):
                attempt = Attempt(
                    self._database, order_id, lease=claim.lease, means=self._means, clock=self._clock
                )
                async with continuing(self._database, order_id, "order"):
                    await attempt.run()
        except Exception as error:
            log.warning("order.broken_off", order_id=claim.order_id, exc_info=error)
            return False
        return True

    async def _left_of(self, claim: Claim) -> Sequence[str]:
        if not claim.is_batch:
            return [claim.order_id]
        return await Batch(self._database, lease=claim.lease, means=self._means, clock=self._clock).run()

    async def _keep(self, claim: Claim, work: anyio.CancelScope) -> None:
        """Keep the lease while there is work; end the work where the lease is lost."""
        while True:
            await anyio.sleep(self._lease.total_seconds() / 3)
            until = self._clock() + self._lease
            async with self._database.transaction() as tx:
                if not await store.extend_lease(tx, lease=claim.lease, until=until):
                    work.cancel()

    async def _let_go(self, claim: Claim) -> None:
        async with self._database.transaction() as tx:
            await store.end_lease(tx, lease=claim.lease)
