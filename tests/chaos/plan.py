"""What happens in each round, chosen by a seed before anything is begun."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from random import Random

LIFETIME = timedelta(days=47)
JUMP = timedelta(days=40)
"""By which the clock jumps for each lifecycle: every certificate is due then, and none has expired."""
_MOMENTS = 4.0
"""Seconds after the jump within which the blows fall: a lifecycle takes about that long."""


class Blow(StrEnum):
    """What is struck."""

    REPLICA = "replica killed"
    BROKER = "broker killed"
    DATABASE = "database crashed"
    CUT = "connections cut"
    SILENCE = "connections silent for a while"
    DISK = "database's disk full for a while"


@dataclass(frozen=True, kw_only=True)
class Struck:
    """One blow: when, in seconds after the jump of the clock, and upon which of those that it may strike."""

    blow: Blow
    after: float
    upon: int


def rounds(seed: int, *, blows: Sequence[Blow]) -> Iterator[tuple[Struck, ...]]:
    """Yield what strikes in each round, without end; the rounds of a seed are always the same.

    Each kind has struck once before any strikes again, so that a short run has seen them all.
    """
    random = Random(seed)
    waiting: list[Blow] = []
    while True:
        chosen = []
        for _ in range(random.choice((1, 2, 2, 3))):
            waiting = waiting or random.sample(blows, len(blows))
            after = random.uniform(0, _MOMENTS)
            chosen.append(Struck(blow=waiting.pop(), after=after, upon=random.randrange(1000)))
        yield tuple(sorted(chosen, key=lambda each: each.after))
