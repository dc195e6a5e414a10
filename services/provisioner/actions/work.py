"""The work on deployments: which one is taken up by whom, and that it is let go of again."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio
import structlog

from services.provisioner import store
from services.provisioner.actions.attempt import Attempt, Means
from services.provisioner.domain import Phase, State
from shared.clock import Clock
from shared.ids import new_id
from shared.store import Database

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A deployment that this process works on, as long as it keeps the lease on its target."""

    deployment_id: str
    lease: str


class Work:
    """Takes up due deployments: one at a time for each target, whatever number of processes there are."""

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
        """Take a due deployment whose target nobody works on; None where there is none."""
        while await self._is_any_due(now):
            async with self._database.transaction() as tx:
                lease = new_id()
                row = await store.claim(tx, lease=lease, until=now + self._lease, now=now)
                if row is None:
                    return None
                if row.phase == Phase.START and await store.newer_deployment(tx.session, row):
                    store.finish(row, state=State.SUPERSEDED, now=now)
                    await store.end_lease(tx, lease=lease)
                    continue
                if row.phase != Phase.TIDYING:
                    row.state, row.updated_at = State.RUNNING, now
                return Claim(deployment_id=row.id, lease=lease)
        return None

    async def _is_any_due(self, now: datetime) -> bool:
        async with self._database.read() as session:
            return await store.is_any_due(session, now)

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
