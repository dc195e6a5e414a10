"""Signs what goes to an ACME authority: flattened JWS with ES256, and HS256 to bind an outside account."""

import base64
import json
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

Json = dict[str, Any]
"""A JSON object as the protocol has it."""
_COORDINATE = 32
"""Bytes of each part of a P-256 point or signature (RFC 7518 §3.4, §6.2.1)."""


class AccountKey:
    """The key of an ACME account (ECDSA P-256)."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    @classmethod
    def generate(cls) -> "AccountKey":
        """Make a key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_der(cls, der: bytes) -> "AccountKey":
        """Return the key that `to_der` wrote."""
        key = load_der_private_key(der, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            msg = "an account key is ECDSA"
            raise TypeError(msg)
        return cls(key)

    def to_der(self) -> bytes:
        """Return PKCS#8, to be sealed."""
        return self._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    @property
    def jwk(self) -> Json:
        """Return the public half (RFC 7517)."""
        numbers = self._key.public_key().public_numbers()
        x, y = (base64url(number.to_bytes(_COORDINATE, "big")) for number in (numbers.x, numbers.y))
        return {"crv": "P-256", "kty": "EC", "x": x, "y": y}

    @property
    def thumbprint(self) -> str:
        """Return what a key authorization ends in (RFC 7638, RFC 8555 §8.1)."""
        return base64url(
            sha256(json.dumps(self.jwk, sort_keys=True, separators=(",", ":")).encode()).digest()
        )

    def sign(self, payload: Json | None, *, protected: Json) -> Json:
        """Return a flattened JWS (RFC 7515 §7.2.2); no payload means POST-as-GET."""
        head, body = _parts(payload, {"alg": "ES256", **protected})
        r, s = utils.decode_dss_signature(
            self._key.sign(f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))
        )
        signature = r.to_bytes(_COORDINATE, "big") + s.to_bytes(_COORDINATE, "big")
        return {"protected": head, "payload": body, "signature": base64url(signature)}


def bound(jwk: Json, *, key_id: str, mac_key: bytes, url: str) -> Json:
    """Return the proof that an outside account's holder wants this key (RFC 8555 §7.3.4)."""
    head, body = _parts(jwk, {"alg": "HS256", "kid": key_id, "url": url})
    mac = hmac.HMAC(mac_key, hashes.SHA256())
    mac.update(f"{head}.{body}".encode())
    return {"protected": head, "payload": body, "signature": base64url(mac.finalize())}


def _parts(payload: Json | None, protected: Json) -> tuple[str, str]:
    body = "" if payload is None else base64url(json.dumps(payload).encode())
    return base64url(json.dumps(protected).encode()), body


def base64url(data: bytes) -> str:
    """Encode without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unbase64url(text: str) -> bytes:
    """Decode what `base64url` encoded; raises `ValueError` where it is something else."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
