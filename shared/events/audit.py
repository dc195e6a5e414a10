"""What every service says of its changes, and what is said about the trail that they are kept in."""

from datetime import datetime
from typing import Any, ClassVar

from shared.events import Payload


class ChangeRecorded(Payload):
    """Something was decided, changed, made or taken away. Written in the transaction of the change itself."""

    type: ClassVar[str] = "audit.recorded"

    sequence: int
    """The emitter counts its changes from 1, without a gap."""
    at: datetime
    actor_id: str
    """A principal, or the service itself."""
    actor_name: str
    on_behalf_of: str | None = None
    action: str
    """`channel.created`"""
    object_kind: str
    object_id: str
    object_name: str | None = None
    groups: list[str]
    lineage_id: str | None = None
    before: dict[str, Any] | None = None
    """What changed, as it was; of a secret only that there was one."""
    after: dict[str, Any] | None = None
    reason: str | None = None
    approval_id: str | None = None
    cause: str | None = None
    """The event that it is the answer to."""
    operation: str | None = None
    address: str | None = None
    agent: str | None = None
    trace_id: str

    def subject(self) -> str:
        """Return the id of what was changed."""
        return self.object_id


class TrailCheckpointed(Payload):
    """The trail up to here was signed by who keeps it; others are to co-sign it."""

    type: ClassVar[str] = "audit.checkpointed"

    number: int
    checkpoint: str
    """A JWS (RFC 7515) with Ed25519."""
    signer: dict[str, str]
    """The public key that it is signed with, as a JWK."""

    def subject(self) -> str:
        """Return the checkpoint's number."""
        return str(self.number)


class CheckpointCosigned(Payload):
    """A service has seen a checkpoint that continues the one it saw before, and says so under its own key."""

    type: ClassVar[str] = "audit.cosigned"

    number: int
    signature: str
    """A JWS (RFC 7515) with Ed25519 over the checkpoint's digest."""
    signer: dict[str, str]
    """The public key that it is signed with, as a JWK."""

    def subject(self) -> str:
        """Return the checkpoint's number."""
        return str(self.number)


class CheckpointRefused(Payload):
    """A service was told a checkpoint that cannot be the one after what it has co-signed: the trail was changed, or forged."""

    type: ClassVar[str] = "audit.refused"

    number: int
    known: int | None = None
    """The checkpoint that was co-signed last."""
    reason: str
    refused_at: datetime

    def subject(self) -> str:
        """Return the checkpoint's number."""
        return str(self.number)


SAID_BY_ALL: tuple[type[Payload], ...] = (ChangeRecorded, CheckpointCosigned, CheckpointRefused)
"""What every service emits."""
