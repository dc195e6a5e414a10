"""The command line of everybody who scans the farm, and how to read what they found."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from bench.measure import NotMeasured
from bench.scan.plan import PORT

EVERLEAF = Path(sys.executable).with_name("everleaf")
ASYNCIO = Path(__file__).with_name("asyncio_scan.py")


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be scanned, and how."""

    places: Path
    """ADDRESS:PORT lines."""
    addresses: Path
    """Addresses alone; the port is PORT."""
    output: Path
    timeout: timedelta
    concurrency: int
    installed: Path
    """Where the peers are that Debian does not have."""

    @property
    def seconds(self) -> str:
        """The time-out of one connection."""
        return f"{self.timeout.total_seconds():g}"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Another scanner."""

    name: str
    command: Callable[[Job], list[str]]
    """The first word is the program."""
    count: Callable[[Path, str], int]
    """From its output file and the end of what it said: how many it found to speak TLS."""
    at_most: int | None = None
    """Rounds that are enough, where one takes long."""


def everleaf(job: Job, *, depth: str) -> list[str]:
    """Return the product's command line, as a user would type it."""
    options = ["--timeout", job.seconds, "--concurrency", str(job.concurrency), "--depth", depth]
    return [str(EVERLEAF), "scan", "--targets", str(job.places), *options, "--output", str(job.output)]


def everleaf_excluding(network: str, *, output: Path) -> list[str]:
    """Return the command line that walks a network and asks nobody: every address is on the deny list."""
    return [str(EVERLEAF), "scan", network, "--exclude", network, "--output", str(output)]


def everleaf_sweeping(network: str, *, port: int, processes: int | None, output: Path) -> list[str]:
    """Return the command line that looks at one port of a network; None is as many processes as it likes."""
    options = ["--ports", str(port), "--output", str(output)]
    if processes is not None:
        options += ["--processes", str(processes)]
    return [str(EVERLEAF), "scan", network, *options]


def require(program: str) -> None:
    """Raise NotMeasured where the program is not there."""
    if shutil.which(program) is None:
        raise NotMeasured(f"{Path(program).name} is missing")


def _go(job: Job) -> list[str]:
    options = ["-c", str(job.concurrency), "-t", f"{job.seconds}s", "-o", str(job.output)]
    return [str(job.installed / "goscan"), "-l", str(job.places), *options]


def _floor(job: Job) -> list[str]:
    return [str(job.installed / "floor"), str(job.places), str(job.concurrency)]


def _asyncio(job: Job) -> list[str]:
    options = ["--timeout", job.seconds, "--concurrency", str(job.concurrency), "--output", str(job.output)]
    return [sys.executable, str(ASYNCIO), str(job.places), *options]


def _nmap(scripts: str) -> Callable[[Job], list[str]]:
    def command(job: Job) -> list[str]:
        port = ["-n", "-Pn", "-p", str(PORT)]
        return ["nmap", *port, "--script", scripts, "-iL", str(job.addresses), "-oN", str(job.output)]

    return command


def _sslscan(job: Job) -> list[str]:
    return ["sslscan", "--no-colour", f"--xml={job.output}", f"--targets={job.places}"]


def _sslyze(job: Job) -> list[str]:
    versions = ["--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3"]
    looks = ["--certinfo", "--elliptic_curves", "--mozilla_config=disable"]
    files = ["--targets_in", str(job.places), "--json_out", str(job.output)]
    return [str(job.installed / "venv/bin/sslyze"), *versions, *looks, *files]


def _said_ok(_: Path, said: str) -> int:
    numbers = re.findall(r'"ok": (\d+)', said)
    return int(numbers[-1]) if numbers else 0


def _containing(text: str) -> Callable[[Path, str], int]:
    def count(output: Path, _: str) -> int:
        return (
            sum(text in line for line in output.read_text(errors="replace").splitlines())
            if output.exists()
            else 0
        )

    return count


def _sslyze_results(output: Path, _: str) -> int:
    if not output.exists():
        return 0
    results = json.loads(output.read_text())["server_scan_results"]
    return sum(result["scan_status"] == "COMPLETED" for result in results)


GO = Peer(name="Go crypto/tls", command=_go, count=_said_ok)
FLOOR = Peer(name="C floor", command=_floor, count=_said_ok)
ASYNCIO_SSL = Peer(name="asyncio + ssl", command=_asyncio, count=_said_ok)
NMAP_CERT = Peer(name="nmap ssl-cert", command=_nmap("ssl-cert"), count=_containing("ssl-cert:"), at_most=3)
NMAP_ENUM = Peer(
    name="nmap ssl-enum-ciphers",
    command=_nmap("ssl-enum-ciphers,ssl-cert"),
    count=_containing("ssl-enum-ciphers:"),
)
SSLSCAN = Peer(name="sslscan", command=_sslscan, count=_containing("<subject>"))
SSLYZE = Peer(name="sslyze", command=_sslyze, count=_sslyze_results)
