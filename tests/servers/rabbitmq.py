"""A real RabbitMQ broker for the test run; each test gets a virtual host and a user of its own."""

import itertools
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.servers.processes import MissingServer, NotStarted, Process, free_port, program

PACKAGE = "rabbitmq-server"
PROTOCOL = b"AMQP\x00\x00\x09\x01"
SETTLED = 3.0
"""Seconds after which 3.10's quorum queues survive a SIGKILL of the broker with all they hold."""


def scripts() -> Path:
    """Return where the broker's own commands are."""
    # Debian's wrappers in the search path insist on root or the user rabbitmq; these do not.
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"))
    if not found:
        raise MissingServer(f"RabbitMQ is not installed. Install it with: apt-get install {PACKAGE}")
    return found[-1]


@dataclass(frozen=True, kw_only=True)
class Vhost:
    """A virtual host, and the user who may use it."""

    name: str
    user: str
    password: str
    port: int
    tls_port: int | None = None

    @property
    def url(self) -> str:
        """What `EVERLEAF_BUS_URL` takes, password included."""
        return f"amqp://{self.user}:{self.password}@127.0.0.1:{self.port}/{self.name}"

    @property
    def tls_url(self) -> str:
        """The same over TLS, for a broker that was given a certificate."""
        return f"amqps://{self.user}:{self.password}@localhost:{self.tls_port}/{self.name}"


class RabbitMQ:
    """A private node; `tls` is (CA, certificate, key) in PEM files, to listen with TLS as well."""

    def __init__(self, directory: Path, *, tls: tuple[Path, Path, Path] | None = None) -> None:
        self.port, self.management = free_port(), free_port()
        self.tls_port = free_port() if tls else None
        self._directory = directory
        self._distribution, self._epmd_port = free_port(), free_port()
        self._numbers = itertools.count(1)
        self._epmd: Process | None = None
        self._process: Process | None = None
        self._configure(tls)

    def _configure(self, tls: tuple[Path, Path, Path] | None) -> None:
        home = self._directory / "home"
        home.mkdir(parents=True)
        cookie = home / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        (self._directory / "enabled_plugins").write_text("[rabbitmq_management].")
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            "log.console = false",
            "vm_memory_high_watermark.absolute = 1GiB",
            "disk_free_limit.absolute = 50MB",
            "management.tcp.ip = 127.0.0.1",
            f"management.tcp.port = {self.management}",
        ]
        if tls:
            ca, certificate, key = tls
            lines += [
                f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
                f"ssl_options.cacertfile = {ca}",
                f"ssl_options.certfile = {certificate}",
                f"ssl_options.keyfile = {key}",
            ]
        (self._directory / "rabbitmq.conf").write_text("\n".join(lines) + "\n")

    @property
    def _environ(self) -> dict[str, str]:
        here = str(self._directory)
        return {
            "HOME": f"{here}/home",
            "RABBITMQ_NODENAME": "everleaf@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_MNESIA_BASE": f"{here}/mnesia",
            "RABBITMQ_LOG_BASE": f"{here}/log",
            "RABBITMQ_CONFIG_FILE": f"{here}/rabbitmq",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{here}/enabled_plugins",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{here}/generated",
            "RABBITMQ_SCHEMA_DIR": f"{here}/schema",
            "RABBITMQ_PID_FILE": f"{here}/pid",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
            ),
            # With it the start script becomes the broker, so that the process id is the broker's own.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def start(self) -> None:
        """Start it on the same directory as before and return when it speaks AMQP and answers management."""
        self._start_mapper()
        script = scripts() / "rabbitmq-server"
        log = self._directory / "broker.log"
        self._process = Process([script], log=log, env=self._environ, cwd=self._directory)
        self._until(self._speaks_amqp, limit=300)
        self._until(self._is_manageable, limit=60)

    def _start_mapper(self) -> None:
        if self._epmd is None:
            epmd = [program("epmd", package=PACKAGE), "-port", str(self._epmd_port), "-address", "127.0.0.1"]
            self._epmd = Process(epmd, log=self._directory / "epmd.log")

    def _until(self, look: Callable[[], bool], *, limit: float) -> None:
        deadline = time.monotonic() + limit
        while not look():
            assert self._process is not None
            self._process.check()
            if time.monotonic() > deadline:
                raise NotStarted(f"RabbitMQ is not ready: {self._process.tail()}")
            time.sleep(0.05)

    def _speaks_amqp(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.settimeout(2)
                connection.sendall(PROTOCOL)
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def _is_manageable(self) -> bool:
        try:
            return self.api("GET", "overview").is_success
        except httpx.TransportError:
            return False

    @property
    def pid(self) -> int | None:
        """The broker's process, while it runs."""
        return self._process.pid if self._process is not None else None

    def stop(self) -> None:
        """Stop broker and port mapper."""
        for process in (self._process, self._epmd):
            if process is not None and process.is_running():
                process.stop()
        self._process = self._epmd = None

    def kill(self) -> None:
        """Kill the broker as a crash would; `start` brings it back with what it had on disk."""
        assert self._process is not None
        self._process.kill()

    def api(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Call the management API as its administrator."""
        url = f"http://127.0.0.1:{self.management}/api/{path}"
        return httpx.request(method, url, json=body, auth=("guest", "guest"), timeout=20)

    def vhost(self, label: str = "test") -> Vhost:
        """Make a virtual host with a user of its own."""
        name, password = f"{label}-{next(self._numbers)}", secrets.token_urlsafe(12)
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        for path, body in (
            (f"vhosts/{name}", None),
            (f"users/{name}", {"password": password, "tags": ""}),
            (f"permissions/{name}/{name}", everything),
            (f"permissions/{name}/guest", everything),
        ):
            answer = self.api("PUT", path, body)
            assert answer.is_success, answer.text
        return Vhost(name=name, user=name, password=password, port=self.port, tls_port=self.tls_port)

    def control(self, *arguments: str) -> str:
        """Run `rabbitmqctl`, which takes about a second."""
        environ = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8", **self._environ}
        command = [str(scripts() / "rabbitmqctl"), *arguments]
        return subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """One broker for the test run: `rabbitmq.vhost()` makes a fresh virtual host with its own user."""
    server = RabbitMQ(tmp_path_factory.mktemp("rabbitmq") / "node")
    try:
        server.start()
        yield server
    finally:
        server.stop()


StartRabbitMQ = Callable[..., RabbitMQ]


@pytest.fixture
def start_rabbitmq(tmp_path: Path) -> Iterator[StartRabbitMQ]:
    """Start a broker for this test alone, to kill it or to speak TLS with it."""
    with ExitStack() as running:

        def start(*, tls: tuple[Path, Path, Path] | None = None) -> RabbitMQ:
            server = RabbitMQ(tmp_path / "rabbitmq", tls=tls)
            running.callback(server.stop)
            server.start()
            return server

        yield start
