"""What the provisioner says: a certificate is in place or could not be put there, a rollout moves, a slot was changed by others."""

from datetime import datetime
from typing import ClassVar

from shared.events import Payload
from shared.events.approvals import Asked, Settled
from shared.events.discovery import Place


class CertificateDeployed(Payload):
    """A target was seen, by a handshake of our own, to serve the new certificate."""

    type: ClassVar[str] = "certificate.deployed"

    lineage_id: str
    order_id: str
    deployment_id: str
    target: str
    """The target's name."""
    old_fingerprint: str | None
    fingerprint: str
    places: list[Place]
    """Where the handshakes were made."""
    is_last: bool
    """Whether no other deployment of this order is still to come."""
    deployed_at: datetime

    def subject(self) -> str:
        """Return the new certificate's fingerprint."""
        return self.fingerprint


class DeploymentFailed(Payload):
    """A target could not be given the new certificate; `restored` says what it serves now."""

    type: ClassVar[str] = "deployment.failed"

    lineage_id: str
    order_id: str
    deployment_id: str
    target: str
    fingerprint: str
    step: str
    """The step that failed, as the deployment's report names it."""
    reason: str
    next_step: str
    restored: bool
    """True where the previous certificate, key and configuration are in place again."""
    attempt: int
    next_attempt_at: datetime | None
    old_fingerprint: str | None = None
    """The certificate that was to be replaced."""

    def subject(self) -> str:
        """Return the deployment's id."""
        return self.deployment_id


class DeploymentAwaitingApproval(Asked):
    """A certificate is put in place only when enough people have agreed to exactly this; said again as a reminder."""

    type: ClassVar[str] = "deployment.awaiting_approval"
    where: ClassVar[str] = "/provisioner/v1/approvals"


class DeploymentApprovalSettled(Settled):
    """What `deployment.awaiting_approval` has told is over: decided, expired, void, or done without."""

    type: ClassVar[str] = "deployment.approval_settled"


class RolloutChanged(Payload):
    """A rollout has come to its next wave, has stopped, goes on, or is over."""

    type: ClassVar[str] = "rollout.changed"

    rollout_id: str
    lineage_id: str
    order_id: str
    fingerprint: str
    state: str
    """`awaiting_approval`, `running`, `stopped`, `finished`, `aborted` or `superseded`."""
    wave: int
    """The latest that has begun: 0 are the canaries, 1 is the share, 2 the rest."""
    counts: dict[str, int]
    """How many deployments are in which state."""
    reason: str | None
    """Why it has stopped, or ended early."""
    next_step: str | None
    changed_at: datetime

    def subject(self) -> str:
        """Return the rollout's id."""
        return self.rollout_id


class WindowOverridden(Payload):
    """Somebody has had a deployment begin outside of the windows of its target, or in a freeze."""

    type: ClassVar[str] = "window.overridden"

    deployment_id: str
    lineage_id: str
    target: str
    """The target's name."""
    waited_for: str
    reason: str
    overridden_by: str
    """The principal."""
    overridden_at: datetime

    def subject(self) -> str:
        """Return the deployment's id."""
        return self.deployment_id


class BindingDrifted(Payload):
    """Somebody else has put another certificate where a lineage belongs."""

    type: ClassVar[str] = "binding.drifted"

    binding_id: str
    lineage_id: str
    target: str
    """The target's name."""
    slot: str
    place: str
    """Where it was seen, as the key of a place."""
    fingerprint: str
    """The certificate that belongs there."""
    found: str
    """The one that is there."""
    is_put_right: bool
    """Whether the right one is on its way there again."""
    drifted_at: datetime

    def subject(self) -> str:
        """Return the binding's id."""
        return self.binding_id


class BindingSettled(Payload):
    """What `binding.drifted` has told is over: the lineage's certificate is in its place again."""

    type: ClassVar[str] = "binding.settled"

    binding_id: str
    lineage_id: str
    settled_at: datetime

    def subject(self) -> str:
        """Return the binding's id."""
        return self.binding_id
