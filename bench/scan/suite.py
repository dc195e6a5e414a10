"""The scan scenarios: who scans what, with which time-out, and the rows that are read from it."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from time import sleep

from bench.measure import NotMeasured, Usage, measure
from bench.rows import SUBJECT, Contestant, Row, Sample, Scenario
from bench.scan import completeness, peers, plan
from bench.scan.farm import Farm, running
from bench.scan.peers import Job, Peer
from bench.scan.replicas import sharing
from bench.scan.rows import DEADLINE, ONE_CORE, ROWS, SMALL, SWEPT, WIDE

LIMIT = timedelta(minutes=5)
"""One run of anybody."""
WALK = timedelta(seconds=6)
"""How long the /8 is walked: a list of it would be there by then."""
SETTLE = timedelta(seconds=0.3)
"""For the servers to close what a scanner left open: it belongs to its bill."""
LAST_WORDS = 240


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How one list is scanned; time-outs are generous where the farm shares the machine with the scanner."""

    title: str
    timeout: timedelta = timedelta(seconds=10)
    concurrency: int = 1000
    depth: str = "fast"
    peers: tuple[Peer, ...] = field(default=())


SETTINGS = {
    "cheap": Setting(title="live, one kind of server", peers=(peers.GO, peers.FLOOR, peers.ASYNCIO_SSL)),
    "mix": Setting(
        title="live, a realistic mix", timeout=timedelta(seconds=20), concurrency=300, peers=(peers.GO,)
    ),
    "sparse": Setting(title="5 % live, the others refuse", peers=(peers.GO, peers.NMAP_CERT)),
    "dirty": Setting(title="closed, HTTP, SSH, silent and live", timeout=DEADLINE, peers=(peers.GO,)),
    "filtered": Setting(
        title="5 % live, the others drop SYN", timeout=DEADLINE, concurrency=2500, peers=(peers.GO,)
    ),
    "full_one": Setting(
        title="everything about one rich server",
        depth="full",
        peers=(peers.NMAP_ENUM, peers.SSLSCAN, peers.SSLYZE),
    ),
    "full_60": Setting(title="everything about each of a mix", depth="full", peers=(peers.NMAP_ENUM,)),
}


class ScanSuite:
    """Rows `scan.*`."""

    rows: tuple[Row, ...] = ROWS

    @contextmanager
    def stage(self, name: str, *, folder: Path, scale: float) -> Iterator[Scenario]:
        """Start the farm of a scenario; raises NotMeasured where it cannot be started."""
        if name == "memory":
            yield _memory(folder)
            return
        if name == "cores":
            yield _cores(folder)
            return
        if name == "replicas":
            with sharing() as scenario:
                yield scenario
            return
        setting = SETTINGS[name]
        with running(plan.make(name, scale=scale), folder=folder / "farm") as farm:
            bout = Bout(farm=farm, setting=setting, folder=folder)
            title = f"{len(farm.plan.kinds):,} asked, {farm.plan.live:,} with TLS ({setting.title})"
            yield Scenario(name=name, title=title, contestants=bout.contestants())


@dataclass(frozen=True, kw_only=True)
class Bout:
    """The contestants of one list, against one farm."""

    farm: Farm
    setting: Setting
    folder: Path

    def contestants(self) -> tuple[Contestant, ...]:
        """Return the subject and its peers."""
        subject = Contestant(name=SUBJECT, run=self._run_subject)
        return (subject, *map(self._contestant, self.setting.peers))

    def _contestant(self, peer: Peer) -> Contestant:
        return Contestant(name=peer.name, run=lambda: self._run_peer(peer), at_most=peer.at_most)

    def _run_peer(self, peer: Peer) -> Sample:
        job = self._job("peer.out")
        usage, cost = self._measure(peer.command(job))
        found = peer.count(job.output, usage.said)
        if not found:
            raise NotMeasured(f"{peer.name} found nothing: {_last_words(usage)}")
        return Sample(usage=usage, asked=len(self.farm.plan.kinds), found=found, server_cpu=cost)

    def _run_subject(self) -> Sample:
        job = self._job("everleaf.jsonl")
        before = self.farm.accepted()
        usage, cost = self._measure(peers.everleaf(job, depth=self.setting.depth))
        # The two questions themselves are one connection between them.
        connections = self.farm.accepted() - before - 1
        records = completeness.read(job.output)
        if not records:
            raise NotMeasured(_last_words(usage))
        return Sample(
            usage=usage,
            asked=len(self.farm.plan.kinds),
            found=completeness.count_tls(records),
            server_cpu=cost,
            faults=(*_cut_short(usage), *self._faults(records, connections)),
        )

    def _faults(self, records: Sequence[completeness.Record], connections: int) -> tuple[str, ...]:
        kept = self.farm.certificates
        faults = completeness.check(records, plan=self.farm.plan, certificates=kept)
        if "deep" not in self.farm.plan.kinds.values():
            return faults
        return (*faults, *completeness.check_depth(records[0], certificates=kept, connections=connections))

    def _job(self, output: str) -> Job:
        path = self.folder / output
        path.unlink(missing_ok=True)
        return Job(
            places=self.farm.places,
            addresses=self.farm.addresses,
            output=path,
            timeout=self.setting.timeout,
            concurrency=self.setting.concurrency,
            installed=self.folder,
        )

    def _measure(self, command: list[str]) -> tuple[Usage, float]:
        peers.require(command[0])
        before = self.farm.cpu()
        usage = measure(command, folder=self.folder, limit=LIMIT)
        sleep(SETTLE.total_seconds())
        return usage, self.farm.cpu() - before


def _memory(folder: Path) -> Scenario:
    contestants = (
        Contestant(name=SUBJECT, run=_walk(WIDE, folder)),
        Contestant(name=f"everleaf {SMALL}", run=_walk(SMALL, folder)),
    )
    return Scenario(
        name="memory", title=f"{WIDE} walked for {WALK.seconds} s, all excluded", contestants=contestants
    )


def _walk(network: str, folder: Path) -> Callable[[], Sample]:
    def run() -> Sample:
        output = folder / "walk.jsonl"
        output.unlink(missing_ok=True)
        command = peers.everleaf_excluding(network, output=output)
        peers.require(command[0])
        usage = measure(command, folder=folder, limit=WALK)
        walked = _lines(output)
        output.unlink(missing_ok=True)
        if not walked:
            raise NotMeasured(f"nothing was walked within {WALK.seconds} s: {_last_words(usage)}")
        return Sample(usage=usage, asked=walked, found=0)

    return run


def _cores(folder: Path) -> Scenario:
    # Nobody listens there: servers on the same cores would take what the second process could use.
    contestants = (
        Contestant(name=SUBJECT, run=_sweep(folder, processes=None)),
        Contestant(name=ONE_CORE, run=_sweep(folder, processes=1)),
    )
    title = f"{SWEPT}, all refuse, on {len(os.sched_getaffinity(0))} cores"
    return Scenario(name="cores", title=title, contestants=contestants)


def _sweep(folder: Path, *, processes: int | None) -> Callable[[], Sample]:
    places = ip_network(SWEPT).num_addresses

    def run() -> Sample:
        output = folder / "sweep.jsonl"
        output.unlink(missing_ok=True)
        command = peers.everleaf_sweeping(SWEPT, port=plan.PORT, processes=processes, output=output)
        peers.require(command[0])
        usage = measure(command, folder=folder, limit=LIMIT)
        seen = _lines(output)
        output.unlink(missing_ok=True)
        if not seen:
            raise NotMeasured(_last_words(usage))
        faults = () if seen == places else (f"{seen:,} of {places:,} were looked at",)
        return Sample(usage=usage, asked=places, found=0, faults=faults)

    return run


def _lines(path: Path) -> int:
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _cut_short(usage: Usage) -> tuple[str, ...]:
    return (f"not done after {LIMIT.seconds} s",) if usage.is_cut_short else ()


def _last_words(usage: Usage) -> str:
    words = " ".join(usage.said.split()).removeprefix(f"{SUBJECT}: ")
    return words[-LAST_WORDS:] or f"it said nothing and exited with {usage.exit_code}"
