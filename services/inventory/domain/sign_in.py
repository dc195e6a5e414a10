"""What makes a sign-in through an OpenID provider ours, and what it lets somebody do."""

import hmac
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from services.inventory.domain.credentials import Kind
from services.inventory.domain.rights import Rights
from shared.access import ROLES, base64url
from shared.errors import Forbidden, Invalid, Unauthenticated

RANDOM_BYTES = 32
MOST_RETURN = 2000
EVERYTHING = "*"
_NAME = re.compile(r"[^A-Za-z0-9 @._-]+")
_ERROR = re.compile(r"[a-z_]{1,50}")
_AGAIN = "Start again at /inventory/v1/login."


@dataclass(frozen=True, kw_only=True)
class RightsRule:
    """What a value of the provider's claim lets its holders do."""

    value: str
    roles: tuple[str, ...]
    groups: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "RightsRule":
        """Read `VALUE=ROLE+ROLE@GROUP+GROUP`, with `@*` for everything. Raises `ValueError`.

        Everything must be said, so that nothing that is forgotten gives it.
        """
        left, at, groups = text.rpartition("@")
        value, equals, roles = left.rpartition("=")
        parts = [part.strip() for part in roles.split("+")]
        scope = [part.strip() for part in groups.split("+")]
        if not (value.strip() and equals and at and all(parts) and all(scope)):
            msg = f"{text!r} is not VALUE=ROLE@GROUP, as pki-admins=admin@* or web-team=operator+approver@web"
            raise ValueError(msg)
        if unknown := [role for role in parts if role not in ROLES]:
            msg = f"{unknown[0]!r} is no role; there are {', '.join(ROLES)}"
            raise ValueError(msg)
        if EVERYTHING in scope and len(scope) > 1:
            msg = f"{text!r} has groups beside *, which is everything"
            raise ValueError(msg)
        return cls(
            value=value.strip(),
            roles=tuple(parts),
            groups=() if scope == [EVERYTHING] else tuple(scope),
        )


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who has signed in, as the provider tells."""

    issuer: str
    subject: str
    name: str
    values: tuple[str, ...]
    """Of the claim that rights are made from."""

    @property
    def identity(self) -> str:
        """Return what they are known by: names change, issuer and subject do not (OIDC Core §2)."""
        return sha256(f"{self.issuer}\n{self.subject}".encode()).hexdigest()

    def names(self) -> tuple[str, str]:
        """Return what to call them, and what else where that name is taken by another."""
        name = " ".join(_NAME.sub(" ", self.name).split()).strip(" @._-")[:80] or "person"
        return name, f"{name} {self.identity[:12]}"


def rights_of(person: Person, rules: Sequence[RightsRule]) -> Rights:
    """Return what somebody may do: what the first rule says that fits.

    Rules are not added up: roles of one on the groups of another would be what neither gives.
    Raises `Forbidden` where none fits.
    """
    for rule in rules:
        if rule.value in person.values:
            return Rights(kind=Kind.PERSON, roles=rule.roles, groups=rule.groups)
    raise Forbidden(
        f"{person.name} is known at the OpenID provider, but nothing there lets them in here.",
        next_step="Have them put into a group that EVERLEAF_INVENTORY_OIDC_RIGHTS names.",
    )


def person_of(claims: Mapping[str, Any], *, claim: str) -> Person:
    """Read who has signed in from an ID token that is verified already."""
    names = (claims.get(name) for name in ("preferred_username", "email", "name"))
    values = claims.get(claim, ())
    values = [values] if isinstance(values, str) else values
    return Person(
        issuer=claims["iss"],
        subject=claims["sub"],
        name=next((name for name in names if isinstance(name, str) and name), claims["sub"]),
        values=tuple(each for each in values if isinstance(each, str)) if isinstance(values, list) else (),
    )


def check_claims(claims: Mapping[str, Any], *, client_id: str, nonce: str) -> None:
    """Raise `Unauthenticated` where an ID token is of another sign-in or for others too (OIDC Core §3.1.3.7)."""
    audience = claims["aud"]
    if audience not in (client_id, [client_id]):
        raise refused("the ID token is for others too")
    if claims.get("azp", client_id) != client_id:
        raise refused("the ID token was given to another client")
    if not same(claims.get("nonce"), nonce):
        raise refused("the ID token belongs to another sign-in")


def check_answer(answer: Mapping[str, str], *, issuer: str, names_issuer: bool) -> str:
    """Return the code of what the provider has sent back. Raises `Unauthenticated`.

    `names_issuer` is whether the provider promises to say who it is (RFC 9207): then it must, and
    in any case nobody else may be named, or a code would be taken to the wrong provider (mix-up).
    """
    told = answer.get("iss")
    if (told is None and names_issuer) or (told is not None and told != issuer):
        raise refused("it comes from another provider")
    if error := answer.get("error"):
        raise refused(f"the provider says {spoken(error)}")
    code = answer.get("code")
    if not code:
        raise refused("it carries no code")
    return code


def spoken(error: object) -> str:
    """Return a provider's error code (RFC 6749 §5.2), where it is one: no text of strangers is passed on."""
    return error if isinstance(error, str) and _ERROR.fullmatch(error) else "an error"


def challenge(verifier: str) -> str:
    """Return what shows a code verifier without telling it (RFC 7636 §4.2, S256)."""
    return base64url(sha256(verifier.encode()).digest())


def digest(secret: str) -> str:
    """Return what is kept of a random secret that a browser holds."""
    return sha256(secret.encode("utf-8", "replace")).hexdigest()


def same(one: object, other: str) -> bool:
    """Compare in constant time."""
    return isinstance(one, str) and hmac.compare_digest(one.encode(), other.encode())


def checked_return(path: str) -> str:
    """Return where to go after signing in: a path of ours, so that nobody is led elsewhere. Raises `Invalid`."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and len(path) <= MOST_RETURN
    if not is_ours or any(letter <= " " or letter == "\\" for letter in path):
        raise Invalid("return_to is not a path of ours.", next_step="Give a path as /certificates.")
    return path


def refused(reason: str) -> Unauthenticated:
    """Return the error of a sign-in that is not ours, or not whole."""
    return Unauthenticated(f"The sign-in is not accepted: {reason}.", next_step=_AGAIN)


def is_allowed(method: str, supported: Collection[str]) -> bool:
    """Return whether a provider supports something, as far as it says at all."""
    return not supported or method in supported
