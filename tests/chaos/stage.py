"""The platform in several replicas on a broker (or a cluster of three) and a database, a clock that can be moved, and an estate."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import chain
from pathlib import Path

import httpx

from shared.clock import utc_now
from tests.chaos.wires import Wire
from tests.journeys.platforms import SERVICES, Production, accepted
from tests.servers.nginx import Nginx, Site
from tests.servers.postgres import OwnDatabase, Postgres
from tests.servers.processes import MissingServer, NotStarted, Process, free_port
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.rabbitmq_cluster import Cluster
from tests.servers.ssh import Sshd
from tests.servers.tls import CertificateAuthority

DISK = "2g"
"""Of the database, where it has one of its own (that takes root)."""
_BRISK = {
    "EVERLEAF_RENEWAL_LEASE": "10",
    "EVERLEAF_RENEWAL_RETRY_AFTER": "1,2,5",
    "EVERLEAF_PROVISIONER_LEASE": "10",
    "EVERLEAF_PROVISIONER_RETRY_AFTER": "1,2,5",
    "EVERLEAF_DISCOVERY_LEASE": "10",
    "EVERLEAF_RETRY_AFTER": "0.5,1,2,5,10,20",
}


class Replicated(Production):
    """Several processes of each service behind one gateway; `clock` is the file that they take its offset from."""

    def __init__(self, directory: Path, *, environ: dict[str, str], replicas: int, clock: Path) -> None:
        super().__init__(directory, environ=environ)
        self.replicas = {name: [free_port() for _ in range(replicas)] for name in SERVICES}
        self.environ |= {
            "LD_PRELOAD": str(_faketime()),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            # Only what o'clock it is jumps; how long something takes stays as it is.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def start(self) -> None:
        """Migrate, put the gateway in front, and serve all replicas."""
        self.run("migrate", "migrate").wait_end()
        self.gateway.start(self.replicas)
        for name, ports in self.replicas.items():
            for at in range(len(ports)):
                self.start_replica(name, at)
        for name, ports in self.replicas.items():
            for at, port in enumerate(ports):
                self.wait_ready(port, self.processes[f"{name}-{at}"], limit=300)

    def start_replica(self, name: str, at: int) -> Process:
        """Run `everleaf serve NAME`."""
        return self.run(f"{name}-{at}", "serve", name, "--port", str(self.replicas[name][at]))

    def kill_replica(self, number: int) -> bool:
        """Kill one of all processes as a crash would, and start it again; say whether it was alive."""
        every = [(name, at) for name, ports in self.replicas.items() for at in range(len(ports))]
        name, at = every[number % len(every)]
        process = self.processes[f"{name}-{at}"]
        was_alive = process.is_running()
        process.kill()
        self.start_replica(name, at)
        return was_alive

    def o_clock(self) -> datetime:
        """Return what time it is for the services, by what they answer with."""
        for port in chain.from_iterable(self.replicas.values()):
            with suppress(httpx.HTTPError):
                return parsedate_to_datetime(httpx.get(f"http://127.0.0.1:{port}/livez").headers["date"])
        raise NotStarted("no replica answers")

    def restart_ended(self) -> list[str]:
        """Start again what has ended by itself, as a supervisor does; return what it was."""
        ended = [
            each for each, process in self.processes.items() if each != "migrate" and not process.is_running()
        ]
        for each in ended:
            name, at = each.rsplit("-", 1)
            self.start_replica(name, int(at))
        return ended


def _faketime() -> Path:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        raise MissingServer("libfaketime is not installed. Install it with: apt-get install libfaketime")
    return found[0]


@dataclass(kw_only=True)
class Stage:
    """Everything, running."""

    folder: Path
    platform: Replicated
    postgres: Postgres
    broker: RabbitMQ | Cluster
    databases: dict[str, OwnDatabase]
    wires: list[Wire]
    nginx: Nginx
    sshd: Sshd
    clock: Path
    jumped: timedelta = field(default_factory=timedelta)
    disk: Path | None = None
    """Where the database's disk is, if it has one of its own."""

    @property
    def sites(self) -> list[Site]:
        """What has certificates."""
        return self.nginx.sites

    def jump(self, by: timedelta) -> None:
        """Move the clock of all services at once."""
        self.jumped += by
        beside = self.clock.with_suffix(".new")
        beside.write_text(f"+{int(self.jumped.total_seconds())}")
        beside.replace(self.clock)

    def is_told(self, *, exactness: timedelta, within: float = 60) -> bool:
        """Wait until a service answers with the time that was set, and say whether it did; a busy one notices late."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if abs(self.platform.o_clock() - utc_now() - self.jumped) < exactness:
                return True
            time.sleep(0.1)
        return False

    def prepare(self, client: httpx.Client) -> dict[str, str]:
        """Make authority, profile and target known; return the lineages of the sites, each bound and enrolled."""
        accepted(
            client.post("/renewal/v1/authorities", json={"name": "house", "kind": "builtin", "options": {}})
        )
        profile = {
            "name": "web",
            "authority": "house",
            "lifetime": "P47D",
            "allowed_names": ["*.example.test"],
        }
        accepted(client.post("/renewal/v1/profiles", json=profile))
        target = {
            "name": "web",
            "kind": "nginx",
            "host": self.sshd.host,
            "port": self.sshd.port,
            "username": self.sshd.username,
            "host_key": self.sshd.host_key,
            "credential": {"private_key": self.sshd.client_key},
            "options": {"test_command": self.nginx.test_command, "reload_command": self.nginx.reload_command},
        }
        target_id = accepted(client.post("/provisioner/v1/targets", json=target))["id"]
        lineages = {}
        for site in self.sites:
            order = {"names": [site.server_name], "profile": "web"}
            lineage_id = accepted(client.post("/renewal/v1/orders", json=order))["lineage_id"]
            binding = {
                "lineage_id": lineage_id,
                "target_id": target_id,
                "slot": {"certificate_path": str(site.certificate), "key_path": str(site.key)},
                "endpoints": [{"address": site.address, "port": site.port, "server_name": site.server_name}],
            }
            accepted(client.post("/provisioner/v1/bindings", json=binding))
            accepted(client.put(f"/renewal/v1/enrolments/{lineage_id}", json={"profile": "web"}))
            lineages[site.server_name] = lineage_id
        return lineages


@contextmanager
def staged(*, sites: int, replicas: int, nodes: int = 1) -> Iterator[Stage]:
    """Start everything, with a cluster where `nodes` is three, and stop it at the end."""
    with ExitStack() as opened:
        name = tempfile.mkdtemp(prefix="everleaf-chaos-")
        folder = Path(name)
        folder.chmod(0o711)
        opened.callback(subprocess.run, ["rm", "-rf", name], check=False)
        disk = _disk(folder / "disk", opened)
        postgres = Postgres((disk or folder) / "cluster")
        postgres.create()
        opened.callback(postgres.stop)
        postgres.start()
        databases = {name: postgres.database(name) for name in SERVICES}
        broker: RabbitMQ | Cluster = (
            Cluster(folder / "rabbitmq") if nodes > 1 else RabbitMQ(folder / "rabbitmq")
        )
        (folder / "rabbitmq").mkdir(exist_ok=True)
        opened.callback(broker.stop)
        broker.start()
        first = broker.nodes[0] if isinstance(broker, Cluster) else broker
        wires = [Wire(first.port), Wire(postgres.port)]
        for wire in wires:
            opened.callback(wire.close)
        clock = folder / "clock"
        clock.write_text("+0")
        platform = Replicated(
            folder / "platform",
            environ={**_BRISK, **_through(wires, first, databases)},
            replicas=replicas,
            clock=clock,
        )
        nginx = Nginx(folder / "nginx", ca=CertificateAuthority())
        (folder / "sshd").mkdir()
        sshd = Sshd(folder / "sshd")
        for number in range(sites):
            nginx.add_site(f"site{number}.example.test")
        for server in (nginx, sshd):
            opened.callback(server.stop)
            server.start()
        opened.callback(platform.stop)
        platform.start()
        yield Stage(
            folder=folder,
            platform=platform,
            postgres=postgres,
            broker=broker,
            databases=databases,
            wires=wires,
            nginx=nginx,
            sshd=sshd,
            clock=clock,
            disk=disk,
        )


def _through(wires: list[Wire], node: RabbitMQ, databases: dict[str, OwnDatabase]) -> dict[str, str]:
    """Return the addresses of broker and databases, by the wires."""
    to_broker, to_database = wires
    told = {"EVERLEAF_BUS_URL": node.vhost("chaos").url.replace(f":{node.port}/", f":{to_broker.port}/")}
    for name, own in databases.items():
        told[f"EVERLEAF_{name.upper()}_DATABASE_URL"] = own.url.replace(
            f":{own.port}/", f":{to_database.port}/"
        )
    return told


def _disk(path: Path, opened: ExitStack) -> Path | None:
    """Mount a small disk for the database, where we may."""
    if os.getuid() != 0:
        return None
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0755", "everleaf", str(path)], check=False
    )
    if done.returncode:
        return None
    opened.callback(subprocess.run, ["umount", "--lazy", str(path)], check=False)
    return path
