"""How renewal talks to those who issue: the Protocol every kind of authority fulfils.

An authority is a step machine. Each call does one thing outside and returns what it then knows, as
bytes that are kept before the next call: a process that dies anywhere goes on from there. The step
that was under way may have been done or not, so the first call after a break says `resumed`.
"""

import ssl
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from shared.errors import Unavailable
from shared.outbound import Policy


class Part(BaseModel):
    """Options or secrets of a kind of authority: closed to names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Nothing(Part):
    """There are none."""


class Challenge(StrEnum):
    """How control of a name is shown (RFC 8555 §8)."""

    HTTP_01 = "http-01"
    DNS_01 = "dns-01"


class HttpChallenges(Protocol):
    """What our http-01 listener answers (RFC 8555 §8.3)."""

    async def put(self, token: str, text: str) -> None:
        """Answer with this text when asked for the token."""

    async def remove(self, token: str) -> None:
        """Answer no more."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """What an authority reaches others by: which addresses it may, whom it trusts, and our listener, if any."""

    policy: Policy
    tls: ssl.SSLContext
    http01: HttpChallenges | None


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


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for: a PKCS#10 request in DER, the names in it, and on which terms."""

    csr: bytes
    names: tuple[str, ...]
    terms: Terms


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
