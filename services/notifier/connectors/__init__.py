"""How the notifier talks to people and machines: the Protocol every kind of channel fulfils.

A notice may be sent more than once (the process may die before the answer is written down), so a
channel gives it an identity that the receiver can know it by: the same at every try.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from services.notifier.domain.notices import Notice
from shared.outbound import Policy


class Part(BaseModel):
    """Options or secrets of a kind of channel: closed to names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


@dataclass(frozen=True, kw_only=True)
class Network:
    """What a channel reaches others by: which addresses it may, and whom it trusts if not told otherwise."""

    policy: Policy
    tls: ssl.SSLContext


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Which recipients of one notice need no further try: told, or refused for good and why."""

    told: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)


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
