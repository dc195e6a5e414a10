"""The built-in authority, alone and from an order that is due to one that is renewed; and a change of the key-encryption key."""

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

ORDERS, SECRETS = 2_000, 100_000
HOUR = 3600
LIMIT = 600
BARE = "bare cryptography"


def _cpu(sample: Sample) -> float:
    return sample.cpu_per_thousand


def _wall(sample: Sample) -> float:
    return sample.usage.wall


ROWS = (
    Row(
        name="issue.authority",
        scenario="authority",
        unit="CPU s/1,000",
        figure=_cpu,
        goal=2.0,
        baseline=BARE,
    ),
    Row(
        name="issue.builtin",
        scenario="orders",
        unit="CPU s/1,000",
        figure=_cpu,
        goal=2.0,
        baseline=BARE,
    ),
    Row(
        name="rewrap.100k",
        scenario="rewrap",
        unit="s",
        figure=_wall,
        goal=1.0,
        baseline="one hour",
        fixed=HOUR,
    ),
)


@dataclass(frozen=True, kw_only=True)
class IssueSuite:
    """Rows `issue.*` and `rewrap.*`."""

    rows: tuple[Row, ...] = ROWS

    @contextmanager
    def stage(self, name: str, *, folder: Path, scale: float) -> Iterator[Scenario]:
        """Have nothing to start."""
        data = folder / "issue"
        if name == "rewrap":
            yield _rewrap(max(100, round(SECRETS * scale)), data)
            shutil.rmtree(data, ignore_errors=True)
            return
        count = max(100, round(ORDERS * scale))
        module, title = _SCENARIOS[name]
        contestants = (
            Contestant(name=SUBJECT, run=lambda: _ours(module, count, data)),
            Contestant(name=BARE, run=lambda: _sample("bench.issue.bare", str(count))),
        )
        title = f"{count:,} ECDSA certificates: {title}"
        yield Scenario(name=name, title=title, contestants=contestants)
        shutil.rmtree(data, ignore_errors=True)


def _rewrap(count: int, data: Path) -> Scenario:
    ours = Contestant(name=SUBJECT, run=lambda: _ours("bench.issue.rewrap", count, data))
    title = f"{count:,} secrets wrapped by another key-encryption key, in SQLite"
    return Scenario(name="rewrap", title=title, contestants=(ours,))


_SCENARIOS = {
    "authority": ("bench.issue.authority", "key, request, signature, and the books in SQLite"),
    "orders": ("bench.issue.orders", "from an order that is due to the event in the outbox, in SQLite"),
}


def _ours(module: str, count: int, folder: Path) -> Sample:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return _sample(module, str(count), str(folder))


def _sample(module: str, *words: str) -> Sample:
    done = subprocess.run(
        [sys.executable, "-m", module, *words], capture_output=True, text=True, timeout=LIMIT, check=False
    )
    if done.returncode:
        raise NotMeasured(f"it ended with {done.returncode}: {done.stderr[-300:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    usage = Usage(wall=told["wall"], cpu=told["cpu"], peak_mib=0, exit_code=0, said=done.stdout)
    return Sample(usage=usage, asked=told["count"], found=told["count"])
