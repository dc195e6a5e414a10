"""The platform of a campaign: all five services, renewal twice, on PostgreSQL and RabbitMQ, each of which can be killed."""

import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from bench.campaign.farm import Farm
from bench.measure import cpu_of
from tests.journeys.platforms import SERVICES, Production, accepted, until
from tests.servers.pebble import Pebble, PebbleOptions
from tests.servers.postgres import Postgres
from tests.servers.processes import free_port
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.ssh import Sshd
from tests.servers.tls import CertificateAuthority

HOSTS = 32
"""Targets: as many deployments can be under way."""
_SETTINGS = {
    "EVERLEAF_RENEWAL_PARALLEL": "20",
    "EVERLEAF_RENEWAL_LEASE": "15",
    "EVERLEAF_RENEWAL_CAMPAIGN_APPROVALS": "0",
    "EVERLEAF_RENEWAL_RETRY_AFTER": "5,10,30",
    "EVERLEAF_PROVISIONER_PARALLEL": "16",
    "EVERLEAF_PROVISIONER_LEASE": "15",
    "EVERLEAF_PROVISIONER_RETRY_AFTER": "5,10,30",
}
_SCANS, _AT_ONCE = 5, 50
_PATIENCE = 3600


class Estate:
    """Everything that a campaign needs, running."""

    def __init__(self, folder: Path, *, farm: Farm) -> None:
        self.farm = farm
        self.postgres = Postgres(folder / "postgres" / "cluster")
        (folder / "postgres").mkdir(mode=0o755)
        self.rabbitmq = RabbitMQ(folder / "rabbitmq")
        for name in ("ssh", "pebble"):
            (folder / name).mkdir()
        self.sshd = Sshd(folder / "ssh", options=("MaxStartups 200",))
        self.http01 = free_port()
        options = PebbleOptions(http01_port=self.http01)
        self.pebble = Pebble(folder / "pebble", options=options, ca=CertificateAuthority("API root"))
        self._folder = folder
        self._spent: dict[str, float] = defaultdict(float)
        self.platform: Production

    def start(self) -> None:
        """Start all of it."""
        self.farm.start()
        self.postgres.create()
        self.postgres.start()
        self.rabbitmq.start()
        self.sshd.start()
        self.pebble.start()
        urls = {
            f"EVERLEAF_{name.upper()}_DATABASE_URL": self.postgres.database(name).url for name in SERVICES
        }
        environ = {
            **urls,
            **_SETTINGS,
            "EVERLEAF_BUS_URL": self.rabbitmq.vhost("campaign").url,
            "EVERLEAF_RENEWAL_HTTP01_LISTEN": f"127.0.0.1:{self.http01}",
        }
        self.platform = Production(self._folder / "platform", environ=environ)
        self._folder.joinpath("platform").mkdir()
        self.platform.start()

    def stop(self) -> None:
        """Stop all of it."""
        stops = [self.pebble.close, self.sshd.stop, self.rabbitmq.stop, self.postgres.stop, self.farm.stop]
        if hasattr(self, "platform"):
            stops.insert(0, self.platform.stop)
        for stop in stops:
            stop()

    def cpu(self) -> dict[str, float]:
        """Return the seconds of CPU that each service, PostgreSQL and RabbitMQ have taken so far, before kills too."""
        return {name: self._spent[name] + cpu_of(pid) for name, pid in self._pids().items()}

    def _pids(self) -> dict[str, int]:
        servers = {"postgres": self.postgres.pid, "rabbitmq": self.rabbitmq.pid}
        services = {
            name: process.pid for name, process in self.platform.processes.items() if name in SERVICES
        }
        return {**services, **{name: pid for name, pid in servers.items() if pid is not None}}

    def _note(self, name: str) -> None:
        """Keep what something has taken that is about to be killed."""
        self._spent[name] += cpu_of(self._pids()[name])

    def kill_service(self, name: str) -> None:
        """Kill a service as a crash would, and start it again."""
        self._note(name)
        self.platform.processes[name].kill()
        self.platform.start_service(name)

    def kill_broker(self) -> None:
        """Kill the broker, and start it again on what it has on disk."""
        self._note("rabbitmq")
        self.rabbitmq.kill()
        time.sleep(1)
        self.rabbitmq.start()

    def kill_database(self) -> None:
        """End PostgreSQL at once, with all its connections, and start it again: it recovers from its log."""
        self._note("postgres")
        self.postgres.crash()
        self.postgres.start()

    def prepare(self, client: httpx.Client) -> None:
        """Make authorities, profiles and targets known, find every endpoint, and bind each to its files."""
        _authorities(client, self.pebble)
        lineages = self._found(client)
        targets = [self._target(client, number) for number in range(HOSTS)]
        for number, address in enumerate(self.farm.addresses()):
            chain, key = self.farm.files(address)
            name = self.farm.name(number)
            endpoint = {"address": address, "port": self.farm.port, "server_name": name}
            body = {
                "lineage_id": lineages[name],
                "target_id": targets[number % HOSTS],
                "slot": {"certificate_path": str(chain), "key_path": str(key)},
                "endpoints": [endpoint],
            }
            accepted(client.post("/provisioner/v1/bindings", json=body))

    def _found(self, client: httpx.Client) -> dict[str, str]:
        """Return the lineages of all certificates by their names, once scans have found them.

        One server answers for all addresses: on a busy machine it stays silent to some, and they are asked again.
        """
        lineages: dict[str, str] = {}
        for _ in range(_SCANS):
            found = self._scan(client)

            def is_known(found: int = found) -> bool:
                known = accepted(client.get("/inventory/v1/certificates/count", params={"current": True}))
                return bool(known["count"] >= found)

            until(is_known, what="all that was found in inventory", within=_PATIENCE, every=1)
            items = pages(client, "/inventory/v1/certificates")
            lineages = {each["names"][0]: each["lineage_id"] for each in items}
            if len(lineages) >= self.farm.size:
                break
        return lineages

    def _scan(self, client: httpx.Client) -> int:
        """Scan the farm; return how many certificates were found."""
        body = {"targets": self.farm.networks, "ports": [self.farm.port], "concurrency": _AT_ONCE}
        scan = accepted(client.post("/discovery/v1/scans", json=body))
        path = f"/discovery/v1/scans/{scan['id']}"

        def finished() -> dict[str, Any] | None:
            shown = accepted(client.get(path))
            return shown if shown["state"] == "finished" else None

        shown: dict[str, Any] = until(finished, what="the scan", within=_PATIENCE, every=1)
        return int(shown["counts"]["found"])

    def _target(self, client: httpx.Client, number: int) -> str:
        body = {
            "name": f"host-{number}",
            "kind": "files",
            "host": self.sshd.host,
            "port": self.sshd.port,
            "username": self.sshd.username,
            "host_key": self.sshd.host_key,
            "credential": {"private_key": self.sshd.client_key},
            "options": {},
        }
        return str(accepted(client.post("/provisioner/v1/targets", json=body))["id"])


def pages(client: httpx.Client, path: str, **asked: Any) -> Iterator[dict[str, Any]]:
    """Return all items of a list."""
    cursor: str | None = None
    while True:
        given = {"limit": 1000, **asked, **({"cursor": cursor} if cursor else {})}
        page = accepted(client.get(path, params=given))
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _authorities(client: httpx.Client, pebble: Pebble) -> None:
    ca_pem = pebble.ca_pem.read_text()
    options = {"directory_url": pebble.dir_url, "ca_pem": ca_pem, "contacts": ["mailto:pki@house.test"]}
    for name, kind, said in (("house", "builtin", {}), ("acme", "acme", options)):
        body = {"name": name, "kind": kind, "options": said}
        accepted(client.post("/renewal/v1/authorities", json=body))
        terms: dict[str, Any] = {"name": name, "authority": name, "allowed_names": [f"*.{name}.test"]}
        if kind == "acme":
            terms["challenge"] = "http-01"
        accepted(client.post("/renewal/v1/profiles", json=terms))


@contextmanager
def staged(*, blocks: int, acme: int) -> Iterator[Estate]:
    """Start an estate of so many endpoints in a folder of its own, and stop it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="everleaf-bench-"))
    folder.chmod(0o755)
    estate = Estate(folder, farm=Farm(folder / "farm", blocks=blocks, acme=acme))
    try:
        estate.start()
        yield estate
    finally:
        with suppress(Exception):
            estate.stop()
        shutil.rmtree(folder, ignore_errors=True)


Kill = tuple[float, str, Callable[[], None]]
"""At which share of the campaign, what, and how."""
