"""What renewal does by the clock: takes up due orders, several at a time, and looks for keys to delete."""

from datetime import timedelta

from services.renewal.actions.work import Claim, Work
from shared.clock import Clock
from shared.service import Lanes

EVERY = timedelta(seconds=1)
DELETE_EVERY = timedelta(minutes=10)


def orders(work: Work, *, clock: Clock, parallel: int) -> Lanes[Claim]:
    """Return the lanes that take up due orders."""
    return Lanes("orders", work, clock=clock, every=EVERY, parallel=parallel)
