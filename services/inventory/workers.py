"""What the inventory does by the clock: thresholds, overdue replacements, credentials about to end."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.inventory.actions.access import Access
from services.inventory.actions.crossings import Crossings
from services.inventory.actions.first_start import FirstStart
from services.inventory.actions.replacements import Replacements
from shared.clock import Clock
from shared.service import Worker

LOOK = timedelta(seconds=1)
"""A certificate of an hour has thresholds minutes apart; looking costs one indexed query."""
UPKEEP = timedelta(hours=1)


def workers(
    *,
    crossings: Crossings,
    replacements: Replacements,
    access: Access,
    first_start: FirstStart,
    clock: Clock,
) -> Sequence[Worker]:
    """Return the workers."""

    async def upkeep(now: datetime) -> bool:
        await first_start.prepare(now)
        await access.forget_tokens(now=now)
        return False

    return (
        Worker("crossings", crossings.cross_due, clock=clock, every=LOOK),
        Worker("replacements", replacements.settle_due, clock=clock, every=LOOK),
        Worker("upkeep", upkeep, clock=clock, every=UPKEEP),
    )
