"""One-time tokens for step-ca: JWTs (RFC 7519) by the private key of a JWK provisioner."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Self

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import ECAlgorithm
from pydantic import SecretStr

from services.renewal.connectors.acme.jose import base64url
from shared.errors import Invalid

VALID_FOR = timedelta(minutes=5)
"""As the tokens of `step ca token`."""
_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
"""RFC 7518 §3.4, by the curve."""


@dataclass(frozen=True, kw_only=True)
class ProvisionerKey:
    """The key, and what the provisioner calls it."""

    private: ec.EllipticCurvePrivateKey = field(repr=False)
    key_id: str

    @classmethod
    def read(cls, secret: SecretStr, *, key_id: str | None) -> Self:
        """Read a private JWK or PEM; its name is `key_id`, or the JWK's `kid`, or its thumbprint. Raises `Invalid`."""
        text = secret.get_secret_value().strip()
        private, own_id = _jwk(text) if text.startswith("{") else (_pem(text), None)
        return cls(private=private, key_id=key_id or own_id or _thumbprint(private.public_key()))

    def token(
        self,
        *,
        issuer: str,
        audience: str,
        subject: str,
        token_id: str,
        now: datetime,
        claims: Mapping[str, Any],
    ) -> str:
        """Return a token that is valid for five minutes.

        It has no `iat`: step-ca refuses one before its own start, and then a clock a little behind would be enough.
        """
        told = {
            "iss": issuer,
            "aud": audience,
            "sub": subject,
            "jti": token_id,
            "nbf": now,
            "exp": now + VALID_FOR,
        }
        algorithm = _ALGORITHMS[self.private.curve.name]
        return jwt.encode({**told, **claims}, self.private, algorithm=algorithm, headers={"kid": self.key_id})


def _jwk(text: str) -> tuple[ec.EllipticCurvePrivateKey, str | None]:
    try:
        told = json.loads(text)
        if "ciphertext" in told:
            raise _unusable("it is encrypted")
        private = ECAlgorithm.from_jwk(told)
    except (ValueError, RecursionError, jwt.PyJWTError):
        raise _unusable("it is no JWK of an elliptic curve") from None  # the error may quote the key
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name not in _ALGORITHMS:
        raise _unusable("it is no private key on a curve of NIST")
    kid = told.get("kid")
    return private, kid if isinstance(kid, str) and kid else None


def _pem(text: str) -> ec.EllipticCurvePrivateKey:
    try:
        private = load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _unusable("it is no PEM, or is encrypted") from None  # the error may quote the key
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name not in _ALGORITHMS:
        raise _unusable("it is no private key on a curve of NIST")
    return private


def _thumbprint(key: ec.EllipticCurvePublicKey) -> str:
    """Return the thumbprint (RFC 7638), which step gives to its keys as `kid`."""
    jwk = ECAlgorithm.to_jwk(key, as_dict=True)
    required = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    return base64url(sha256(json.dumps(required, sort_keys=True, separators=(",", ":")).encode()).digest())


def _unusable(why: str) -> Invalid:
    return Invalid(
        f"The key of the provisioner cannot be used: {why}.",
        next_step="Send what `step crypto jwe decrypt` makes of the provisioner's `encryptedKey`, or the key as PEM.",
    )
