"""From an event to a channel: alerts opened, delivered and their outcome kept, beside the transport alone."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure import NotMeasured, Usage
from bench.rows import SUBJECT, Contestant, Row, Sample, Scenario

ALERTS = 1_000
LIMIT = 600
BARE = "bare httpx"


def _cpu(sample: Sample) -> float:
    return sample.cpu_per_thousand


ENOUGH = 25
"""Messages to people about a flood: 20 alone, a digest for each minute that it touches, and word of a channel that is away."""
FLOOD = 10_000
FLOOD_LIMIT = 3600


def _told(sample: Sample) -> float:
    return sample.found


ROWS = (
    Row(name="alerts.rate", scenario="telling", unit="CPU s/1,000", figure=_cpu, goal=10.0, baseline=BARE),
    Row(
        name="alerts.flood",
        scenario="flood",
        unit="messages to people",
        figure=_told,
        goal=1.0,
        baseline="20, two digests, and that a channel is away",
        fixed=ENOUGH,
    ),
)


@dataclass(frozen=True, kw_only=True)
class AlertSuite:
    """Rows `alerts.*`."""

    rows: tuple[Row, ...] = ROWS

    @contextmanager
    def stage(self, name: str, *, folder: Path, scale: float) -> Iterator[Scenario]:
        """Start a receiver; a flood has its own."""
        if name == "flood":
            count, data = max(100, round(FLOOD * scale)), folder / "flood"
            flood = Contestant(name=SUBJECT, run=lambda: _flood(count, data), at_most=1)
            title = f"{count:,} certificates cross a threshold within a minute, and a receiver is away for three hours"
            yield Scenario(name=name, title=title, contestants=(flood,))
            shutil.rmtree(data, ignore_errors=True)
            return
        count, data = max(100, round(ALERTS * scale)), folder / "alerts"
        with _receiver() as port:
            contestants = (
                Contestant(name=SUBJECT, run=lambda: _sample("bench.alerts.telling", count, data, port)),
                Contestant(name=BARE, run=lambda: _sample("bench.alerts.bare", count, data, port)),
            )
            title = f"{count:,} certificates that expire: from the event to the webhook, in SQLite"
            yield Scenario(name=name, title=title, contestants=contestants)
        shutil.rmtree(data, ignore_errors=True)


@contextmanager
def _receiver() -> Iterator[int]:
    command = [sys.executable, "-m", "bench.alerts.sink"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise NotMeasured("the receiver says nothing")
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _sample(module: str, count: int, folder: Path, port: int) -> Sample:
    [*_, told] = _run(module, str(count), folder=folder, more=(str(port),), limit=LIMIT)
    return Sample(usage=_usage(told), asked=told["count"], found=told["count"])


def _flood(count: int, folder: Path) -> Sample:
    [*_, took, told] = _run("bench.alerts.flood", str(count), folder=folder, more=(), limit=FLOOD_LIMIT)
    return Sample(
        usage=_usage(took), asked=count, found=told["tally"]["people"], faults=tuple(told["faults"])
    )


def _run(
    module: str, count: str, *, folder: Path, more: tuple[str, ...], limit: float
) -> list[dict[str, Any]]:
    """Return what a contestant has printed, line by line."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", module, count, str(folder), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    if done.returncode:
        raise NotMeasured(f"it ended with {done.returncode}: {done.stderr[-300:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _usage(took: dict[str, Any]) -> Usage:
    return Usage(wall=took["wall"], cpu=took["cpu"], peak_mib=0, exit_code=0, said=json.dumps(took))
