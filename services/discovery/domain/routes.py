"""The order in which a scan goes to its places, and how the way is cut into pieces that processes share."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.discovery.domain.targets import Asked, Segment, Walk

SMALLEST_PIECE = 1024
LARGEST_PIECE = 16_384
PIECES = 64
"""So many pieces a scan has, unless they would be smaller or larger than pieces may be."""
_GOLDEN = (math.sqrt(5) - 1) / 2


class Spread:
    """A permutation of the numbers below `size`, which keeps neighbours apart in time and costs no memory.

    Every step goes on by the golden section of the whole, the stride whose first steps, however many, lie
    most evenly (three-distance theorem): a network's addresses, which are neighbours in the walk, are asked
    as far from one another in time as can be. `key` shifts the beginning, so that no two scans begin alike.
    """

    def __init__(self, size: int, *, key: int = 0) -> None:
        self._size = size
        self._first = key % size if size else 0
        self._stride = _coprime(max(1, round(size * _GOLDEN)), size)

    def at(self, position: int) -> int:
        """Return the number that is at a position."""
        return (self._first + position * self._stride) % self._size


def _coprime(number: int, size: int) -> int:
    while math.gcd(number, size) != 1:
        number += 1
    return number


@dataclass(frozen=True, kw_only=True)
class Step:
    """The next place, and the number of its result."""

    number: int
    asked: Asked


class Route:
    """The way of a scan: the places it was asked for, spread out, then those it found out about by itself."""

    def __init__(
        self,
        segments: Sequence[Segment],
        *,
        first_round: int,
        unresolved: int = 0,
        starttls: str | None = None,
        key: int = 0,
    ) -> None:
        """`first_round` places were asked for; the results of `unresolved` names come after theirs."""
        self._walk = Walk(segments, starttls=starttls)
        self._first_round = first_round
        self._unresolved = unresolved
        self._spread = Spread(first_round, key=key)

    def at(self, position: int) -> Step:
        """Return the step at a position."""
        if position < self._first_round:
            index = self._spread.at(position)
            return Step(number=index, asked=self._walk.at(index))
        return Step(number=position + self._unresolved, asked=self._walk.at(position))


def pieces(first: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut the positions from `first` to before `end` into pieces: each its first position and its end."""
    size = min(LARGEST_PIECE, max(SMALLEST_PIECE, math.ceil((end - first) / PIECES)))
    return ((start, min(start + size, end)) for start in range(first, end, size))
