"""How discovery looks at things: a `Prober` from outside, without a login; a `Source` from inside, with one."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel

from services.discovery.domain.holdings import Page
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked
from shared.outbound import Policy
from shared.ssh import Reach


class Prober(Protocol):
    """Something that can be looked at without a login, and without changing it."""

    kind: ClassVar[str]

    def look(self, asked: Iterable[Asked]) -> AsyncGenerator[Sighting]:
        """Look at these places and yield exactly one sighting for each, in any order.

        Takes them from the iterable as it gets to them, so there may be millions; stops looking when
        the generator is closed. Never raises for what a place does; that is what `Outcome` is for.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long things may take."""

    connect: timedelta = timedelta(seconds=15)
    command: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was tried when looking whether a source can be read."""

    name: str
    ok: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class Access:
    """How a source is reached; settings and credential are of the types that its kind names."""

    settings: BaseModel
    credential: BaseModel = field(repr=False)
    limits: Limits = field(default_factory=Limits)
    policy: Policy = field(default_factory=Policy)
    """Which addresses an API may have."""
    reach: Reach | None = None
    """Which addresses may be logged into; None for any."""
    ssh_agent: str | None = None
    """The socket of the ssh-agent that a credential may name."""
    pod_account: bool = False
    """Whether the service account of the pod that this runs in may be the credential."""


class SourceKind(Protocol):
    """What a kind of source takes, whether it is read or sent to."""

    kind: ClassVar[str]
    summary: ClassVar[str]
    settings_type: ClassVar[type[BaseModel]]
    credential_type: ClassVar[type[BaseModel]]


@dataclass(frozen=True, kw_only=True)
class Noticed:
    """What a watch has noticed."""

    position: str
    """From where it goes on after this."""
    is_news: bool
    """Something that is read has changed, or may have unseen; else only time has passed."""


@runtime_checkable
class Watches(Protocol):
    """What a source can do beside being read, where its API tells of changes as they happen."""

    @property
    def is_watched(self) -> bool:
        """Whether its settings let it be watched."""
        ...

    async def watch(self, *, after: str | None, notice: Callable[[Noticed], Awaitable[None]]) -> None:
        """Tell of changes for ever, from a position that was noticed before; without one, from now on.

        What may have changed unseen is news: so is the beginning without a position, or with one that is too old.
        Raises as reading does.
        """
        ...


class Source(SourceKind, Protocol):
    """Something we log into to look, and never to change. Opened for one piece of work, and closed after it.

    Methods raise `Refused` where the other side says no (a wrong or expired credential, another host key) and
    `Unavailable` where it gives no usable answer. What they may not read is a gap, and no error.
    """

    @classmethod
    def open(cls, access: Access) -> AbstractAsyncContextManager["Source"]:
        """Connect and log in; closed when the block ends."""

    async def check(self) -> Sequence[Check]:
        """Say what can be read and what cannot, beside reaching it and logging in."""

    def read(self, *, after: str | None) -> AsyncGenerator[Page]:
        """Yield all that it holds in a stable order, beginning after a position that an earlier page gave."""
