"""Who is asking, and what they may do. Closed by default.

Tokens are JWTs signed with Ed25519 (RFC 8725, RFC 9068) and verified offline. A permission is
`resource:verb`; a role grants verbs on every resource, and a token may carry single permissions
beside. Both are scoped to the token's groups, where it names any: `Principal.sees` says whether an
object is in that scope, and the actions ask it for every object they show or change.
"""

import base64
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol, TypeVar

import anyio
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from shared.acting import also
from shared.errors import Forbidden, NotFound, Unauthenticated, Unavailable

AUDIENCE = "everleaf"
LEEWAY = timedelta(seconds=60)
REMEMBERED = 2_000
"""Tokens of which a process remembers that it has verified them."""
_TYPES = ("at+jwt", "application/at+jwt")  # RFC 9068 §4: no other token of the same issuer will do
T = TypeVar("T")

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
    """The groups that roles and permissions are scoped to; empty means everything. See `scope`."""
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

    def require_everything(self) -> None:
        """Raise `Forbidden` where the caller is scoped to groups: what is asked for belongs to none."""
        if self.scope is not None:
            raise Forbidden(
                f"{self.name} is limited to {', '.join(sorted(self.scope))}, and this is about everything.",
                next_step="Ask an administrator whose roles are not limited to groups.",
            )

    @property
    def scope(self) -> frozenset[str] | None:
        """Return the groups whose objects the caller may see and change; None means everything.

        It holds for all that the token grants. A single permission is no way around it: whoever is
        a viewer of group `web` and has `scans:write` beside may start scans in `web` and nowhere
        else. Who needs more than one scope needs more than one principal.
        """
        return self.groups or None

    def sees(self, groups: Collection[str]) -> bool:
        """Return whether an object in these groups is in the caller's scope.

        One group in common is enough. What is in no group is seen by callers without a scope only.
        """
        return not self.groups or not self.groups.isdisjoint(groups)

    def seen(self, thing: T | None, groups: Callable[[T], Collection[str]]) -> T | None:
        """Return a thing that is in scope, else None: what is hidden is answered like what is not there.

        >>> row = known(caller.seen(row, lambda row: row.groups), what="scan", name=scan_id)
        """
        return thing if thing is not None and self.sees(groups(thing)) else None

    def grouped(self, wanted: Collection[str], *, before: Collection[str] = ()) -> frozenset[str]:
        """Return the groups that an object gets which the caller puts into the groups `wanted`.

        `before` are those of an object that is there already. A caller with a scope adds and takes
        away groups of that scope only, and the object stays in one of them at least: where none is
        wanted it keeps those it has, and a new one gets all. Raises `Forbidden` for others.
        """
        if self.scope is None:
            return frozenset(wanted)
        others = frozenset(before) - self.scope
        if foreign := frozenset(wanted) - self.scope - others:
            raise Forbidden(
                f"{self.name} may put nothing into {', '.join(sorted(foreign))}.",
                next_step=f"Use groups among {', '.join(sorted(self.scope))}.",
            )
        ours = self.scope.intersection(wanted) or self.scope.intersection(before) or self.scope
        return ours | others


def known(thing: T | None, *, what: str, name: str) -> T:
    """Return a thing. Raises `NotFound` in the same words for what is absent and for what is hidden."""
    if thing is None:
        raise NotFound(f"There is no {what} {name}.", next_step=f"List what there is with GET /v1/{what}s.")
    return thing


class KeySource(Protocol):
    """Where the public keys come from that tokens are verified with."""

    async def key(self, key_id: str) -> Ed25519PublicKey | None:
        """Return the key of this id, or None."""


class Withdrawn(Protocol):
    """What is known of tokens that are refused though they have not ended."""

    async def is_void(self, principal_id: str, *, issued_at: datetime) -> bool:
        """Return whether a token of this principal is refused."""


@dataclass(frozen=True, kw_only=True)
class _Verified:
    """What a token said whose signature and claims were good."""

    principal: Principal
    issued_at: datetime
    ends: float
    """Seconds since 1970, the leeway included."""
    key_id: str
    key: Ed25519PublicKey


class Verifier:
    """Turns a bearer token into a principal, or says why not."""

    def __init__(self, keys: KeySource, *, issuer: str, withdrawn: Withdrawn | None = None) -> None:
        self._keys = keys
        self._issuer = issuer
        self._withdrawn = withdrawn
        self._remembered: OrderedDict[bytes, _Verified] = OrderedDict()

    def refusing(self, withdrawn: Withdrawn) -> "Verifier":
        """Return one that also refuses what has been withdrawn."""
        return Verifier(self._keys, issuer=self._issuer, withdrawn=withdrawn)

    async def verify(self, token: str) -> Principal:
        """Return who the token speaks for. Raises `Unauthenticated`."""
        found = await self._verified(token)
        if self._withdrawn is not None and await self._withdrawn.is_void(
            found.principal.id, issued_at=found.issued_at
        ):
            raise _untrusted("what its holder may do has changed since it was issued")
        return found.principal

    async def until(self, token: str) -> datetime:
        """Return when a token ends. Raises `Unauthenticated`."""
        return datetime.fromtimestamp((await self._verified(token)).ends, UTC) - LEEWAY

    async def _verified(self, token: str) -> "_Verified":
        """Return what a token says, which a client sends with each of many requests: it is read once.

        Whether it is withdrawn, has ended, or is signed with a key that is no longer published is asked each time.
        """
        # Only its digest is kept: who can read memory shall not find tokens there.
        digest = sha256(token.encode()).digest()
        found = self._remembered.get(digest)
        if found is not None and found.ends > time.time() and await self._keys.key(found.key_id) == found.key:
            return found
        claims, key_id, key = await self._claims(token)
        found = _Verified(
            principal=_principal(claims),
            issued_at=datetime.fromtimestamp(claims["iat"], UTC),
            ends=claims["exp"] + LEEWAY.total_seconds(),
            key_id=key_id,
            key=key,
        )
        self._remembered[digest] = found
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return found

    async def _claims(self, token: str) -> tuple[Mapping[str, Any], str, Ed25519PublicKey]:
        try:
            header = jwt.get_unverified_header(token)
            if str(header.get("typ", "")).lower() not in _TYPES:
                raise _untrusted("it is not an access token")
            key_id = str(header.get("kid", ""))
            key = await self._keys.key(key_id)
            if key is None:
                raise _untrusted("it is signed with an unknown key")
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                audience=AUDIENCE,
                issuer=self._issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "sub", "jti", "groups"]},
            )
        except jwt.PyJWTError as error:
            raise _untrusted(str(error)) from error
        return claims, key_id, key


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
        roles=_texts(claims, "roles"),
        permissions=_texts(claims, "permissions"),
        groups=_texts(claims, "groups"),
        sealing_key=unbase64url(confirmation["x"]) if "x" in confirmation else None,
    )


def _texts(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    # No groups mean everything, so what is not a list must never be read as one without any.
    value = claims.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise _untrusted(f"its claim {name} is not a list of names")
    return frozenset(value)


def jwk_of(key: Ed25519PublicKey, *, key_id: str) -> dict[str, str]:
    """Return a key that signatures are verified with as a JWK (RFC 8037)."""
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "use": "sig",
        "alg": "EdDSA",
        "kid": key_id,
        "x": base64url(key.public_bytes_raw()),
    }


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """The Ed25519 key that tokens are signed with, and the id verifiers know it by."""

    id: str
    private: Ed25519PrivateKey

    def jwk(self) -> dict[str, str]:
        """Return the public half as a JWK (RFC 8037)."""
        return jwk_of(self.private.public_key(), key_id=self.id)

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
            # With its fraction (RFC 7519 §2): whether it was issued before a change must be certain.
            "iat": now.timestamp(),
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
                    self._keys = public_keys(await self._fetch())
                    self._fetched_at = time.monotonic()
        return self._keys.get(key_id)

    def _may_fetch(self) -> bool:
        # A failed fetch does not count: without keys the answer must stay "unavailable", not "unknown".
        return self._fetched_at is None or time.monotonic() - self._fetched_at >= self._pause


def public_keys(document: Mapping[str, Any]) -> dict[str, Ed25519PublicKey]:
    """Return the Ed25519 keys of a JWKS by their ids; others may stand beside them (RFC 7517 §5). Raises `Unavailable`."""
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


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What a route asks of its callers."""

    permission: str
    everything: bool


class _Caller(HTTPBearer):
    """Who asks: the scheme as the contract has it, and the principal it leads to, in one step of FastAPI's and not in two."""

    def __init__(self, declared: Declared) -> None:
        super().__init__(
            auto_error=False,
            bearerFormat="JWT",
            scheme_name="HTTPBearer",
            description="A token of this platform.",
        )
        self.declared = declared
        """Read by `shared.http.Routes`."""

    async def __call__(self, request: Request) -> Principal:  # type: ignore[override] # a header alone is nobody
        """Return who asks. Raises `Unauthenticated`, `Forbidden`, and `Unavailable` where tokens cannot be verified."""
        verifier: Verifier | None = getattr(request.app.state, "verifier", None)
        token = _bearer_token(request)
        if verifier is None:
            raise Unavailable("Tokens cannot be verified yet.", next_step="Try again in a moment.")
        principal = await verifier.verify(token)
        principal.require(self.declared.permission)
        if self.declared.everything:
            principal.require_everything()
        also(id=principal.id, name=principal.name)
        return principal


def _bearer_token(request: Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("The request carries no token.", next_step="Send `Authorization: Bearer …`.")
    return token.strip()


def requires(permission: str, *, everything: bool = False) -> Any:
    """Declare a route's permission; the parameter it annotates receives the `Principal`.

    `everything` is for what belongs to no group and concerns all: callers with a scope are refused.

    >>> Reader = Annotated[Principal, requires("scans:read")]
    """
    return Depends(_Caller(Declared(permission=permission, everything=everything)))


def base64url(data: bytes) -> str:
    """Encode without padding, as JOSE does."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unbase64url(text: str) -> bytes:
    """Decode what `base64url` encoded."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
