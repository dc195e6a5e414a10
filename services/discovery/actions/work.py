"""What is to be done for scans next: a way to be laid out comes before the ways that are."""

from datetime import datetime

from services.discovery.actions.planning import PlanClaim, Planning
from services.discovery.actions.runs import Claim, Runs


class ScanWork:
    """Claims whatever is due, and does it."""

    def __init__(self, planning: Planning, runs: Runs) -> None:
        self._planning = planning
        self._runs = runs

    async def forget_leases(self) -> None:
        """Let go of what a killed process held: only where there can be no other process."""
        await self._planning.forget_leases()
        await self._runs.forget_leases()

    async def claim(self, *, now: datetime) -> PlanClaim | Claim | None:
        """Take what is due; None where nothing is."""
        return await self._planning.claim(now=now) or await self._runs.claim(now=now)

    async def run(self, claim: PlanClaim | Claim) -> None:
        """Do it."""
        await (self._planning.run(claim) if isinstance(claim, PlanClaim) else self._runs.run(claim))
