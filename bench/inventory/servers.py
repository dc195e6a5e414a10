"""The processes that are measured: PostgreSQL, the product's, and the bare one beside it."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from bench.measure import NotMeasured
from tests.servers.postgres import Postgres
from tests.servers.processes import MissingServer, Process, free_port

TUNED = {
    "shared_buffers": "2GB",
    "work_mem": "32MB",
    "maintenance_work_mem": "512MB",
    "effective_cache_size": "6GB",
    "random_page_cost": "1.1",
    "max_wal_size": "8GB",
}
"""As one sets a server of this size; the defaults of PostgreSQL are for a machine with 128 MB to spare."""
_TICKS = os.sysconf("SC_CLK_TCK")
_PROGRAM = Path(sys.executable).parent / "everleaf"
_ROOT = Path(__file__).parents[2]
_LIMIT = 120
"""Seconds that a process may take until it is ready."""


@contextmanager
def cluster() -> Iterator[Postgres]:
    """Start a PostgreSQL; raises NotMeasured where there is none."""
    # Not below the bench's folder: PostgreSQL runs as an account of its own, which could not get there.
    folder = Path(tempfile.mkdtemp(prefix="everleaf-bench-"))
    folder.chmod(0o755)
    try:
        postgres = Postgres(folder / "cluster")
    except MissingServer as error:
        raise NotMeasured(str(error)) from error
    try:
        postgres.create()
        postgres.start()
        for name, value in TUNED.items():
            postgres.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        postgres.stop()
        postgres.start()
        yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(folder)


class Server:
    """A process that answers HTTP on loopback, and what it has cost."""

    def __init__(self, process: Process, *, port: int) -> None:
        self._process = process
        self.port = port

    def wait(self, path: str) -> None:
        """Return when it answers 200 to this. Raises `NotStarted` where it ends before."""
        deadline = time.monotonic() + _LIMIT
        while time.monotonic() < deadline:
            self._process.check()
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=30).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise NotMeasured(f"it was not ready in {_LIMIT} s: {self._process.tail()}")

    @property
    def cpu(self) -> float:
        """Seconds of CPU that it has taken so far, user and system."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / _TICKS

    @property
    def memory_mib(self) -> float:
        """The memory that it holds now (VmRSS)."""
        return self._status("VmRSS")

    @property
    def peak_mib(self) -> float:
        """The most that it has held (VmHWM)."""
        return self._status("VmHWM")

    def _status(self, name: str) -> float:
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))

    def stop(self) -> None:
        """End it."""
        if self._process.is_running():
            self._process.stop()


@contextmanager
def product(url: str | None, *, folder: Path) -> Iterator[Server]:
    """Run `everleaf serve inventory` on a database that is migrated, or on SQLite in `folder` where `url` is None."""
    port = free_port()
    with _run(
        [_PROGRAM, "serve", "inventory", "--port", str(port)], port, _settings(url, folder, port), folder
    ) as ours:
        ours.wait("/readyz")
        yield ours


def migrate(url: str | None, *, folder: Path) -> None:
    """Run `everleaf migrate inventory`."""
    folder.mkdir(parents=True, exist_ok=True)
    process = Process(
        [_PROGRAM, "migrate", "inventory"], log=folder / "migrate.log", env=_settings(url, folder, 0)
    )
    while process.is_running():
        time.sleep(0.1)


def _settings(url: str | None, folder: Path, port: int) -> Mapping[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("EVERLEAF_")}
    database = {"EVERLEAF_INVENTORY_DATABASE_URL": url} if url else {}
    return {
        **inherited,
        **database,
        "EVERLEAF_DATA_DIR": str(folder / "data"),
        "EVERLEAF_GATEWAY_URL": f"http://127.0.0.1:{port}",
        # What is asked is measured, not the work that the process does by the clock on certificates that nobody issued.
        "EVERLEAF_INVENTORY_LINT": "false",
        "EVERLEAF_INVENTORY_ASK_REVOCATION": "false",
        # The principal who sees one group asks for as long as a round takes.
        "EVERLEAF_INVENTORY_TOKEN_LIFETIME": "3600",
    }


@contextmanager
def bare(url: str, *, folder: Path) -> Iterator[Server]:
    """Run the bare routes on the same database."""
    port = free_port()
    environ = {**os.environ, "PYTHONPATH": str(_ROOT)}
    with _run(
        [sys.executable, "-m", "bench.inventory.bare", url, str(port)], port, environ, folder
    ) as theirs:
        theirs.wait("/ready")
        yield theirs


@contextmanager
def _run(command: list[str | Path], port: int, environ: Mapping[str, str], folder: Path) -> Iterator[Server]:
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(Process(command, log=folder / f"{Path(command[0]).name}.log", env=environ), port=port)
    try:
        yield server
    finally:
        server.stop()
