"""How discovery looks at things: every way of looking is a Source."""

from collections.abc import AsyncGenerator, Iterable
from typing import ClassVar, Protocol

from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked


class Source(Protocol):
    """Something that can be looked at without changing it."""

    kind: ClassVar[str]

    def look(self, asked: Iterable[Asked]) -> AsyncGenerator[Sighting]:
        """Look at these places and yield exactly one sighting for each, in any order.

        Takes them from the iterable as it gets to them, so there may be millions; stops looking when
        the generator is closed. Never raises for what a place does; that is what `Outcome` is for.
        """
        raise NotImplementedError
