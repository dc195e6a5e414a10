"""What the provisioner says: a certificate is in place on a target, or could not be put there."""

from datetime import datetime
from typing import ClassVar

from shared.events import Payload
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
