"""What targets that are network devices or Windows hosts have in common: names for what is put there, and the way back.

New objects lie beside the present ones under names of their own. Binding is to point to the new ones, and the way back is to
point to the old ones again: that needs no key that we do not have. What we have put there ourselves is told from what others
have by its name, and only that is ever removed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

from pydantic import Field, SecretStr

from services.provisioner.connectors import Part, Slot
from services.provisioner.connectors.web import failures
from services.provisioner.domain import DeploymentError, Failure, Material
from shared.appliances.refusals import ChangeRefused, Locked, Mismatch, NoSpace
from shared.errors import Conflict, EverleafError

_OURS = "everleaf"
SHORT = 12
"""Characters of a fingerprint that are in a name."""
_MEANINGS: tuple[tuple[type[EverleafError], Failure], ...] = (
    (NoSpace, Failure.DISK_FULL),
    (Mismatch, Failure.PAIR_MISMATCH),
    (Locked, Failure.CONFLICT),
    (Conflict, Failure.CONFLICT),
    (ChangeRefused, Failure.REJECTED),
)
"""What devices say beside what every API does; the first that fits."""


class DeviceOptions(Part):
    """Where a device's API is."""

    url: str = Field(
        pattern=r"^https://[^\s/?#@\\]+/?$",
        max_length=260,
        description="The address of its web interface; a name or IP address, and a port if it is not 443.",
        examples=["https://lb-1.example.com"],
    )
    trusted_ca: str | None = Field(
        None, max_length=100_000, description="PEM of the CA of the web interface, where it is no public one."
    )


class Account(Part):
    """A user and its password."""

    username: str = Field(min_length=1, max_length=127, pattern=r"^[^\x00-\x1f:]+$", examples=["everleaf"])
    password: SecretStr = Field(min_length=1, max_length=500)


WHERE = frozenset({"url", "trusted_ca"})
"""The options that decide who gets to see a credential."""


def prefix(slot: Slot) -> str:
    """Return what the names of all that we put there for a slot begin with."""
    return f"{_OURS}-{sha256(slot.key.encode()).hexdigest()[:8]}-"


def name_of(slot: Slot, material: Material) -> str:
    """Return the name of a new object: the same for the same certificate, so that every step finds its own again.

    It has 30 characters: older versions of PAN-OS take no more than 31, FortiOS 35.
    """
    return f"{prefix(slot)}{material.fingerprint[:SHORT]}"


@contextmanager
def told(step: str) -> Iterator[None]:
    """Turn what a device says into failures at this step."""
    with failures(step):
        try:
            yield
        except EverleafError as error:
            meant = (failure for kind, failure in _MEANINGS if isinstance(error, kind))
            failure = next(meant, None)
            if failure is None or isinstance(error, DeploymentError):
                raise
            raise DeploymentError(failure, error.detail, step=step) from error
