"""Reports that can be checked without asking anybody: lines of JSON, the last of which signs those before it.

The signature is a JWS (RFC 7515) with Ed25519 (RFC 8037); what it signs says how many lines there are
and their SHA-256, so that a line which is changed, moved, added or taken away is noticed.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shared.access import SigningKey, public_keys
from shared.errors import Invalid

_TYPE = "evidence+jwt"


class Writer:
    """Writes a report line by line, and signs it at the end."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._lines = 0

    def line(self, document: Mapping[str, Any]) -> bytes:
        """Return a line, with its end."""
        return self.text(json.dumps(document, separators=(",", ":"), ensure_ascii=False))

    def text(self, text: str) -> bytes:
        """Return a line that is written already, with its end."""
        written = text.encode() + b"\n"
        self._digest.update(written)
        self._lines += 1
        return written

    def signature(
        self, key: SigningKey, *, subject: str, now: datetime, more: Mapping[str, Any] | None = None
    ) -> bytes:
        """Return the last line; `more` is what else it says."""
        claims = {
            **(more or {}),
            "iss": "everleaf",
            "sub": subject,
            "iat": int(now.timestamp()),
            "lines": self._lines,
            "sha256": self._digest.hexdigest(),
        }
        signed = jwt.encode(claims, key.private, "EdDSA", headers={"kid": key.id, "typ": _TYPE})
        return json.dumps({"signature": signed}, separators=(",", ":")).encode() + b"\n"


def verify(lines: Iterable[bytes], keys: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the signature of a report says; `keys` is a JWKS (RFC 7517).

    Raises `Invalid` where the report is not as it was signed, or was signed by none of the keys.
    """
    digest, number, last = hashlib.sha256(), 0, b""
    for line in lines:
        if last:
            digest.update(last)
            number += 1
        last = line
    claims = verify_signature(last, public_keys(keys))
    if (claims.get("lines"), claims.get("sha256")) != (number, digest.hexdigest()):
        raise _untrusted("a line was changed, moved, added or taken away")
    return claims


def verify_signature(last: bytes, keys: Mapping[str, Ed25519PublicKey]) -> Mapping[str, Any]:
    """Return what the last line says, and as `kid` who has signed it. Raises `Invalid` where it is no signature by one of the keys."""
    try:
        signed = json.loads(last)["signature"]
        header = jwt.get_unverified_header(signed)
        key = keys[header["kid"]]
        claims: Mapping[str, Any] = jwt.decode(
            signed,
            key,
            algorithms=["EdDSA"],
            issuer="everleaf",
            options={"require": ["sub", "iat"], "verify_iat": False},
        )
    except (ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
        raise _untrusted("its last line is no signature by one of the keys") from error
    if header.get("typ") != _TYPE:
        raise _untrusted("its last line signs something else")
    return {**claims, "kid": header["kid"]}


def _untrusted(reason: str) -> Invalid:
    return Invalid(
        f"The report cannot be trusted: {reason}.",
        next_step="Download it again, and the keys from the platform that has signed it.",
    )
