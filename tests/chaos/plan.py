"""What happens in each round, chosen by a seed before anything is begun."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from random import Random

LIFETIME = timedelta(days=47)
JUMP = timedelta(days=40)
"""By which the clock jumps for each lifecycle: every certificate is due then, and none has expired."""
BACK = timedelta(minutes=1)
"""By which the clock is set back, as where it was wrong and is put right: longer than any lease, and than any wait before another try.

What was to be done at a time that comes a second time waits for so long."""
_MOMENTS = 4.0
"""Seconds after the jump within which the blows fall: a lifecycle takes about that long."""


class Blow(StrEnum):
    """What is struck."""

    REPLICA = "replica killed"
    BROKER = "broker killed"
    DATABASE = "database crashed"
    CUT = "connections cut"
    SILENCE = "connections silent for a while"
    SLOW = "connections slow for a while"
    DISK = "database's disk full for a while"
    CLOCK = "clock set back"


@dataclass(frozen=True, kw_only=True)
class Struck:
    """One blow: when, in seconds after the jump of the clock, and upon which of those that it may strike."""

    blow: Blow
    after: float
    upon: int


def rounds(seed: int, *, count: int) -> Sequence[tuple[Struck, ...]]:
    """Return what strikes in each of so many rounds; those of a seed are always the same.

    Each kind strikes once before any strikes again, and each round has as many blows as it takes for all to have their turn.
    """
    random = Random(seed)
    least = -(-len(Blow) // count)
    waiting: list[Blow] = []
    planned = []
    for _ in range(count):
        chosen = []
        for _ in range(max(least, random.choice((1, 2, 2, 3)))):
            waiting = waiting or random.sample(list(Blow), len(Blow))
            after = random.uniform(0, _MOMENTS)
            chosen.append(Struck(blow=waiting.pop(), after=after, upon=random.randrange(1000)))
        planned.append(tuple(sorted(chosen, key=lambda each: each.after)))
    return planned
