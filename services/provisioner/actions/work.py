"""The work on deployments: which one is taken up by whom, and that it is let go of again."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio
import structlog

from services.provisioner import store
from services.provisioner.actions.attempt import Attempt, Means
from services.provisioner.actions.gates import held, is_called_off
from services.provisioner.actions.rollouts import Rollouts
from services.provisioner.domain import Phase, State
from shared.clock import Clock
from shared.ids import new_id
from shared.store import Database, Transaction

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A deployment that this process works on, as long as it keeps the lease on its target."""

    deployment_id: str
    lease: str
    order_id: str
    binding_id: str
    rollout_id: str | None


class Work:
    """Takes up due deployments: one at a time for each target, whatever number of processes there are."""

    def __init__(
        self,
        database: Database,
        *,
        means: Means,
        rollouts: Rollouts,
        lease: timedelta,
        clock: Clock,
        per_network: int | None = None,
    ) -> None:
        """`per_network` is how many targets of a network are worked on at a time; None for any number."""
        self._database = database
        self._means = means
        self._rollouts = rollouts
        self._lease = lease
        self._clock = clock
        self._per_network = per_network

    async def forget_leases(self) -> None:
        """Let go of what a killed process held: only where there can be no other process."""
        if self._database.is_sqlite:
            async with self._database.transaction() as tx:
                await store.end_all_leases(tx)

    async def claim(self, *, now: datetime) -> Claim | None:
        """Take a due deployment whose target nobody works on, and that nothing holds; None where there is none."""
        while await self._is_any_due(now):
            async with self._database.transaction() as tx:
                lease = new_id()
                row = await store.claim(
                    tx, lease=lease, until=now + self._lease, now=now, per_network=self._per_network
                )
                if row is None:
                    return None
                if row.phase != Phase.START or await self._may_begin(tx, row, now=now):
                    if row.phase not in (Phase.TIDYING, Phase.WATCHING):
                        row.state, row.updated_at = State.RUNNING, now
                    return _claim(row, lease=lease)
                await store.end_lease(tx, lease=lease)
            if row.rollout_id is not None:
                await self._rollouts.judge(row.rollout_id, now=now)
        return None

    async def _is_any_due(self, now: datetime) -> bool:
        async with self._database.read() as session:
            return await store.is_any_due(session, now, per_network=self._per_network)

    async def _may_begin(self, tx: Transaction, row: store.Deployment, *, now: datetime) -> bool:
        """Return whether a deployment begins; where not, it is over, or remembers what it waits for."""
        if await store.newer_deployment(tx.session, row):
            store.finish(row, state=State.SUPERSEDED, now=now)
            await store.wake_those_after(tx, order_id=row.order_id, binding_id=row.binding_id, now=now)
            return False
        if await is_called_off(tx.session, row):
            store.finish(row, state=State.CANCELLED, now=now)
            return False
        hold = await held(tx.session, row, now=now)
        if hold is None:
            row.hold = row.hold_reason = None
            return True
        row.hold, row.hold_reason, row.next_attempt_at = hold.hold, hold.reason, hold.until
        if row.state in (State.PENDING, State.RUNNING):
            row.state = State.WAITING
        row.updated_at = now
        return False

    async def run(self, claim: Claim) -> None:
        """Work on a claimed deployment until it is over, or waits for something."""
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
        attempt = Attempt(
            self._database, claim.deployment_id, lease=claim.lease, means=self._means, clock=self._clock
        )
        try:
            await attempt.run()
        except Exception as error:
            log.warning("deployment.broken_off", deployment_id=claim.deployment_id, exc_info=error)
            return False
        return True

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
            await store.wake_those_after(
                tx, order_id=claim.order_id, binding_id=claim.binding_id, now=self._clock()
            )
        if claim.rollout_id is not None:
            await self._rollouts.judge(claim.rollout_id, now=self._clock())


def _claim(row: store.Deployment, *, lease: str) -> Claim:
    return Claim(
        deployment_id=row.id,
        lease=lease,
        order_id=row.order_id,
        binding_id=row.binding_id,
        rollout_id=row.rollout_id,
    )
