"""What a look at many places brings in, step by step: rows to put down, and what they come to."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from services.cli.gate import Gate
from services.cli.results import Results
from services.discovery.domain.answers import Outcome
from services.discovery.domain.looks import Reach
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Walk
from services.discovery.scanner.engine import Engine, Tempo
from services.discovery.scanner.look import Asker, inquiry_of
from services.discovery.scanner.pace import Sockets

WAIT = 0.2
"""Seconds without an answer after which the engine says so."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be looked at, how, and what is made of it."""

    walk: Walk
    permits: Callable[[str, int], bool]
    reach: Reach
    tempo: Tempo
    gate: Gate
    results: Results[Any]


@dataclass(kw_only=True)
class Harvest:
    """What has been seen."""

    counts: Counter[Outcome] = field(default_factory=Counter)
    certificates: int = 0
    """Places that showed one."""
    findings: list[str] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)
    """For `Results.put`."""

    def add(self, sighting: Sighting, job: Job) -> None:
        """Bring in one sighting."""
        self.counts[sighting.outcome] += 1
        row = job.results.row(sighting)
        if row is not None:
            self.rows.append(row)
        if sighting.chain:
            self.certificates += 1
            self.findings += job.gate.check(sighting)

    def take(self, other: "Harvest") -> None:
        """Count another one in; its rows are put down elsewhere."""
        self.counts += other.counts
        self.certificates += other.certificates
        self.findings += other.findings


def harvest(job: Job) -> Iterator[Harvest]:
    """Look at all places, and yield what each step brings, if anything."""
    sockets = Sockets(job.tempo.concurrency)
    engine = Engine(
        job.walk.places(),
        permits=job.permits,
        inquire=inquiry_of(job.reach, Asker()),
        tempo=job.tempo,
        sockets=sockets,
    )
    with closing(engine):
        while not engine.is_done:
            brought = Harvest()
            for sighting in engine.step(wait=WAIT):
                brought.add(sighting, job)
            if brought.counts:
                yield brought
