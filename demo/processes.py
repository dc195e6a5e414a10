"""Starts the estate and the platform as processes of their own, and ends them by pid."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx

from demo.estate import HOST, EstateInfo

T = TypeVar("T")


class DemoFailed(Exception):
    """The loop did not close; the text says at which step and what to look at."""


def until(look: Callable[[], T | None], *, what: str, within: float = 60, every: float = 0.2) -> T:
    """Look again and again until there is something. Raises `DemoFailed` after `within` seconds."""
    ends = time.monotonic() + within
    while time.monotonic() < ends:
        found = look()
        if found:
            return found
        time.sleep(every)
    raise DemoFailed(f"{what} did not happen within {within:.0f} seconds.")


class Child:
    """A process whose output goes to a log file."""

    def __init__(self, arguments: list[str], *, log: Path, environ: dict[str, str] | None = None) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                arguments,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environ or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def check(self) -> None:
        """Raise `DemoFailed` with the end of its log where it is not running any more."""
        if self._process.poll() is not None:
            raise DemoFailed(f"{self._log} ends:\n{self._log.read_text()[-2000:]}")

    def stop(self) -> int:
        """End it with SIGTERM and return its exit code."""
        self._process.terminate()
        return self._process.wait(20)


def start_estate(folder: Path) -> tuple[Child, EstateInfo]:
    """Start the estate and wait until it says where everything is."""
    folder.mkdir()
    child = Child([sys.executable, "-m", "demo.estate", str(folder)], log=folder.parent / "estate.log")
    path = folder / "estate.json"

    def announced() -> EstateInfo | None:
        child.check()
        return EstateInfo.model_validate_json(path.read_text()) if path.stat().st_size else None

    until(path.exists, what="The start of the estate", within=30)
    return child, until(announced, what="The start of the estate", within=30)


def start_platform(data: Path, *, port: int) -> tuple[Child, httpx.Client]:
    """Start `everleaf up` and return a client that carries the first administrator's token."""
    program = Path(sys.executable).parent / "everleaf"
    # The webhook receiver of the estate is on loopback, which user-given URLs may not reach by default.
    environ = {"EVERLEAF_OUTBOUND_ALLOW": "127.0.0.0/8", "EVERLEAF_LOG_FORMAT": "json"}
    arguments = [str(program), "up", "--data", str(data), "--host", HOST, "--port", str(port)]
    child = Child(arguments, log=data.parent / "everleaf.log", environ=environ)
    client = httpx.Client(base_url=f"http://{HOST}:{port}", timeout=20)

    def is_ready() -> bool:
        child.check()
        try:
            return client.get("/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    until(is_ready, what="The start of the platform", within=60)
    token = (data / "admin.token").read_text().strip()
    client.headers["Authorization"] = f"Bearer {token}"
    return child, client


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
