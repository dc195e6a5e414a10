"""How discovery looks at things: every way of looking is a Source."""

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from services.discovery.domain.answers import Outcome
from services.discovery.domain.targets import Asked


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What came of looking at one place."""

    asked: Asked
    outcome: Outcome
    reason: str = ""
    chain: tuple[bytes, ...] = ()
    """DER certificates as served, leaf first; empty where none was shown."""
    tls_version: str | None = None
    cipher_suite: str | None = None
    group: str | None = None
    alpn: str | None = None


class Source(Protocol):
    """Something that can be looked at without changing it."""

    kind: ClassVar[str]

    def look(self, asked: Iterable[Asked]) -> AsyncGenerator[Sighting]:
        """Look at these places and yield exactly one sighting for each, in any order.

        Takes them from the iterable as it gets to them, so there may be millions; stops looking when
        the generator is closed. Never raises for what a place does; that is what `Outcome` is for.
        """
        raise NotImplementedError
