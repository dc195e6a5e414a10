"""How the notifier talks to people and machines: the Protocol every kind of channel fulfils.

A notice may be sent more than once (the process may die before the answer is written down), so a
channel gives it an identity that the receiver can know it by: the same at every try.
"""

import ssl
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol, Self, TypeVar, runtime_checkable

import httpx
from pydantic import BaseModel, ConfigDict, Field

from services.notifier.connectors.clients import Clients
from services.notifier.domain.notices import Notice
from services.notifier.domain.tickets import Seen, Ticket
from shared.outbound import Policy, guarded_client


class Part(BaseModel):
    """Options or secrets of a kind of channel: closed to names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Paced(Part):
    """Options of a channel that can be told not to be too much for the other side."""

    per_minute: int | None = Field(None, ge=1, le=60_000)
    """At most so many messages in a minute, evenly spaced, from all our processes together; by default, no limit."""


class Gathered(Paced):
    """Options of a channel for people, who want very many alerts in one notice."""

    burst: int = Field(20, ge=1, le=1000)
    """So many notices go out alone within the window; what comes beyond goes out together at its end."""
    window: timedelta = Field(timedelta(minutes=1), ge=timedelta(seconds=10), le=timedelta(days=1))


@dataclass(frozen=True, kw_only=True)
class Network:
    """What a channel reaches others by: which addresses it may, and whom it trusts if not told otherwise."""

    policy: Policy
    tls: ssl.SSLContext
    clients: Clients | None = None
    """What keeps connections from one message to the next; without it each message has a connection of its own."""

    def http(self, url: str, *, tls: ssl.SSLContext) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        """Return a client to an address, for `async with`."""
        if self.clients is not None:
            return self.clients.to(url, tls=tls)
        return guarded_client(self.policy, tls=tls)


@dataclass(frozen=True, kw_only=True)
class Audience:
    """To whom a notice goes: to the recipients that the channel's options name, or to contacts of a team, or both."""

    is_own: bool = True
    addressed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far we are: which recipients of one notice need no further try, and what is kept there of its alert."""

    told: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    ticket: Ticket | None = None
    """What the other side keeps of the alert, where it keeps something: later notices go to it."""


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """The other side has taken it."""

    answer: str
    progress: Progress = Progress()


@dataclass(frozen=True, kw_only=True)
class Later:
    """Not now: something that can pass, or that an operator can put right."""

    reason: str
    retry_after: timedelta | None = None
    """How long the other side asks to be left alone."""
    progress: Progress = Progress()


@dataclass(frozen=True, kw_only=True)
class Never:
    """The other side will not take this notice; `is_gone`: nor any other (HTTP 410)."""

    reason: str
    is_gone: bool = False
    progress: Progress = Progress()


Sent = Delivered | Later | Never


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A file that is sent to people, with a few words."""

    id: str
    """The same at every try of it."""
    subject: str
    text: str
    name: str
    """The file's."""
    media_type: str
    content: bytes = field(repr=False)
    at: datetime


Options_contra = TypeVar("Options_contra", bound=Part, contravariant=True)
Secrets_contra = TypeVar("Secrets_contra", bound=Part, contravariant=True)


class Channel(Protocol[Options_contra, Secrets_contra]):
    """One way to tell somebody."""

    kind: ClassVar[str]
    summary: ClassVar[str]
    options_type: ClassVar[type[Part]]
    secrets_type: ClassVar[type[Part]]
    secrets_go_by: ClassVar[frozenset[str]]
    """The options that decide who gets to see the secrets: with another value, they must be given again."""

    @classmethod
    def open(cls, options: Options_contra, *, secrets: Secrets_contra, network: Network) -> Self:
        """Check options and secrets against one another; nothing is sent. Raises `shared.errors.Invalid`."""

    async def send(self, notice: Notice, *, progress: Progress, now: datetime) -> Sent:
        """Tell it to all who are not yet told, and say what became of it; never raises for what others do."""


@runtime_checkable
class LooksUp(Protocol):
    """A channel whose tickets people work on: it can say what became of one."""

    async def look(self, ticket: Ticket, *, now: datetime) -> Seen:
        """Return what became of a ticket, and what was decided there. Raises `shared.errors`."""


@runtime_checkable
class Addressable(Protocol):
    """A kind of channel that can tell others than its options name: the contacts of a team."""

    reaches: ClassVar[str]
    """The kind of contact, as inventory names them: `email`, `chat` or `phone`."""

    @classmethod
    def readdressed(cls, options: Mapping[str, Any], audience: Audience) -> Mapping[str, Any]:
        """Return options that name this audience. What is no address there is left out; where none is left, they stay."""


@runtime_checkable
class Carrier(Protocol):
    """A channel that can carry a file to people."""

    async def carry(self, letter: Letter, *, progress: Progress) -> Sent:
        """Send it to all who do not have it yet, and say what became of it; never raises for what others do."""
