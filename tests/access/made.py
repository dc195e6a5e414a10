"""What a maker of objects gives back."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.access.estate import Estate


@dataclass(frozen=True, kw_only=True)
class Made:
    """An object in a group."""

    ids: Mapping[str, str]
    """The path parameters that name it."""
    bodies: Mapping[str, Any] = field(default_factory=dict)
    """The body that a request about it needs where the smallest one that fits the schema will not do,
    by `METHOD /path`."""
    traces: tuple[str, ...] = ()
    """What else would tell of it in an answer: its names, the ids of what was made with it."""

    @property
    def words(self) -> set[str]:
        """What must not be in an answer to somebody who may not see it."""
        return {*self.ids.values(), *self.traces}


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A parameter or a field that names another object."""

    to: str
    """The path of that object's maker in the same service."""
    id: str | None = None
    """Which of the ids of what was made is named; the last parameter of the path, if none is said."""
    body: Callable[[str], Any] | None = None
    """The body that names an object of this id. Without one the id is a query parameter."""


async def kept(estate: Estate, make: "Maker", group: str) -> Made:
    """Return what a maker has made before, for tests that leave it as it is; made where it is the first time."""
    made: dict[tuple[Maker, str], Made] = estate.kept
    if (make, group) not in made:
        made[make, group] = await make(estate, group)
    return made[make, group]


Maker = Callable[[Estate, str], Awaitable[Made]]
"""Makes an object in a group: `OURS`, mostly."""
