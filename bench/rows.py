"""What a row of the performance table is, how contestants take turns, and how a row is judged."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Protocol

from bench.measure import NotMeasured, Usage

SUBJECT = "everleaf"
"""The name of the contestant that every row is about."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one contestant did in one round."""

    usage: Usage
    asked: int
    found: int
    server_cpu: float = 0.0
    """Seconds of CPU that it cost the servers it talked to."""
    faults: tuple[str, ...] = ()
    """What it missed or got wrong."""

    @property
    def cpu_per_thousand(self) -> float:
        """Seconds of CPU for a thousand that were asked."""
        return self.usage.cpu / self.asked * 1000

    @property
    def server_cpu_per_thousand(self) -> float:
        """Seconds of CPU that a thousand of them cost the servers."""
        return self.server_cpu / self.asked * 1000


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """Someone who can be measured."""

    name: str
    run: Callable[[], Sample]
    """Raises NotMeasured where it cannot take part."""
    at_most: int | None = None
    """Rounds that are enough; None is as many as everybody."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One job that all its contestants do in turn."""

    name: str
    title: str
    contestants: tuple[Contestant, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: a figure of the subject over the same figure of a baseline."""

    name: str
    scenario: str
    unit: str
    figure: Callable[[Sample], float]
    goal: float
    """The highest ratio that is good enough."""
    baseline: str
    """A contestant of the scenario; or, where `fixed` is set, what that figure is."""
    fixed: float | None = None
    """A figure that does not depend on who else runs, in `unit`."""


class Suite(Protocol):
    """Rows of one part of the product, and the scenarios behind them."""

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every row; nothing is started to know them."""
        ...

    def stage(self, name: str, *, folder: Path, scale: float) -> AbstractContextManager[Scenario]:
        """Start what the scenario needs below `folder`, and stop it at the end; `scale` 1 is the real size."""
        ...


@dataclass(kw_only=True)
class Entry:
    """What a contestant has to show for its rounds."""

    samples: list[Sample] = field(default_factory=list)
    reason: str = ""
    """Why it did not take part, or no longer."""


Results = Mapping[str, Entry]
"""By contestant."""


def play(scenario: Scenario, *, rounds: int, tell: Callable[[str], None] = lambda _: None) -> Results:
    """Let the contestants take turns (A B C A B C …), so that a noisy minute is everybody's noisy minute."""
    results = {each.name: Entry() for each in scenario.contestants}
    for number in range(1, rounds + 1):
        for each in scenario.contestants:
            entry = results[each.name]
            if entry.reason or (each.at_most is not None and number > each.at_most):
                continue
            tell(f"{scenario.name}: round {number} of {rounds}, {each.name}")
            try:
                entry.samples.append(each.run())
            except NotMeasured as error:
                entry.reason = str(error)
    return results


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A row with what came out."""

    row: Row
    ratios: tuple[float, ...] = ()
    """Round by round."""
    median: float | None = None
    """Of the subject's figure, in the row's unit."""
    remark: str = ""
    faults: tuple[str, ...] = ()

    @property
    def ratio(self) -> float | None:
        """The median of the ratios; None where nothing was compared."""
        return median(self.ratios) if self.ratios else None

    @property
    def met(self) -> bool:
        """Whether the goal was reached, with nothing missed and nothing wrong."""
        return self.ratio is not None and self.ratio <= self.row.goal and not self.faults


def judge(row: Row, results: Results) -> Verdict:
    """Compare the subject with the row's baseline, round by round."""
    subject = results[SUBJECT]
    if not subject.samples:
        return Verdict(row=row, remark=_not_measured(subject.reason))
    figures = [row.figure(sample) for sample in subject.samples]
    faults = tuple(dict.fromkeys(fault for sample in subject.samples for fault in sample.faults))
    if row.fixed is not None:
        against, reason = [row.fixed] * len(figures), ""
    else:
        entry = results[row.baseline]
        against, reason = [row.figure(sample) for sample in entry.samples], entry.reason
    ratios = tuple(ours / theirs for ours, theirs in zip(figures, against, strict=False) if theirs > 0)
    remarks = [subject.reason, reason if ratios else _not_measured(reason), _missed(row, results), *faults]
    return Verdict(
        row=row,
        ratios=ratios,
        median=median(figures),
        remark="; ".join(filter(None, remarks)),
        faults=faults,
    )


def _missed(row: Row, results: Results) -> str:
    """Say so where the baseline did less than the subject: its figure flatters it."""
    ours = results[SUBJECT].samples
    # One that is slow may have been asked for less.
    theirs = [
        sample.found for sample in results.get(row.baseline, Entry()).samples if sample.asked == ours[0].asked
    ]
    most = max(sample.found for sample in ours)
    if not theirs or min(theirs) >= most:
        return ""
    return f"{row.baseline} found only {min(theirs):,} of {most:,}"


def _not_measured(reason: str) -> str:
    return f"not measured: {reason or 'the baseline has no figure'}"


def wanted(rows: Iterable[Row], prefixes: Iterable[str]) -> tuple[Row, ...]:
    """Return the rows whose name begins with one of the prefixes; all, where there are none."""
    chosen = tuple(prefixes)
    return tuple(row for row in rows if not chosen or row.name.startswith(chosen))
