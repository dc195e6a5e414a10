"""The platform as an operator runs it: `everleaf up`, or five `everleaf serve` behind a gateway."""

import os
import ssl
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.servers.gateway import Gateway
from tests.servers.processes import NotStarted, Process, free_port

SERVICES = ("inventory", "discovery", "renewal", "provisioner", "notifier")
PROGRAM = Path(sys.executable).parent / "everleaf"
Json = dict[str, Any]


class Platform:
    """A running Everleaf, reached through its public APIs with the first administrator's token."""

    def __init__(self, directory: Path, *, environ: Mapping[str, str]) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("EVERLEAF_")},
            "EVERLEAF_DATA_DIR": str(self.data),
            "EVERLEAF_LOG_FORMAT": "json",
            # Everything the journeys reach is on loopback.
            "EVERLEAF_OUTBOUND_ALLOW": "127.0.0.0/8,::1/128",
            "EVERLEAF_RETRY_AFTER": "0.2,0.5,1",
            **environ,
        }
        self.processes: dict[str, Process] = {}
        self.url = ""

    def start(self) -> None:
        """Start it and return when it is ready."""
        raise NotImplementedError

    def run(self, name: str, *arguments: str) -> Process:
        """Start the program with these arguments, its output in `name.log`."""
        self.directory.mkdir(parents=True, exist_ok=True)
        log = self.directory / f"{name}.log"
        self.processes[name] = Process([PROGRAM, *arguments], log=log, env=self.environ)
        return self.processes[name]

    def wait_ready(
        self, port: int, process: Process, *, limit: float = 180, tls: ssl.SSLContext | None = None
    ) -> None:
        """Return when `/readyz` says so: by HTTPS, where it is said how to verify that."""
        url = f"http://127.0.0.1:{port}" if tls is None else f"https://localhost:{port}"
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            process.check()
            try:
                if httpx.get(f"{url}/readyz", timeout=2, verify=tls or True).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise NotStarted(f"not ready in {limit} s: {process.tail()}")

    def client(self) -> httpx.Client:
        """Return a client with the first token."""
        token = (self.data / "admin.token").read_text().strip()
        return httpx.Client(base_url=self.url, timeout=30, headers={"Authorization": f"Bearer {token}"})

    def stop(self) -> None:
        """End everything with SIGTERM."""
        for process in reversed(self.processes.values()):
            if process.is_running():
                process.stop()

    def secrets(self) -> list[str]:
        """Return what is secret in the data folder: tokens, API keys, the key-encryption key."""
        files = [self.data / "admin.token", self.data / "kek", *self.data.glob("keys/*.key")]
        return [path.read_text().strip() for path in files]

    def logs(self) -> str:
        """Return what all processes have written."""
        return "\n".join(path.read_text() for path in sorted(self.directory.glob("*.log")))


class Embedded(Platform):
    """One process, SQLite files, the embedded bus."""

    def start(self) -> None:
        """Run `everleaf up`."""
        port = free_port()
        process = self.run("up", "up", "--port", str(port))
        self.wait_ready(port, process)
        self.url = f"http://127.0.0.1:{port}"


class Production(Platform):
    """A process per service, PostgreSQL and RabbitMQ, an nginx in front."""

    def __init__(self, directory: Path, *, environ: Mapping[str, str]) -> None:
        super().__init__(directory, environ=environ)
        self.gateway = Gateway(directory / "gateway")
        self.ports = {name: free_port() for name in SERVICES}
        self.url = self.gateway.url
        self.environ["EVERLEAF_GATEWAY_URL"] = self.url

    def start(self) -> None:
        """Migrate, then serve each service and put the gateway in front."""
        migration = self.run("migrate", "migrate")
        self._wait_end(migration)
        self.gateway.start(self.ports)
        for name in SERVICES:
            self.start_service(name)
        for name in SERVICES:
            self.wait_ready(self.ports[name], self.processes[name])

    def start_service(self, name: str) -> Process:
        """Run `everleaf serve NAME`."""
        return self.run(name, "serve", name, "--port", str(self.ports[name]))

    def stop(self) -> None:
        """End the services, then the gateway."""
        super().stop()
        self.gateway.stop()

    @staticmethod
    def _wait_end(process: Process, *, limit: float = 60) -> None:
        deadline = time.monotonic() + limit
        while process.is_running() and time.monotonic() < deadline:
            time.sleep(0.05)


def until(look: Any, *, what: str, within: float = 120, every: float = 0.1) -> Any:
    """Return what `look` finds, as soon as it finds something; fail the test where it never does."""
    deadline = time.monotonic() + within
    found = look()
    while not found:
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {within} s")
        time.sleep(every)
        found = look()
    return found


def accepted(answer: httpx.Response) -> Json:
    """Return the JSON of a successful answer; fail with the problem document otherwise."""
    assert answer.is_success, (
        f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
    )
    return dict(answer.json())


def items(client: httpx.Client, path: str, **wanted: str) -> Sequence[Json]:
    """Return the items of a list that have these values."""
    listed = accepted(client.get(path, params={"limit": 1000}))["items"]
    return [item for item in listed if all(item[key] == value for key, value in wanted.items())]
