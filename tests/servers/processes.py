"""How a test starts a real server: privately, on a free loopback port, and never outliving the test run.

Start processes from the main thread: the kernel ties their life to the thread that started them.
"""

import contextlib
import fcntl
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ANY_PORT = range(15000, 32000)  # below the range from which the kernel takes outgoing connections' ports
TAIL = 3000
_RESERVED: deque[IO[bytes]] = deque(maxlen=400)
"""Locks on the ports that this process was given last: a server may take its time until it binds one."""


class MissingServer(Exception):
    """A real server that the tests need is not installed. Tests fail on this; they never skip."""


class NotStarted(Exception):
    """A server ended, or did not answer in time; the message holds the end of its log."""


def program(name: str, *, package: str) -> str:
    """Return the path of a program; raise `MissingServer` naming the Debian package that brings it."""
    found = shutil.which(name, path=SEARCH_PATH)
    if found is None:
        raise MissingServer(f"{name} is not installed. Install it with: apt-get install {package}")
    return found


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port that is free for TCP and for UDP on this loopback address, and was given to no other test run."""
    for port in random.sample(ANY_PORT, 200):
        kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
        if all(_is_free(address, port=port, kind=kind) for kind in kinds) and _reserve(port):
            return port
    raise NotStarted(f"no free port found on {address}")


def _reserve(port: int) -> bool:
    """Hold a lock on a port's file, which the kernel ends with this process."""
    folder = Path(tempfile.gettempdir()) / f"everleaf-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    lock = (folder / str(port)).open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return False
    if len(_RESERVED) == _RESERVED.maxlen:
        _RESERVED.popleft().close()
    _RESERVED.append(lock)
    return True


def _is_free(address: str, *, port: int, kind: socket.SocketKind) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True


class Process:
    """A server in the foreground, with its output in `log`; started at once.

    It gets SIGTERM from the kernel when the test run dies. `user` drops root's rights, where we have them.
    """

    def __init__(
        self,
        args: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: Path | str = "/",
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [
                    program("setpriv", package="util-linux"),
                    "--pdeathsig",
                    "TERM",
                    *_drop(user),
                    *map(str, args),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=cwd,
                env={"PATH": SEARCH_PATH, "HOME": "/tmp", "LC_ALL": "C.UTF-8", **(env or {})},
            )

    @property
    def pid(self) -> int:
        """The server's own process id (setpriv becomes the server)."""
        return self._popen.pid

    def is_running(self) -> bool:
        """Say whether the process is still there."""
        return self._popen.poll() is None

    def wait_port(self, port: int, *, address: str = "127.0.0.1", limit: float = 60.0) -> None:
        """Return when the port accepts connections; raise `NotStarted` with the log where it does not."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            self.check()
            with contextlib.suppress(OSError), socket.create_connection((address, port), 0.5):
                return
            time.sleep(0.01)
        raise NotStarted(f"{self._name} did not listen on {address}:{port} in {limit} s. {self.tail()}")

    def check(self) -> None:
        """Raise `NotStarted` if the process has ended."""
        if not self.is_running():
            raise NotStarted(f"{self._name} ended with {self._popen.returncode}. {self.tail()}")

    def wait_end(self, *, limit: float = 300.0) -> None:
        """Return when it has ended well; raise `NotStarted` with the log where it has not."""
        try:
            ended = self._popen.wait(limit)
        except subprocess.TimeoutExpired:
            raise NotStarted(f"{self._name} did not end in {limit} s. {self.tail()}") from None
        if ended:
            raise NotStarted(f"{self._name} ended with {ended}. {self.tail()}")

    def tail(self) -> str:
        """Return the end of the log."""
        return self.log.read_text(errors="replace")[-TAIL:]

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._popen.send_signal(number)

    def stop(self, *, with_signal: signal.Signals = signal.SIGTERM, limit: float = 20.0) -> None:
        """Ask the process to end; kill its whole session if it does not."""
        self._popen.send_signal(with_signal)
        try:
            self._popen.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._popen.wait()

    def kill(self) -> None:
        """End the process without warning, as a crash would."""
        self._popen.kill()
        self._popen.wait()

    def end_session(self) -> None:
        """Kill what an ended server left behind in its session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    @property
    def _name(self) -> str:
        return self.log.parent.name + "/" + self.log.name


def _drop(user: str | None) -> list[str]:
    if user is None or os.getuid() != 0:
        return []
    account = pwd.getpwnam(user)
    return ["--reuid", str(account.pw_uid), "--regid", str(account.pw_gid), "--clear-groups"]
