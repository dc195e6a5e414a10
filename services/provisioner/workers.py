"""What the provisioner does by the clock: takes up deployments and keys on targets, goes on with rollouts, looks, reminds."""

from collections.abc import Callable
from datetime import timedelta

from services.provisioner.actions.drifts import Drifts
from services.provisioner.actions.key_work import KeyClaim, KeyWork
from services.provisioner.actions.rollouts import Rollouts
from services.provisioner.actions.work import Claim, Work
from shared.approvals.actions import Approvals
from shared.clock import Clock
from shared.service import Lanes, Worker

EVERY = timedelta(seconds=1)
LOOK_EVERY = timedelta(seconds=10)


def deployments(work: Work, *, clock: Clock, parallel: int) -> Lanes[Claim]:
    """Return the lanes that take up due deployments."""
    return Lanes("deployments", work, clock=clock, every=EVERY, parallel=parallel)


def key_requests(work: KeyWork, *, clock: Clock, parallel: int) -> Lanes[KeyClaim]:
    """Return the lanes that take up keys to be made on targets, or removed there."""
    return Lanes("keys on targets", work, clock=clock, every=EVERY, parallel=parallel)


class Bell:
    """Wakes the lanes, which are made later than who rings."""

    def __init__(self) -> None:
        self._ring: Callable[[], None] | None = None

    def rings(self, ring: Callable[[], None]) -> None:
        """Say who is woken."""
        self._ring = ring

    def ring(self) -> None:
        """Wake them."""
        if self._ring is not None:
            self._ring()


def others(rollouts: Rollouts, drifts: Drifts, approvals: Approvals, *, clock: Clock) -> list[Worker]:
    """Return who goes on with rollouts, looks at what is bound, and reminds of what waits for an approval."""
    return [
        Worker("rollouts", rollouts.look, clock=clock, every=EVERY),
        Worker("bound slots", drifts.look, clock=clock, every=LOOK_EVERY),
        Worker("approvals", approvals.look_at_due, clock=clock, every=LOOK_EVERY),
    ]
