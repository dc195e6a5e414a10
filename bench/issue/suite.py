"""The built-in authority, alone and from an order that is due to one that is renewed; an ACME authority; a change of the key-encryption key."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from bench.measure import NotMeasured, Usage
from bench.rows import SUBJECT, Contestant, Row, Sample, Scenario
from tests.servers.pebble import Pebble, PebbleOptions
from tests.servers.processes import MissingServer
from tests.servers.tls import CertificateAuthority

ORDERS, SECRETS, ACME_ORDERS = 2_000, 100_000, 200
AT_ONCE = 20
"""ACME orders in flight, of either contestant."""
PEBBLES_WAIT = 3
"""Seconds that Pebble asks its clients to wait between two looks, by its own example configuration."""
HOUR = 3600
LIMIT = 600
STANDS_STILL, PEBBLES = 120, 5
"""Seconds after which Pebble has stood still, and how many are tried: 2.4 waits now and then for a lock of its own for ever."""
BARE = "bare cryptography"
GO = "Go x/crypto/acme"


def _cpu(sample: Sample) -> float:
    return sample.cpu_per_thousand


def _wall(sample: Sample) -> float:
    return sample.usage.wall


def _wall_per_thousand(sample: Sample) -> float:
    return sample.usage.wall / sample.asked * 1000


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
        name="issue.pebble",
        scenario="acme",
        unit="s/1,000",
        figure=_wall_per_thousand,
        goal=1.25,
        baseline=GO,
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
        if name == "acme":
            with _acme(max(20, round(ACME_ORDERS * scale)), folder) as scenario:
                yield scenario
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


@contextmanager
def _acme(count: int, folder: Path) -> Iterator[Scenario]:
    """Let each contestant have a Pebble of its own at each turn."""
    data, client = folder / "issue", str(folder / "acme")

    def ours(pebble: Pebble) -> Sample:
        words = (pebble.dir_url, str(pebble.ca_pem), str(pebble.http01_port), str(AT_ONCE))
        return _ours("bench.issue.acme_orders", count, data, *words, limit=STANDS_STILL)

    def theirs(pebble: Pebble) -> Sample:
        options = {"-d": pebble.dir_url, "-ca": str(pebble.ca_pem), "-l": f"127.0.0.1:{pebble.http01_port}"}
        options |= {"-n": str(count), "-c": str(AT_ONCE)}
        return _told([client, *chain.from_iterable(options.items())], limit=STANDS_STILL)

    home = folder / "pebble"
    contestants = (
        Contestant(name=SUBJECT, run=lambda: _at_a_pebble(home, ours)),
        Contestant(name=GO, run=lambda: _at_a_pebble(home, theirs)),
    )
    yield Scenario(name="acme", title=f"{count:,} certificates of Pebble by http-01", contestants=contestants)
    shutil.rmtree(data, ignore_errors=True)


def _at_a_pebble(home: Path, run: Callable[[Pebble], Sample]) -> Sample:
    """Run at a fresh Pebble, which takes its time to validate and asks its clients to wait, as it does if not told otherwise."""
    options = PebbleOptions(takes_its_time=True, retry_after=PEBBLES_WAIT)
    for _ in range(PEBBLES):
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        pebble = Pebble(home, options=options, ca=CertificateAuthority("API root"))
        try:
            pebble.start()
            return run(pebble)
        except subprocess.TimeoutExpired:
            continue
        except MissingServer as error:
            raise NotMeasured(str(error)) from error
        finally:
            pebble.close()
    raise NotMeasured(f"Pebble stood still {PEBBLES} times")


_SCENARIOS = {
    "authority": ("bench.issue.authority", "key, request, signature, and the books in SQLite"),
    "orders": ("bench.issue.orders", "from an order that is due to the event in the outbox, in SQLite"),
}


def _ours(module: str, count: int, folder: Path, *words: str, limit: float = LIMIT) -> Sample:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return _sample(module, str(count), str(folder), *words, limit=limit)


def _sample(module: str, *words: str, limit: float = LIMIT) -> Sample:
    return _told([sys.executable, "-m", module, *words], limit=limit)


def _told(command: Sequence[str], *, limit: float) -> Sample:
    if shutil.which(command[0]) is None:
        raise NotMeasured(f"{Path(command[0]).name} is missing")
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    if done.returncode:
        raise NotMeasured(f"it ended with {done.returncode}: {done.stderr[-300:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    usage = Usage(wall=told["wall"], cpu=told["cpu"], peak_mib=0, exit_code=0, said=done.stdout)
    return Sample(usage=usage, asked=told["count"], found=told["count"])
