"""The goals of the scanner, one row each."""

from datetime import timedelta

from bench.rows import Row, Sample
from bench.scan import peers
from bench.scan.replicas import ONE

DEADLINE = timedelta(seconds=3)
"""The time-out where silence is what is measured."""
WIDE, SMALL = "127.0.0.0/8", "127.0.0.0/20"
SWEPT = "127.64.0.0/16"
ONE_CORE = "everleaf, one process"
CPU = "CPU s/1,000"


def _cpu(sample: Sample) -> float:
    return sample.cpu_per_thousand


def _server_cpu(sample: Sample) -> float:
    return sample.server_cpu_per_thousand


def _wall(sample: Sample) -> float:
    return sample.usage.wall


def _peak(sample: Sample) -> float:
    return sample.usage.peak_mib


def _against(name: str, scenario: str, *, peer: peers.Peer, goal: float) -> Row:
    return Row(name=name, scenario=scenario, unit=CPU, figure=_cpu, goal=goal, baseline=peer.name)


def _within(name: str, scenario: str, *, seconds: float, words: str) -> Row:
    return Row(name=name, scenario=scenario, unit="s", figure=_wall, goal=1, baseline=words, fixed=seconds)


def _faster(name: str, scenario: str, *, peer: peers.Peer) -> Row:
    return Row(name=name, scenario=scenario, unit="s", figure=_wall, goal=1, baseline=peer.name)


ROWS = (
    _against("scan.cheap", "cheap", peer=peers.GO, goal=0.5),
    _against("scan.cheap_floor", "cheap", peer=peers.FLOOR, goal=4),
    _against("scan.mix", "mix", peer=peers.GO, goal=0.5),
    _against("scan.sparse", "sparse", peer=peers.GO, goal=0.8),
    _against("scan.sparse_nmap", "sparse", peer=peers.NMAP_CERT, goal=0.25),
    _within("scan.dirty", "dirty", seconds=DEADLINE.total_seconds() + 1.5, words="time-out + 1.5 s"),
    _within("scan.filtered", "filtered", seconds=DEADLINE.total_seconds() + 1, words="time-out + 1 s"),
    _within("scan.full_one", "full_one", seconds=0.5, words="0.5 s"),
    _faster("scan.full_one_nmap", "full_one", peer=peers.NMAP_ENUM),
    _faster("scan.full_one_sslscan", "full_one", peer=peers.SSLSCAN),
    _faster("scan.full_one_sslyze", "full_one", peer=peers.SSLYZE),
    _against("scan.full_60", "full_60", peer=peers.NMAP_ENUM, goal=0.5),
    Row(
        name="scan.memory",
        scenario="cheap",
        unit="MiB",
        figure=_peak,
        goal=1,
        baseline="80 MiB",
        fixed=80,
    ),
    Row(
        name="scan.memory_wide",
        scenario="memory",
        unit="MiB",
        figure=_peak,
        goal=1.1,
        baseline=f"everleaf {SMALL}",
    ),
    Row(name="scan.cores", scenario="cores", unit="s", figure=_wall, goal=0.7, baseline=ONE_CORE),
    Row(name="scan.cores_cpu", scenario="cores", unit=CPU, figure=_cpu, goal=1.2, baseline=ONE_CORE),
    Row(name="scan.replicas", scenario="replicas", unit="s", figure=_wall, goal=0.9, baseline=ONE),
    Row(
        name="scan.target_cost",
        scenario="cheap",
        unit="nginx CPU s/1,000",
        figure=_server_cpu,
        goal=0.75,
        baseline=peers.GO.name,
    ),
)
