"""Row `chaos.platform`: hundreds of lifecycles while everything that the platform is made of and stands on is struck."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import NotMeasured, Usage
from bench.rows import SUBJECT, Contestant, Row, Sample, Scenario
from tests.chaos.run import Storm
from tests.chaos.stage import staged
from tests.servers.processes import MissingServer

LIFECYCLES = 320
SITES = 40
"""So few rounds, that the clock jumps by less than the first token is good for."""
SEED = 2026


def _seconds_each(sample: Sample) -> float:
    return sample.usage.wall / sample.asked


ROWS = (
    Row(
        name="chaos.platform",
        scenario="platform",
        unit="s/lifecycle",
        figure=_seconds_each,
        goal=1.0,
        baseline="10 s",
        fixed=10.0,
    ),
)


@dataclass(frozen=True, kw_only=True)
class ChaosSuite:
    """Rows `chaos.*`."""

    rows: tuple[Row, ...] = ROWS

    @contextmanager
    def stage(self, name: str, *, folder: Path, scale: float) -> Iterator[Scenario]:  # noqa: ARG002 - PostgreSQL needs a folder of its own
        """Start everything; raises NotMeasured where a real server is missing."""
        lifecycles = max(2 * SITES, round(LIFECYCLES * scale))  # nothing is struck before each site has one
        try:
            with staged(sites=SITES, replicas=2, nodes=3) as stage:
                title = f"{lifecycles:,} lifecycles while everything is struck (seed {SEED})"
                storm = Storm(stage, seed=SEED)
                run = Contestant(name=SUBJECT, run=lambda: _run(storm, lifecycles), at_most=1)
                yield Scenario(name=name, title=title, contestants=(run,))
        except MissingServer as error:
            raise NotMeasured(str(error)) from error


def _run(storm: Storm, lifecycles: int) -> Sample:
    began = time.monotonic()
    tally = storm.run(lifecycles=lifecycles)
    print(tally)
    usage = Usage(wall=time.monotonic() - began, cpu=0, peak_mib=0, exit_code=0, said=str(tally))
    return Sample(usage=usage, asked=tally.lifecycles, found=tally.lifecycles, faults=tuple(tally.wrong[:5]))
