"""What running a command costs: the one definition of wall, CPU and memory for every contestant."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

TOLD = 4_000
"""Characters of its output that are kept: enough for its last words."""
GRACE = timedelta(seconds=5)
ENDED_AT_THE_LIMIT = 124
"""What coreutils' `timeout` exits with."""


class NotMeasured(Exception):
    """A contestant could not take part; the message says why, in words for the table."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a whole process, its children included, took."""

    wall: float
    """Seconds from start to end."""
    cpu: float
    """Seconds of CPU, user and system."""
    peak_mib: float
    """The most memory that any one process of it held."""
    exit_code: int
    said: str
    """The end of what it wrote to stdout and stderr."""

    @property
    def is_cut_short(self) -> bool:
        """Whether it was ended at the limit."""
        return self.exit_code == ENDED_AT_THE_LIMIT


def measure(command: Sequence[str], *, folder: Path, limit: timedelta) -> Usage:
    """Run a command to its end, or to SIGTERM at `limit`, and return what it took.

    GNU time is the parent that is waited for: `ru_maxrss` is inherited across fork and exec, so a figure taken
    from here would be the size of this process. The limit is kept below it, so that a run cut short has figures too.

    Raises:
        NotMeasured: GNU time is not installed.
    """
    figures, output = folder / "time.txt", folder / "said.txt"
    figures.unlink(missing_ok=True)
    argv = [*_timed(figures), *_limited(limit), *map(str, command)]
    began = time.monotonic()
    with output.open("w") as file:
        exit_code = _run(argv, file.fileno())
    wall = time.monotonic() - began
    user, system, peak_kib = _figures(figures)
    said = output.read_text(errors="replace")[-TOLD:]
    return Usage(wall=wall, cpu=user + system, peak_mib=peak_kib / 1024, exit_code=exit_code, said=said)


def measure_together(commands: Sequence[Sequence[str]], *, limit: timedelta) -> Usage:
    """Run commands side by side, until the last has ended or `limit` is over, and return what they took together.

    Without GNU time between: the peak is that of the largest child of this process so far.
    """
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    children = [subprocess.Popen(list(command)) for command in commands]
    try:
        for child in children:
            child.wait(max(0.1, limit.total_seconds() - (time.monotonic() - began)))
    except subprocess.TimeoutExpired:
        for child in children:
            child.kill()
    codes = [child.wait() for child in children]
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    worst = next((code for code in codes if code), 0)
    return Usage(wall=wall, cpu=cpu, peak_mib=after.ru_maxrss / 1024, exit_code=worst, said="")


def _timed(figures: Path) -> list[str]:
    program = shutil.which("time")
    if program is None:
        raise NotMeasured("GNU time is missing")
    return [program, "--quiet", "--output", str(figures), "--format", "%U %S %M"]


def _limited(limit: timedelta) -> list[str]:
    seconds, grace = limit.total_seconds(), GRACE.total_seconds()
    return ["timeout", "--foreground", f"--kill-after={grace}", "--signal=TERM", str(seconds)]


def _run(argv: list[str], output: int) -> int:
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    )
    try:
        return process.wait()
    finally:
        # Whatever it left behind, or all of it when the bench is interrupted: its session is its own group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _figures(path: Path) -> tuple[float, float, float]:
    # With --quiet there is one line; a command that could not be started puts a complaint before it.
    user, system, peak = path.read_text().split()[-3:]
    return float(user), float(system), float(peak)


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU of a process that runs, its children and those that it has outlived."""
    ticks = _ticks(pid)
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            ticks += _ticks(int(child))
        except (FileNotFoundError, ProcessLookupError):  # counted with its parent's from now on
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    # proc(5): the 14th to 17th field, the last two of children that have ended; the 2nd, a name, may hold blanks.
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
