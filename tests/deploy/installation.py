"""The platform as `deploy/` installs it: least rights, TLS with certificates on both sides, one gateway, any number of replicas."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from shared.tls import client_context
from tests.deploy.parts import DEPLOY, Broker, DatabaseServer, FrontDoor
from tests.journeys.platforms import PROGRAM, SERVICES
from tests.servers.processes import NotStarted, Process, free_port


@dataclass(kw_only=True)
class Installation:
    """Everything on one machine, each part knowing the others by their certificates."""

    folder: Path
    home: Path
    """What `prepare.sh` has made."""
    broker: Broker
    database: DatabaseServer
    gateway: FrontDoor
    ports: dict[str, list[int]]
    processes: dict[tuple[str, int], Process] = field(default_factory=dict)

    def environ(self, name: str) -> dict[str, str]:
        """Return what a process of this service is told, and nothing of what the others are."""
        asking = ("provisioner", "renewal", "notifier")
        keys = asking if name == "inventory" else [each for each in asking if each == name]
        secrets = self.home / "secrets"
        return {
            **self._common(name, user=name),
            **self._database(name, role=f"everleaf_{name}", password=f"db-{name}"),
            **{f"EVERLEAF_{each.upper()}_API_KEY_FILE": f"{secrets}/api-key-{each}" for each in keys},
        }

    def _environ_to_migrate(self) -> dict[str, str]:
        told = self._common("inventory", user="migrate")
        for name in SERVICES:
            told |= self._database(name, role=f"everleaf_{name}_migrate", password=f"db-{name}-migrate")
        return told

    def _common(self, name: str, *, user: str) -> dict[str, str]:
        tls, secrets = self.home / "tls" / name, self.home / "secrets"
        return {
            "EVERLEAF_DATA_DIR": str(self.folder / "data" / name),
            "EVERLEAF_LOG_FORMAT": "json",
            "EVERLEAF_OUTBOUND_ALLOW": "127.0.0.0/8,::1/128",
            "EVERLEAF_RETRY_AFTER": "0.2,0.5,1",
            "EVERLEAF_KEK_FILE": f"{secrets}/kek",
            "EVERLEAF_GATEWAY_URL": self.gateway.url,
            "EVERLEAF_GATEWAY_TLS_CA": f"{tls}/ca.pem",
            "EVERLEAF_BUS_URL": f"amqps://everleaf-{user}@localhost:{self.broker.tls_port}/everleaf",
            "EVERLEAF_BUS_PASSWORD_FILE": f"{secrets}/bus-{user}",
            "EVERLEAF_BUS_TLS_CA": f"{tls}/ca.pem",
            "EVERLEAF_BUS_TLS_CERTIFICATE": f"{tls}/cert.pem",
            "EVERLEAF_BUS_TLS_KEY": f"{tls}/key.pem",
            "EVERLEAF_BUS_DECLARES": str(user == "migrate").lower(),
            "EVERLEAF_TLS_CERTIFICATE": f"{tls}/cert.pem",
            "EVERLEAF_TLS_KEY": f"{tls}/key.pem",
            "EVERLEAF_TLS_CLIENT_CA": f"{tls}/ca.pem",
        }

    def _database(self, name: str, *, role: str, password: str) -> dict[str, str]:
        tls = self.home / "tls" / name
        own = {
            "DATABASE_URL": f"postgresql://{role}@localhost:{self.database.port}/everleaf_{name}",
            "DATABASE_PASSWORD_FILE": f"{self.home / 'secrets' / password}",
            "DATABASE_TLS_CA": f"{tls}/ca.pem",
            "DATABASE_TLS_CERTIFICATE": f"{tls}/cert.pem",
            "DATABASE_TLS_KEY": f"{tls}/key.pem",
        }
        return {f"EVERLEAF_{name.upper()}_{key}": value for key, value in own.items()}

    def migrate(self) -> None:
        """Migrate the databases as the roles that may, and have the broker's queues made."""
        self._run("migrate", self._environ_to_migrate(), "migrate").wait_end()

    def serve(self, name: str, at: int) -> None:
        """Start a replica."""
        port = str(self.ports[name][at])
        told = self.environ(name)
        self.processes[name, at] = self._run(f"{name}-{at}", told, "serve", name, "--port", port)

    def _run(self, label: str, told: dict[str, str], *arguments: str) -> Process:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("EVERLEAF_")}
        (self.folder / "data").mkdir(exist_ok=True)
        return Process([PROGRAM, *arguments], log=self.folder / f"{label}.log", env={**environ, **told})

    def wait_ready(self, *, limit: float = 300) -> None:
        """Return when every replica says that it is ready, as its supervisor asks it."""
        deadline = time.monotonic() + limit
        waiting = dict(self.processes)
        while waiting:
            (name, at), process = next(iter(waiting.items()))
            process.check()
            with self.asking(name) as client:
                try:
                    ready = client.get(f"https://localhost:{self.ports[name][at]}/readyz")
                except httpx.TransportError:
                    ready = None
            if ready is not None and ready.status_code == httpx.codes.OK:
                del waiting[name, at]
                continue
            if time.monotonic() > deadline:
                raise NotStarted(f"{name} is not ready in {limit} s: {process.tail()}")
            time.sleep(0.1)

    def asking(self, part: str) -> httpx.Client:
        """Return a client that shows this part's certificate, and knows servers by its authority; names are not compared."""
        tls = self.home / "tls" / part
        context = client_context(tls / "ca.pem", certificate=tls / "cert.pem", key=tls / "key.pem")
        context.check_hostname = False
        return httpx.Client(verify=context, timeout=30, trust_env=False)

    def client(self) -> httpx.Client:
        """Return a client of the gateway with the first token."""
        token = (self.folder / "data" / "inventory" / "admin.token").read_text().strip()
        trusted = client_context(self.home / "tls" / "gateway" / "ca.pem")
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(
            base_url=self.gateway.url, verify=trusted, headers=headers, timeout=30, trust_env=False
        )

    def logs(self) -> str:
        """Return what all processes have written."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))


def prepare(home: Path) -> None:
    """Run `deploy/prepare.sh`."""
    done = subprocess.run(
        ["sh", str(DEPLOY / "prepare.sh"), str(home)],
        env={**os.environ, "EVERLEAF": str(PROGRAM), "HOSTS": "localhost"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def installed(folder: Path, *, replicas: int = 1) -> Iterator[Installation]:
    """Install everything, and stop it at the end. The database's account must be able to reach into `folder`."""
    home = folder / "home"
    prepare(home)
    with ExitStack() as running:
        broker = Broker(
            folder / "broker",
            tls=home / "tls" / "rabbitmq",
            definitions=home / "rabbitmq" / "definitions.json",
        )
        running.callback(broker.stop)
        database = DatabaseServer(folder / "cluster", tls=home / "tls" / "postgresql")
        running.callback(database.stop)
        gateway = FrontDoor(folder / "gateway", tls=home / "tls" / "gateway")
        running.callback(gateway.stop)
        ports = {name: [free_port() for _ in range(replicas)] for name in SERVICES}
        made = Installation(
            folder=folder, home=home, broker=broker, database=database, gateway=gateway, ports=ports
        )
        running.callback(_stop, made)
        database.create()
        database.start()
        database.make_roles(home / "secrets")
        broker.start()
        made.migrate()
        gateway.start(ports)
        for name in SERVICES:
            for at in range(replicas):
                made.serve(name, at)
        made.wait_ready()
        yield made


def _stop(made: Installation) -> None:
    for process in reversed(made.processes.values()):
        if process.is_running():
            process.stop()
