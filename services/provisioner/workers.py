"""What the provisioner does by the clock: takes up due deployments and keys to be made on targets, several at a time."""

from datetime import timedelta

from services.provisioner.actions.key_work import KeyClaim, KeyWork
from services.provisioner.actions.work import Claim, Work
from shared.clock import Clock
from shared.service import Lanes

EVERY = timedelta(seconds=1)


def deployments(work: Work, *, clock: Clock, parallel: int) -> Lanes[Claim]:
    """Return the lanes that take up due deployments."""
    return Lanes("deployments", work, clock=clock, every=EVERY, parallel=parallel)


def key_requests(work: KeyWork, *, clock: Clock, parallel: int) -> Lanes[KeyClaim]:
    """Return the lanes that take up keys to be made on targets, or removed there."""
    return Lanes("keys on targets", work, clock=clock, every=EVERY, parallel=parallel)
