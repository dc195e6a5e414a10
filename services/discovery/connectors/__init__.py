"""How discovery looks at things: every way of looking is a Source."""

from collections.abc import AsyncIterator, Sequence
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

    def look(self, asked: Sequence[Asked]) -> AsyncIterator[Sighting]:
        """Look at these places and yield exactly one sighting for each, in any order.

        Never raises for what a place does; that is what `Outcome` is for.
        """
