"""What the provisioner does by the clock: takes up due deployments, several at a time."""

from datetime import timedelta

from services.provisioner.actions.work import Claim, Work
from shared.clock import Clock
from shared.service import Lanes

EVERY = timedelta(seconds=1)


def deployments(work: Work, *, clock: Clock, parallel: int) -> Lanes[Claim]:
    """Return the lanes that take up due deployments."""
    return Lanes("deployments", work, clock=clock, every=EVERY, parallel=parallel)
