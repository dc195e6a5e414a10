"""What renewal does by the clock: takes up due orders and revocations, orders what is due, goes on with campaigns, asks, reminds, and forgets."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from services.renewal.actions.campaign_plans import CampaignPlans
from services.renewal.actions.campaign_runs import CampaignRuns
from services.renewal.actions.revoking import Claim as Revoked
from services.renewal.actions.revoking import Revoking
from services.renewal.actions.work import Claim, Work
from shared.clock import Clock
from shared.service import Lanes, Worker

EVERY = timedelta(seconds=1)
DELETE_EVERY = timedelta(minutes=10)
APPROVALS_EVERY = timedelta(seconds=10)
DUE_EVERY = timedelta(seconds=2)
ASK_EVERY = timedelta(seconds=5)

Step = Callable[[datetime], Awaitable[bool]]


def orders(work: Work, *, clock: Clock, parallel: int) -> Lanes[Claim]:
    """Return the lanes that take up due orders."""
    return Lanes("orders", work, clock=clock, every=EVERY, parallel=parallel)


def revocations(work: Revoking, *, clock: Clock, parallel: int) -> Lanes[Revoked]:
    """Return the lanes that take up due revocations."""
    return Lanes("revocations", work, clock=clock, every=EVERY, parallel=parallel)


class Bell:
    """Wakes workers that are made later than who rings: what is decided goes on at once, not with the next look."""

    def __init__(self) -> None:
        self._ring: Sequence[Callable[[], None]] = ()

    def rings(self, *ring: Callable[[], None]) -> None:
        """Say who is woken."""
        self._ring = ring

    def ring(self) -> None:
        """Wake them."""
        for each in self._ring:
            each()


def schedules(*, due: Step, retime: Step, ask: Step, look: Step, clock: Clock) -> list[Worker]:
    """Return who orders what is due, works schedules out anew, and asks inventory and authorities for what they take."""
    return [
        Worker("due renewals", due, clock=clock, every=DUE_EVERY),
        Worker("changed schedules", retime, clock=clock, every=DUE_EVERY),
        Worker("unknown certificates", ask, clock=clock, every=ASK_EVERY),
        Worker("renewal windows", look, clock=clock, every=ASK_EVERY),
    ]


def campaigns(plans: CampaignPlans, runs: CampaignRuns, *, clock: Clock) -> list[Worker]:
    """Return who plans campaigns, and who carries them out: planning waits for others, and nobody for it."""
    return [
        Worker("campaign plans", plans.step, clock=clock, every=EVERY),
        Worker("campaigns", runs.step, clock=clock, every=EVERY),
    ]
