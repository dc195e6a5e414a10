"""Who is asking, and what they may do. Closed by default.

Tokens are JWTs signed with Ed25519 (RFC 8725, RFC 9068) and verified offline. A permission is
`resource:verb`; a role grants verbs on every resource, and a token may carry single permissions
beside. Whether this caller may touch *this* object is decided in the actions.
"""

import base64
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Protocol

import anyio
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shared.errors import Forbidden, Unauthenticated, Unavailable

AUDIENCE = "everleaf"
LEEWAY = timedelta(seconds=60)
_TYPES = ("at+jwt", "application/at+jwt")  # RFC 9068 §4: no other token of the same issuer will do

ROLES: Mapping[str, frozenset[str]] = {
    "viewer": frozenset({"read"}),
    "auditor": frozenset({"read", "audit"}),
    "approver": frozenset({"read", "approve"}),
    "operator": frozenset({"read", "write"}),
    "admin": frozenset({"read", "write", "approve", "audit", "admin"}),
}
"""The verbs each role grants on every resource. No role may take private keys: `keys:release`
is given singly, to the principal of the service that puts them in place."""


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A caller, as the token describes it."""

    id: str
    name: str
    roles: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    """The groups the roles are scoped to; empty means all."""
    sealing_key: bytes | None = None
    """The raw X25519 key that secrets for this caller are sealed to (claim `cnf`, RFC 7800)."""

    def may(self, permission: str) -> bool:
        """Return whether role or permission grants `resource:verb`."""
        verb = permission.split(":")[1]
        return permission in self.permissions or any(verb in ROLES.get(role, ()) for role in self.roles)

    def require(self, permission: str) -> None:
        """Raise `Forbidden` where the permission is not granted."""
        if not self.may(permission):
            raise Forbidden(
                f"{self.name} does not have the permission {permission}.",
                next_step="Ask an administrator for a role that grants it.",
            )


class KeySource(Protocol):
    """Where the public keys come from that tokens are verified with."""

    async def key(self, key_id: str) -> Ed25519PublicKey | None:
        """Return the key of this id, or None."""


class Verifier:
    """Turns a bearer token into a principal, or says why not."""

    def __init__(self, keys: KeySource, *, issuer: str) -> None:
        self._keys = keys
        self._issuer = issuer

    async def verify(self, token: str) -> Principal:
        """Return who the token speaks for. Raises `Unauthenticated`."""
        try:
            header = jwt.get_unverified_header(token)
            if str(header.get("typ", "")).lower() not in _TYPES:
                raise _untrusted("it is not an access token")
            key = await self._keys.key(str(header.get("kid", "")))
            if key is None:
                raise _untrusted("it is signed with an unknown key")
            claims = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                audience=AUDIENCE,
                issuer=self._issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "sub", "jti"]},
            )
        except jwt.PyJWTError as error:
            raise _untrusted(str(error)) from error
        return _principal(claims)


def _untrusted(reason: str) -> Unauthenticated:
    return Unauthenticated(
        f"The token is not accepted: {reason}.",
        next_step="Get a new token and send it as `Authorization: Bearer …`.",
    )


def _principal(claims: Mapping[str, Any]) -> Principal:
    confirmation = claims.get("cnf", {}).get("jwk", {})
    return Principal(
        id=claims["sub"],
        name=claims.get("name", claims["sub"]),
        roles=frozenset(claims.get("roles", ())),
        permissions=frozenset(claims.get("permissions", ())),
        groups=frozenset(claims.get("groups", ())),
        sealing_key=unbase64url(confirmation["x"]) if "x" in confirmation else None,
    )


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """The Ed25519 key that tokens are signed with, and the id verifiers know it by."""

    id: str
    private: Ed25519PrivateKey

    def jwk(self) -> dict[str, str]:
        """Return the public half as a JWK (RFC 8037)."""
        return {
            "kty": "OKP",
            "crv": "Ed25519",
            "use": "sig",
            "alg": "EdDSA",
            "kid": self.id,
            "x": base64url(self.private.public_key().public_bytes_raw()),
        }

    def token(
        self, principal: Principal, *, issuer: str, token_id: str, now: datetime, lifetime: timedelta
    ) -> str:
        """Return a signed token for the principal."""
        claims: dict[str, Any] = {
            "iss": issuer,
            "aud": AUDIENCE,
            "sub": principal.id,
            "name": principal.name,
            "jti": token_id,
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
            "roles": sorted(principal.roles),
            "permissions": sorted(principal.permissions),
            "groups": sorted(principal.groups),
        }
        if principal.sealing_key is not None:
            jwk = {"kty": "OKP", "crv": "X25519", "x": base64url(principal.sealing_key)}
            claims["cnf"] = {"jwk": jwk}
        return jwt.encode(claims, self.private, "EdDSA", headers={"kid": self.id, "typ": "at+jwt"})


class PublishedKeys:
    """Keys from a JWKS document, fetched when first needed and again for an unknown key id."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Mapping[str, Any]]],
        *,
        at_most_every: timedelta = timedelta(seconds=10),
    ) -> None:
        self._fetch = fetch
        self._pause = at_most_every.total_seconds()
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._fetched_at: float | None = None
        self._one_fetch = anyio.Lock()

    async def key(self, key_id: str) -> Ed25519PublicKey | None:
        """Return the key of this id, or None. Raises `Unavailable` where the document is not to be had."""
        if key_id not in self._keys:
            async with self._one_fetch:  # who comes meanwhile waits for the same answer
                if key_id not in self._keys and self._may_fetch():
                    self._keys = _public_keys(await self._fetch())
                    self._fetched_at = time.monotonic()
        return self._keys.get(key_id)

    def _may_fetch(self) -> bool:
        # A failed fetch does not count: without keys the answer must stay "unavailable", not "unknown".
        return self._fetched_at is None or time.monotonic() - self._fetched_at >= self._pause


def _public_keys(document: Mapping[str, Any]) -> dict[str, Ed25519PublicKey]:
    """Return the Ed25519 keys of a JWKS; others may stand beside them (RFC 7517 §5)."""
    try:
        ours = [jwk for jwk in document["keys"] if jwk.get("crv") == "Ed25519" and "kid" in jwk]
        return {jwk["kid"]: Ed25519PublicKey.from_public_bytes(unbase64url(jwk["x"])) for jwk in ours}
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise Unavailable(
            "The published keys cannot be read, so tokens cannot be verified.",
            next_step="Look at the published verification keys.",
        ) from error


class Exchange(Protocol):
    """Exchanges an API key for a token."""

    async def __call__(self) -> tuple[str, datetime]:
        """Return a token and when it ends. Raises `Unavailable` or `Refused`."""


class TokenSource:
    """A service's own token, exchanged again before it ends."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._token = ""
        self._renew_at = datetime.min.replace(tzinfo=UTC)

    async def token(self, *, now: datetime) -> str:
        """Return a token that is good for a while yet."""
        if now >= self._renew_at:
            self._token, ends = await self._exchange()
            self._renew_at = now + (ends - now) * 0.8
        return self._token


_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="A token of this platform.")


def requires(permission: str) -> Any:
    """Declare a route's permission; the parameter it annotates receives the `Principal`.

    >>> Reader = Annotated[Principal, requires("scans:read")]
    """

    async def caller(
        request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> Principal:
        if bearer is None:
            raise Unauthenticated(
                "The request carries no token.", next_step="Send `Authorization: Bearer …`."
            )
        verifier: Verifier | None = getattr(request.app.state, "verifier", None)
        if verifier is None:
            raise Unavailable("Tokens cannot be verified yet.", next_step="Try again in a moment.")
        principal = await verifier.verify(bearer.credentials)
        principal.require(permission)
        return principal

    caller.permission = permission  # type: ignore[attr-defined] # read by shared.http.Routes
    return Depends(caller)


def base64url(data: bytes) -> str:
    """Encode without padding, as JOSE does."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unbase64url(text: str) -> bytes:
    """Decode what `base64url` encoded."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
