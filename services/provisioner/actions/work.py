"""The work on deployments: which one is taken up by whom, and that it is let go of again."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import anyio
import structlog

from services.provisioner import store
from services.provisioner.actions.attempt import Attempt, Means
from services.provisioner.actions.gates import held, is_called_off
from services.provisioner.actions.outcomes import Job
from services.provisioner.actions.permits import Permits
from services.provisioner.actions.rollouts import Rollouts
from services.provisioner.domain import Phase, State
from shared.clock import Clock
from shared.ids import new_id
from shared.store import Database, Transaction
from shared.store.traces import continuing

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A deployment that this process works on, as long as it keeps the lease on its target."""

    whole: store.Whole
    """As it was when it was claimed."""
    lease: str

    @property
    def deployment_id(self) -> str:
        """Return which deployment it is."""
        return self.whole.deployment.id


class Work:
    """Takes up due deployments: one at a time for each target, whatever number of processes there are."""

    def __init__(
        self,
        database: Database,
        *,
        means: Means,
        rollouts: Rollouts,
        permits: Permits,
        lease: timedelta,
        clock: Clock,
        per_network: int | None = None,
    ) -> None:
        """`per_network` is how many targets of a network are worked on at a time; None for any number."""
        self._database = database
        self._means = means
        self._rollouts = rollouts
        self._permits = permits
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
            lease = new_id()
            until = now + self._lease
            claimed = await store.claim(
                self._database, lease=lease, until=until, now=now, per_network=self._per_network
            )
            if claimed is None:
                return None
            whole = claimed.whole
            if claimed.has_begun:
                return Claim(whole=whole, lease=lease)
            row = await self._taken_up(whole, lease=lease, now=now)
            if row is not None:
                return Claim(whole=replace(whole, deployment=row), lease=lease)
            if whole.deployment.rollout_id is not None:
                await self._rollouts.judge(whole.deployment.rollout_id, now=now)
        return None

    async def _taken_up(self, whole: store.Whole, *, lease: str, now: datetime) -> store.Deployment | None:
        """Return a deployment that goes on, or may begin; None where not, and its target is let go of."""
        async with self._database.transaction() as tx:
            row = await store.held(tx, whole.deployment.id, lease=lease)
            if row.phase != Phase.START or await self._may_begin(tx, row, now=now):
                if row.phase not in (Phase.TIDYING, Phase.WATCHING):
                    row.state, row.updated_at = State.RUNNING, now
                return row
            await store.end_lease(tx, lease=lease)
        return None

    async def _is_any_due(self, now: datetime) -> bool:
        if not self._database.is_sqlite:
            return True  # to claim nothing keeps nobody waiting there
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
        await self._permits.ask(tx, row, hold.rules, now=now)
        return False

    async def run(self, claim: Claim) -> None:
        """Work on a claimed deployment until it is over, or waits for something."""
        attempt = self._attempt_at(claim)
        is_done = False
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep, attempt, claim, tasks.cancel_scope)
                is_done = await self._attempt(attempt)
                tasks.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._let_go(claim)
                await self._judge(claim)
            raise
        # Where it broke off the lease is left to run out: that is the pause before it is taken up again.
        if is_done and not attempt.has_let_go:
            await self._let_go(claim)
        if is_done:
            await self._judge(claim)

    def _attempt_at(self, claim: Claim) -> Attempt:
        whole, means = claim.whole, self._means
        job = Job(
            row=whole.deployment,
            binding=whole.binding,
            target=whole.target,
            renewal=whole.renewal,
            sealer=means.sealer,
        )
        return Attempt(self._database, job, lease=claim.lease, means=means, clock=self._clock)

    async def _attempt(self, attempt: Attempt) -> bool:
        try:
            async with continuing(self._database, attempt.deployment_id, "deploy"):
                await attempt.run()
        except Exception as error:
            log.warning("deployment.broken_off", deployment_id=attempt.deployment_id, exc_info=error)
            return False
        return True

    async def _keep(self, attempt: Attempt, claim: Claim, work: anyio.CancelScope) -> None:
        """Keep the lease while there is work; end the work where the lease is lost."""
        while True:
            await anyio.sleep(self._lease.total_seconds() / 3)
            until = self._clock() + self._lease
            async with self._database.transaction() as tx:
                is_kept = await store.extend_lease(tx, lease=claim.lease, until=until)
                if not is_kept and not attempt.has_let_go:
                    work.cancel()

    async def _let_go(self, claim: Claim) -> None:
        async with self._database.transaction() as tx:
            await store.let_go(tx, claim.whole.deployment, lease=claim.lease, now=self._clock())

    async def _judge(self, claim: Claim) -> None:
        rollout_id = claim.whole.deployment.rollout_id
        if rollout_id is not None:
            await self._rollouts.judge(rollout_id, now=self._clock())
