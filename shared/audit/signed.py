"""What is signed about the trail: checkpoints, others' signatures on them, and tombstones of what was let go.

All are JWS (RFC 7515) with Ed25519 (RFC 8037) and a type of their own, so that none can be taken for another, nor for a token.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shared.access import SigningKey
from shared.errors import Invalid


class Kind(StrEnum):
    """What a signature is about."""

    CHECKPOINT = "audit-checkpoint+jwt"
    """The trail is this up to here."""
    COSIGNATURE = "audit-cosignature+jwt"
    """A checkpoint was seen, and continues the one seen before."""
    TOMBSTONE = "audit-tombstone+jwt"
    """These entries were let go, as the policy has it."""


def signed(kind: Kind, claims: Mapping[str, Any], key: SigningKey, *, now: datetime) -> str:
    """Return a JWS over the claims."""
    whole = {"iss": "everleaf", "iat": int(now.timestamp()), **claims}
    return jwt.encode(whole, key.private, "EdDSA", headers={"kid": key.id, "typ": kind.value})


def opened(kind: Kind, token: str, keys: Mapping[str, Ed25519PublicKey]) -> tuple[str, Mapping[str, Any]]:
    """Return the id of the key and the claims. Raises `Invalid` where none of the keys has signed this."""
    try:
        header = jwt.get_unverified_header(token)
        claims: Mapping[str, Any] = jwt.decode(
            token,
            keys[header["kid"]],
            algorithms=["EdDSA"],
            issuer="everleaf",
            # It is proof for years, and its time is what it tells, not what it needs.
            options={"require": ["iat"], "verify_iat": False},
        )
    except (KeyError, jwt.PyJWTError) as error:
        raise _untrusted("it is signed by none of the keys") from error
    if header.get("typ") != kind.value:
        raise _untrusted("it signs something else")
    return str(header["kid"]), claims


def digest(token: str) -> str:
    """Return what a JWS is called by those that refer to it."""
    return sha256(token.encode()).hexdigest()


def _untrusted(reason: str) -> Invalid:
    return Invalid(
        f"The signature cannot be trusted: {reason}.",
        next_step="Compare the keys with those that the services publish at /v1/audit-keys.",
    )
