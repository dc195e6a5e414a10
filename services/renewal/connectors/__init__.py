"""How renewal talks to those who issue: the Protocol every kind of authority fulfils.

An authority is a step machine. Each call does one thing outside and returns what it then knows, as
bytes that are kept before the next call: a process that dies anywhere goes on from there. The step
that was under way may have been done or not, so the first call after a break says `resumed`.

What not every authority can do is a Protocol of its own (`Revokes`, `TellsWhen`, `ListsIssued`, `ChangesKey`): who can, has
the methods.
An authority of our own has its keys, its books and its publications here: `FoundedHere`, `Publishes`, `IssuesAtOnce`.
"""

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol, Self, TypeVar, runtime_checkable

from cryptography.x509 import ObjectIdentifier
from pydantic import BaseModel, ConfigDict

from shared.errors import Refused, Unavailable
from shared.events.renewal import RevocationReason
from shared.outbound import Policy
from shared.pkcs11 import Token


class Part(BaseModel):
    """Options or secrets of a kind of authority: closed to names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Nothing(Part):
    """There are none."""


class Challenge(StrEnum):
    """How control of a name is shown (RFC 8555 §8)."""

    HTTP_01 = "http-01"
    DNS_01 = "dns-01"
    TLS_ALPN_01 = "tls-alpn-01"


class HttpChallenges(Protocol):
    """What our http-01 listener answers (RFC 8555 §8.3)."""

    async def put(self, token: str, text: str) -> None:
        """Answer with this text when asked for the token."""

    async def remove(self, token: str) -> None:
        """Answer no more."""


class TlsChallenges(Protocol):
    """What our tls-alpn-01 listener shows (RFC 8737 §3)."""

    async def put(self, name: str, authorization: str) -> None:
        """Show this key authorization when asked for the name (or address)."""

    async def remove(self, name: str, authorization: str) -> None:
        """Show it no more; what was put for the name since stays."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A certificate (DER) that an authority of our own has signed, and the request that it answers, by its hash."""

    request: str
    certificate: bytes


class Ledger(Protocol):
    """The books of one authority of our own: what it has issued and revoked."""

    @property
    def url(self) -> str | None:
        """Where it publishes: below it are `crl`, `ocsp` and `certificate`. None where it has no public address."""

    async def find(self, requests: Sequence[str]) -> dict[str, bytes]:
        """Return the certificates that were issued for these requests already."""

    async def add(self, entries: Sequence[Entry], *, now: datetime) -> None:
        """Write down what was signed: only then may it be given out."""

    async def revoke(self, serial: int, *, reason: RevocationReason, now: datetime) -> bool:
        """Write down that it is revoked, where that is not so yet; return False where it is none of ours."""

    def since(self, since: datetime) -> "AsyncIterator[Listed]":
        """Return what was issued at or after this moment, oldest first."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """What an authority reaches others by: which addresses it may, whom it trusts, and our listeners, if any.

    For an authority of our own it has the books that it keeps, and the token that it may have its keys in.
    """

    policy: Policy
    tls: ssl.SSLContext
    http01: HttpChallenges | None
    tls_alpn01: TlsChallenges | None = None
    commands: Path | None = None
    """The folder with the programs that may be run, if any."""
    ledger: Ledger | None = None
    token: Token | None = None


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What an authority has for as long as it is known to us.

    `private` is sealed wherever it is kept; `roots` are public, in DER: where known, every chain ends there.
    """

    private: bytes = field(repr=False)
    roots: tuple[bytes, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The part of a profile that an authority may not be able to do."""

    challenge: Challenge | None
    lifetime: timedelta
    profile: str | None = None
    """What the authority calls the terms it is to issue on, where it has several (a profile, a template, a product)."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for: a PKCS#10 request in DER, the names in it, and on which terms."""

    csr: bytes
    names: tuple[str, ...]
    terms: Terms
    key: str = ""
    """The order's own: whoever is asked twice with the same one issues once, where the authority has such a thing."""
    anew: Callable[[Sequence[tuple[ObjectIdentifier, bytes]]], bytes] | None = field(default=None, repr=False)
    """Makes the request again with attributes (RFC 2986 §4.1) in it, for this once; empty where the key is not here."""
    replaces: bytes | None = None
    """The certificate, in DER, whose place the new one takes (RFC 9773 §5); empty where it is not known."""


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A step is done, or there is something to wait for: keep `state`, then ask again after `retry_after`."""

    state: bytes = field(repr=False)
    """May hold what only the authority and we know."""
    step: str
    text: str | None = None
    """What was done, for people; empty where nothing was."""
    retry_after: timedelta = timedelta()
    private: bytes | None = field(default=None, repr=False)
    """The authority's identity, where it has changed."""


@dataclass(frozen=True, kw_only=True)
class Issued:
    """The authority has issued; the chain (DER, leaf first) is not checked yet."""

    chain: tuple[bytes, ...]


Progress = Pending | Issued


class NotNow(Unavailable):
    """The authority cannot do it now: it asks for `retry_after`, and `starts_over` if its order is lost."""

    def __init__(
        self,
        detail: str,
        *,
        next_step: str = "It is tried again by itself; look at the authority if it stays.",
        retry_after: timedelta | None = None,
        starts_over: bool = False,
    ) -> None:
        super().__init__(detail, next_step=next_step)
        self.retry_after = retry_after
        self.starts_over = starts_over


Options_contra = TypeVar("Options_contra", bound=Part, contravariant=True)
Secrets_contra = TypeVar("Secrets_contra", bound=Part, contravariant=True)


class CertificateAuthority(Protocol[Options_contra, Secrets_contra]):
    """Somebody who issues certificates."""

    kind: ClassVar[str]
    summary: ClassVar[str]
    options_type: ClassVar[type[Part]]
    secrets_type: ClassVar[type[Part]]
    decides_lifetime: ClassVar[bool]
    """Whether a certificate is valid for as long as the authority likes, whatever we ask."""

    @classmethod
    def found(cls, options: Options_contra, *, secrets: Secrets_contra, name: str, now: datetime) -> Identity:
        """Make the identity of a new authority; nothing outside is done. Raises `shared.errors.Invalid`."""

    @classmethod
    def check_terms(cls, options: Options_contra, *, terms: Terms, network: Network) -> None:
        """Raise `shared.errors.Invalid` where it cannot issue on such terms."""

    @classmethod
    def open(
        cls, options: Options_contra, *, secrets: Secrets_contra, identity: Identity, network: Network
    ) -> AbstractAsyncContextManager[Self]:
        """Prepare for the work on one order."""

    async def advance(
        self, request: Request, *, state: bytes | None, resumed: bool, now: datetime
    ) -> Progress:
        """Do one step from `state` (None: the first). Raises `shared.errors.Refused` or `NotNow`."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """When an authority would have a certificate renewed (RFC 9773 §4.2)."""

    start: datetime
    end: datetime
    explanation_url: str | None = None
    ask_again_after: timedelta


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A certificate that an authority says it has issued, in DER, and when."""

    certificate: bytes
    issued_at: datetime


@runtime_checkable
class Revokes(Protocol):
    """An authority that takes back what it has issued."""

    async def revoke(
        self, certificate: bytes, *, issuer: bytes | None, reason: RevocationReason, now: datetime
    ) -> None:
        """Revoke a certificate (DER); one that is revoked already stays so, without an error.

        Raises `shared.errors.Refused` where it will not (not its own, a reason it does not take), or `NotNow`.
        """


@runtime_checkable
class TellsWhen(Protocol):
    """An authority that says when it would have a certificate renewed (RFC 9773)."""

    async def renewal_window(self, certificate: bytes, *, now: datetime) -> Window | None:
        """Return the window for a certificate (DER); None where the authority tells none. Raises `NotNow`."""


@runtime_checkable
class ListsIssued(Protocol):
    """An authority that lists what it has issued."""

    def issued_since(self, since: datetime) -> AsyncIterator[Listed]:
        """Return what was issued at or after this moment, oldest first. Raises `NotNow`."""


@runtime_checkable
class ChangesKey(Protocol):
    """An authority that knows us by a key, and takes a fresh one in its place (RFC 8555 §7.3.5)."""

    @classmethod
    def with_next_key(cls, private: bytes) -> bytes:
        """Return the identity with a fresh key beside the present one, to be kept before the authority is asked.

        One that is there already, because we were interrupted, stays.
        """

    async def change_key(self) -> bytes:
        """Have the authority take the fresh key; return the identity with it alone. Twice is right.

        Raises `shared.errors.Refused` or `NotNow`: then either key may be the right one, and both are kept.
        """


@runtime_checkable
class FoundedHere(Protocol[Options_contra]):
    """An authority of our own: it is made where it will live, and not by `found`."""

    @classmethod
    async def found_here(
        cls, options: Options_contra, *, name: str, network: Network, now: datetime
    ) -> Identity:
        """Make its keys and certificates. Raises `shared.errors.Invalid`."""


@dataclass(frozen=True, kw_only=True)
class Revoked:
    """A line of a CRL."""

    serial: int
    at: datetime
    reason: RevocationReason


@dataclass(frozen=True, kw_only=True)
class Responder:
    """Who answers OCSP for an authority: a key (PKCS#8 in DER) and the certificate (DER) that appoints it."""

    private: bytes = field(repr=False)
    certificate: bytes
    until: datetime


@runtime_checkable
class Publishes(Protocol):
    """An authority of our own: it says itself which of its certificates are revoked."""

    @property
    def issuer(self) -> bytes:
        """The certificate (DER) that it signs with; raises `NotNow` where it has none yet."""

    async def crl(self, revoked: Sequence[Revoked], *, number: int, now: datetime, until: datetime) -> bytes:
        """Return a signed CRL (RFC 5280 §5) in DER."""

    async def responder(self, *, now: datetime) -> Responder:
        """Appoint a new OCSP responder (RFC 6960 §4.2.2.2)."""


@runtime_checkable
class SignedByOthers(Protocol):
    """An authority of our own below somebody else's: its certificate is asked for there, and brought here."""

    async def signing_request(self) -> bytes:
        """Return the PKCS#10 request for its certificate, in DER. Raises `shared.errors.Conflict` where it needs none."""

    def certified(self, chain: Sequence[bytes], *, now: datetime) -> Identity:
        """Return its identity with its certificate and those above it (DER). Raises `shared.errors.Invalid`."""


@runtime_checkable
class IssuesAtOnce(Protocol):
    """An authority that needs one step for a certificate, and no longer for many at a time."""

    async def issue_all(self, requests: Sequence[Request], *, now: datetime) -> Sequence[Issued | Refused]:
        """Return what it issues for each request, in their order; or why not. Raises `NotNow` for all of them."""
