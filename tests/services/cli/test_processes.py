"""A scan in several processes: nothing is missed, nothing is said twice, and all of them end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.gate import Gate
from services.cli.harvest import Job
from services.cli.processes import divided, how_many
from services.cli.results import Lines
from services.discovery.domain.looks import Reach
from services.discovery.domain.targets import Segment, Walk
from services.discovery.scanner.engine import Tempo
from tests.servers.nginx import StartNginx
from tests.servers.processes import free_port

ROOT = Path(__file__).parents[3]
EVERLEAF = [sys.executable, "-c", "from services.cli import main; main()", "scan"]


def job(places: int, *, reach: Reach = Reach.FAST, tempo: Tempo | None = None) -> Job:
    segment = Segment(first="10.0.0.0", count=places, ports=((443, 443),))
    return Job(
        walk=Walk([segment]),
        permits=lambda *_: True,
        reach=reach,
        tempo=tempo or Tempo(),
        gate=Gate(""),
        results=Lines(sys.stdout),
    )


@pytest.fixture
def slow_scan() -> Iterator["subprocess.Popen[str]"]:
    """Run a scan in three processes that goes on for minutes, and has begun."""
    arguments = ["127.0.0.0/16", "--ports", str(free_port()), "--rate", "300", "--processes", "3"]
    with subprocess.Popen(
        [*EVERLEAF, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=_heed_interrupts,  # noqa: PLW1509 - no thread of ours holds a lock that it would need
    ) as scan:
        assert scan.stdout is not None
        assert scan.stdout.readline()
        yield scan
        scan.kill()


def _heed_interrupts() -> None:
    # A shell lets what it starts in the background ignore interrupts, and the tests may be in the background.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def all_gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.02)
    return False


def test_all_places_come_out_once_and_the_counts_add_up(start_nginx: StartNginx) -> None:
    nginx, closed = start_nginx("a.test"), free_port()
    arguments = ["127.0.0.0/20", f"127.0.0.1:{nginx.port}", "--ports", str(closed), "--processes", "3"]
    done = subprocess.run([*EVERLEAF, *arguments], capture_output=True, text=True, check=False, cwd=ROOT)
    seen = [json.loads(line) for line in done.stdout.splitlines()]
    assert Counter(one["outcome"] for one in seen) == {"refused": 4096, "tls": 1}
    assert len({(one["address"], one["port"]) for one in seen}) == 4097
    assert "asked 4097, tls 1, refused 4096" in done.stderr
    assert done.returncode == 0


def test_what_the_gate_finds_in_any_process_ends_the_scan_with_3(start_nginx: StartNginx) -> None:
    nginx = start_nginx("a.test", "b.test")
    arguments = ["127.0.0.1", "--ports", str(nginx.port), "--processes", "2", "--fail-on", "expiring=999w"]
    done = subprocess.run([*EVERLEAF, *arguments], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 3
    assert f"127.0.0.1:{nginx.port} : expires on" in done.stderr


def test_a_process_that_dies_is_an_error_and_the_others_end(slow_scan: "subprocess.Popen[str]") -> None:
    workers = children(slow_scan.pid)
    assert len(workers) == 3
    os.kill(workers[1], signal.SIGKILL)
    _, said = slow_scan.communicate(timeout=20)
    assert slow_scan.returncode == 4
    assert "not all targets were looked at" in said
    assert "asked " in said
    assert all_gone(workers)


def test_an_interrupt_ends_all_and_says_how_far_it_came(slow_scan: "subprocess.Popen[str]") -> None:
    workers = children(slow_scan.pid)
    for pid in (*workers, slow_scan.pid):  # as a terminal does: to all of them; the last one ends the others
        os.kill(pid, signal.SIGINT)
    _, said = slow_scan.communicate(timeout=20)
    assert slow_scan.returncode == 130
    assert "interrupted" in said
    assert "asked " in said
    assert "Traceback" not in said
    assert all_gone(workers)


def test_nobody_goes_on_alone_where_the_first_process_was_killed(slow_scan: "subprocess.Popen[str]") -> None:
    workers = children(slow_scan.pid)
    slow_scan.kill()
    _, said = slow_scan.communicate(timeout=20)
    assert "Traceback" not in said
    assert all_gone(workers)


def test_the_sum_of_what_each_may_do_is_what_all_may() -> None:
    tempo = divided(Tempo(concurrency=1000, rate=90.0, per_host=3, per_network=20), among=3)
    assert tempo == Tempo(concurrency=333, rate=30.0, per_host=3, per_network=20)


def test_as_many_processes_as_cores_are_used_where_there_is_enough_to_do() -> None:
    cores = len(os.sched_getaffinity(0))
    assert how_many(None, job=job(1000)) == 1
    assert how_many(None, job=job(1 << 22)) == cores
    assert how_many(None, job=job(100_000, reach=Reach.FULL)) == cores
    assert how_many(None, job=job(1 << 22, tempo=Tempo(rate=100))) == 1
    assert how_many(7, job=job(10)) == 7
    assert how_many(7, job=job(10, tempo=Tempo(concurrency=2))) == 2
