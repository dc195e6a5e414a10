"""Tokens of Microsoft Entra ID for an application: by client secret, or by an assertion that its certificate signs.

By Microsoft's "OAuth 2.0 client credentials flow" and "Application authentication certificate credentials".
"""

import base64
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from shared import x509
from shared.clock import Clock, utc_now
from shared.errors import Invalid
from shared.ids import new_id
from shared.tokens import Token, granted
from shared.web import WebApi

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFETIME = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Application:
    """Who asks, and by what it shows that."""

    authority: str
    """Where tokens are given, without a slash at the end."""
    tenant: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    certificate: str | None = None
    private_key: str | None = field(default=None, repr=False)

    @property
    def path(self) -> str:
        """Return the path of the token endpoint."""
        return f"/{self.tenant}/oauth2/v2.0/token"


async def entra_token(api: WebApi, application: Application, *, scope: str, clock: Clock = utc_now) -> Token:
    """Ask for a token. Raises `Refused` where the application is not let in."""
    form = {"client_id": application.client_id, "grant_type": "client_credentials", "scope": scope}
    if application.client_secret is not None:
        form["client_secret"] = application.client_secret
    else:
        form |= {"client_assertion_type": _ASSERTION, "client_assertion": _assertion(application, clock)}
    return await granted(api, application.path, form)


def _assertion(application: Application, clock: Clock) -> str:
    key, leaf = read_certificate(application.certificate or "", application.private_key or "")
    now = clock()
    claims = {
        "aud": application.authority + application.path,
        "iss": application.client_id,
        "sub": application.client_id,
        "jti": new_id(),
        "iat": now,
        "nbf": now,
        "exp": now + _LIFETIME,
    }
    thumbprint = base64.urlsafe_b64encode(sha256(leaf).digest()).decode().rstrip("=")
    return jwt.encode(claims, key, algorithm="PS256", headers={"x5t#S256": thumbprint})


def read_certificate(certificate: str, private_key: str) -> tuple[RSAPrivateKey, bytes]:
    """Return the key, and the certificate as DER. Raises `Invalid`, and quotes neither."""
    try:
        leaf = x509.from_pem(certificate)[0]
        key = load_pem_private_key(private_key.encode(), password=None)
    except (Invalid, ValueError, TypeError, UnsupportedAlgorithm):
        raise _unusable() from None
    if not isinstance(key, RSAPrivateKey) or x509.read(leaf).key_fingerprint != x509.key_fingerprint(
        key.public_key()
    ):
        raise _unusable()
    return key, leaf


def _unusable() -> Invalid:
    return Invalid(
        "The certificate and its key cannot be used.",
        next_step="Send an RSA certificate, and its key unencrypted, both as PEM.",
    )
