"""From an event to a channel: alerts opened, delivered and their outcome kept, beside the transport alone."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import NotMeasured, Usage
from bench.rows import SUBJECT, Contestant, Row, Sample, Scenario

ALERTS = 1_000
LIMIT = 600
BARE = "bare httpx"


def _cpu(sample: Sample) -> float:
    return sample.cpu_per_thousand


ROWS = (
    Row(name="alerts.rate", scenario="telling", unit="CPU s/1,000", figure=_cpu, goal=10.0, baseline=BARE),
)


@dataclass(frozen=True, kw_only=True)
class AlertSuite:
    """Rows `alerts.*`."""

    rows: tuple[Row, ...] = ROWS

    @contextmanager
    def stage(self, name: str, *, folder: Path, scale: float) -> Iterator[Scenario]:
        """Start a receiver."""
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
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", module, str(count), str(folder), str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    if done.returncode:
        raise NotMeasured(f"it ended with {done.returncode}: {done.stderr[-300:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    usage = Usage(wall=told["wall"], cpu=told["cpu"], peak_mib=0, exit_code=0, said=done.stdout)
    return Sample(usage=usage, asked=told["count"], found=told["count"])
