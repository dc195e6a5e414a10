"""The farm: nginx and the odd addresses of one scenario, started and stopped with it."""

import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

from bench.measure import NotMeasured
from bench.scan import certificates
from bench.scan.nginx import SPARE, STATUS, configuration
from bench.scan.plan import PORT, Plan
from bench.scan.profiles import FILTERED, PROFILES, SILENT, SSH

PATIENCE = timedelta(seconds=30)
ODD = Path(__file__).with_name("odd.py")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Farm:
    """A running farm."""

    plan: Plan
    certificates: Path
    places: Path
    """A file of ADDRESS:PORT lines."""
    addresses: Path
    """A file of the addresses alone."""
    nginx: int
    """The process id of its master."""

    def cpu(self) -> float:
        """Return the seconds of CPU that nginx has spent so far, user and system."""
        return sum(_ticks(pid) for pid in _children(self.nginx)) / TICKS

    def accepted(self) -> int:
        """Return how many connections nginx has accepted so far, those that ask for this number among them."""
        # A constant address on loopback.
        with urlopen(f"http://{STATUS}:{PORT}/", timeout=PATIENCE.total_seconds()) as answer:
            numbers = re.findall(r"\d+", answer.read().decode())
        return int(numbers[1])


@contextmanager
def running(plan: Plan, *, folder: Path) -> Iterator[Farm]:
    """Start the farm of a plan, files below `folder`, and stop it at the end.

    Raises:
        NotMeasured: it cannot be started here; the message says why.
    """
    _raise_limit(plan.listening + SPARE)
    _refuse_company()
    (folder / "temporary").mkdir(parents=True, exist_ok=True)
    kept = folder / "certificates"
    certificates.ensure(kept, now=datetime.now(UTC))
    with ExitStack() as stack:
        stack.enter_context(_odd(plan))
        pid = stack.enter_context(_nginx(plan, folder=folder, kept=kept))
        yield Farm(
            plan=plan,
            certificates=kept,
            places=_write(folder / "places.txt", [f"{address}:{PORT}" for address in plan.kinds]),
            addresses=_write(folder / "addresses.txt", list(plan.kinds)),
            nginx=pid,
        )


def _raise_limit(files: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < files:
        raise NotMeasured(
            f"the farm needs {files:,} open files, the hard limit here is {hard:,} (ulimit -Hn)"
        )
    # All that is allowed, for everybody alike: scanners take what they get.
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _refuse_company() -> None:
    with suppress(OSError), socket.create_connection((STATUS, PORT), timeout=1):
        raise NotMeasured(
            f"something listens on {STATUS}:{PORT} already; two benches at a time ruin each other's figures"
        )


def _write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@contextmanager
def _odd(plan: Plan) -> Iterator[None]:
    lines = [f"{address} {kind}\n" for address, kind in plan.kinds.items() if kind in (SILENT, SSH, FILTERED)]
    process = subprocess.Popen(
        [sys.executable, str(ODD), str(PORT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with _ended(process):
        if process.stdin is None or process.stdout is None:
            raise AssertionError  # both are pipes
        process.stdin.writelines(lines)
        process.stdin.close()
        if process.stdout.readline().strip() != "ready":
            raise NotMeasured("the servers without TLS did not start; what they said is above")
        yield


@contextmanager
def _nginx(plan: Plan, *, folder: Path, kept: Path) -> Iterator[int]:
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if program is None:
        raise NotMeasured("nginx is missing")
    served = {address: kind for address, kind in plan.kinds.items() if kind in PROFILES or kind == "http"}
    file, log = folder / "nginx.conf", folder / "nginx.log"
    file.write_text(configuration(served, folder=folder, certificates=kept))
    log.unlink(missing_ok=True)
    with log.open("a") as errors:
        process = subprocess.Popen(
            [program, "-c", str(file), "-e", str(log)], stdin=subprocess.DEVNULL, stderr=errors
        )
    with _ended(process):
        _wait_for(process, log)
        yield process.pid


def _wait_for(process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urlopen(f"http://{STATUS}:{PORT}/", timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise NotMeasured(f"nginx did not start: {log.read_text()[-300:].strip()}")


@contextmanager
def _ended(process: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE.total_seconds())
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _children(parent: int) -> list[int]:
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(pid) for pid in text.split()]


def _ticks(pid: int) -> int:
    # proc(5): utime and stime are the 14th and 15th field; the 2nd, a name, may hold blanks.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
