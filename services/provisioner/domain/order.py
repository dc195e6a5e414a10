"""In which order the bindings of a lineage come: those that others wait for first, and in how many waves."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from graphlib import CycleError, TopologicalSorter

from shared.errors import Invalid

CANARY, SHARE, REST = range(3)
"""The waves of a rollout."""


def arranged(after: Mapping[str, Collection[str]]) -> list[str]:
    """Return bindings so that each follows those that it comes after, else in the order given; unknown ones do not count.

    Raises `Invalid` where they wait for one another in a circle.
    """
    position = {each: number for number, each in enumerate(after)}
    sorter = TopologicalSorter({each: [one for one in after[each] if one in position] for each in after})
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise Invalid(
            f"These bindings would wait for one another: {circle}.",
            next_step="Take one of them out of the `after` of the next.",
        ) from error
    result: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=position.__getitem__)
        result.extend(ready)
        sorter.done(*ready)
    return result


@dataclass(frozen=True, kw_only=True)
class Waves:
    """How a certificate goes out: to so many first, then to a share of all (in %), then to the rest."""

    canaries: int = 1
    share: int = 25
    soak: timedelta = timedelta(minutes=5)
    """How long is waited after a wave before the next begins."""
    stop_after: int = 1
    """How many failures stop it."""

    def of(self, position: int, *, total: int) -> int:
        """Return the wave of the binding at this position of so many, counted from 0."""
        if position < self.canaries:
            return CANARY
        return SHARE if position < -(-total * self.share // 100) else REST


def in_waves(bindings: Sequence[str], waves: Waves) -> dict[str, int]:
    """Return the wave of each binding, of bindings in their order."""
    return {each: waves.of(position, total=len(bindings)) for position, each in enumerate(bindings)}
