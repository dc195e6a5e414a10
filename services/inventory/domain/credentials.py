"""What an API key looks like, and which rights may be given to whom."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256

from shared.access import ROLES
from shared.errors import Fault, Invalid

PREFIX = "evl_"
RANDOM_BYTES = 20
LONGEST = timedelta(days=365)
RELEASE = "keys:release"
BRING = "requests:bring"
FOR_SERVICES = frozenset({RELEASE, BRING})
"""What only services may have."""
SINGLY = frozenset({"release", "bring", "override"})
"""Verbs that no role grants."""
VERBS = frozenset(verb for verbs in ROLES.values() for verb in verbs) | SINGLY


class Kind(StrEnum):
    """What a principal is."""

    PERSON = "person"
    MACHINE = "machine"
    SERVICE = "service"


@dataclass(frozen=True, kw_only=True)
class ServicePrincipal:
    """One of our own services that asks another one."""

    name: str
    permissions: tuple[str, ...]


SERVICES = (
    ServicePrincipal(name="provisioner", permissions=(RELEASE, BRING, "orders:read", "certificates:read")),
    ServicePrincipal(name="renewal", permissions=("bindings:read", "certificates:read")),
    ServicePrincipal(
        name="notifier",
        permissions=(
            "certificates:read",
            "policies:read",
            "exceptions:read",
            "teams:read",
            "orders:read",
            "deployments:read",
            "targets:read",
        ),
    ),
)
"""Who gets a principal and an API key at the first start."""


def api_key(random: bytes) -> str:
    """Return an API key: prefix, 160 random bits, and a checksum that tells a typing error from a wrong key."""
    digits = random.hex()
    return f"{PREFIX}{digits}{_checksum(digits)}"


def is_api_key(text: str) -> bool:
    """Return whether this could be an API key: right length, right checksum."""
    digits, checksum = text[len(PREFIX) : -8], text[-8:]
    return text.startswith(PREFIX) and len(digits) == 2 * RANDOM_BYTES and checksum == _checksum(digits)


def _checksum(digits: str) -> str:
    return f"{zlib.crc32(digits.encode('utf-8', 'replace')):08x}"


def digest(key: str) -> str:
    """Return what is kept of an API key; 160 random bits need neither salt nor stretching."""
    return sha256(key.encode("utf-8", "replace")).hexdigest()


def check_rights(*, kind: Kind, roles: Sequence[str], permissions: Sequence[str]) -> None:
    """Raise `Invalid` where a role or a permission is unknown, or may not be given to this kind."""
    faults = [
        Fault(pointer=f"/body/roles/{index}", message=f"{role!r} is no role; there are {', '.join(ROLES)}")
        for index, role in enumerate(roles)
        if role not in ROLES
    ]
    faults += [
        Fault(pointer=f"/body/permissions/{index}", message=problem)
        for index, permission in enumerate(permissions)
        if (problem := _problem(permission, kind))
    ]
    if faults:
        raise Invalid(
            "; ".join(fault.message for fault in faults), next_step="Correct the rights.", faults=faults
        )


def _problem(permission: str, kind: Kind) -> str | None:
    resource, colon, verb = permission.partition(":")
    if not (resource and colon) or verb not in VERBS:
        return f"{permission!r} is not resource:verb, with one of the verbs {', '.join(sorted(VERBS))}"
    if permission in FOR_SERVICES and kind is not Kind.SERVICE:
        return f"{permission} is for services only"
    if verb in ("approve", "override") and kind is not Kind.PERSON:
        return f"{permission} is for people; a machine approves only where it has the role `approver`"
    return None
