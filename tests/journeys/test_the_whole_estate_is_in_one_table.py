"""Every kind of source is read by one platform, and what a host's servers are told to present is beside what they do.

`pytest -s tests/journeys/test_the_whole_estate_is_in_one_table.py` prints the table.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from rich.console import Console
from rich.table import Table

from services.discovery.connectors.registry import SOURCES
from tests.discovery.workshops import Workshop, workshop_of
from tests.journeys.conftest import StartPlatform
from tests.journeys.platforms import Json, accepted, items, until
from tests.servers.apache import Apache
from tests.servers.caddy import Caddy
from tests.servers.dovecot import Dovecot
from tests.servers.haproxy import HaProxy
from tests.servers.nginx import StartNginx
from tests.servers.postfix import Postfix
from tests.servers.ssh import Sshd
from tests.servers.starttls import StartPlain
from tests.servers.stunnel import Stunnel
from tests.servers.tls import CertificateAuthority, Issued
from tests.servers.tomcat import Tomcat

EACH = 2
"""Certificates put into each of the other systems."""


@dataclass(frozen=True)
class Servers:
    """What runs on the host: the first file of each configuration, and every port."""

    starts: dict[str, Path]
    ports: tuple[int, ...]


@pytest.fixture
def servers(
    start_nginx: StartNginx,
    start_plain: StartPlain,
    issued: Issued,
    lab_ca: CertificateAuthority,
    tmp_path: Path,
) -> Iterator[Servers]:
    """Eight products on this host, each with certificates of its own."""
    nginx = start_nginx("a.nginx.test", "b.nginx.test")
    postfix, dovecot = start_plain(Postfix, tls=issued), start_plain(Dovecot, tls=issued)
    starts = {
        "nginx": nginx.directory / "nginx.conf",
        "postfix": postfix._directory / "main.cf",
        "dovecot": dovecot._directory / "dovecot.conf",
    }
    ports = [nginx.port, postfix.port, dovecot.imap_port, dovecot.pop3_port, dovecot.sieve_port]
    with ExitStack() as running:
        for kind in (Apache, HaProxy, Tomcat, Caddy, Stunnel):
            name = kind.__name__.lower()
            server = kind(tmp_path / "host" / name, ca=lab_ca)
            running.callback(server.stop)
            server.write(f"a.{name}.test", f"b.{name}.test")
            server.start()
            starts[name] = server.start_file
            ports.append(server.port)
        yield Servers(starts, tuple(ports))


@pytest.fixture
async def workshops(tmp_path: Path) -> AsyncIterator[list[Workshop]]:
    """Every other system that certificates can be read from."""
    async with AsyncExitStack() as opened:
        shops = []
        for kind in SOURCES:
            folder = tmp_path / kind.kind
            folder.mkdir()
            shops.append(await opened.enter_async_context(workshop_of(kind.kind, folder)))
            await asyncio.to_thread(shops[-1].put, EACH)
        yield shops


@pytest.mark.timeout(300)
async def test_configured_and_served_are_side_by_side_for_everything(
    start_platform: StartPlatform,
    servers: Servers,
    sshd: Sshd,
    workshops: list[Workshop],
    tmp_path: Path,
) -> None:
    platform = start_platform("embedded")
    with platform.client() as client:
        host = _read(client, _host(sshd, servers, tmp_path / "host"))
        others = {shop.kind: await asyncio.to_thread(_read, client, _source(shop)) for shop in workshops}
        await asyncio.to_thread(_scan, client, servers)
        rows = await asyncio.to_thread(_rows, client, servers)
        _print(rows)

    assert (host["state"], host["gaps"]) == ("finished", [])
    assert {kind: (run["state"], run["gaps"]) for kind, run in others.items()} == {
        kind: ("finished", []) for kind in others
    }
    assert min(run["holdings"] for run in others.values()) >= EACH
    served = Counter(slot["product"] for row in rows for slot in row["slots"] if slot["is_served"])
    assert served.keys() >= servers.starts.keys()
    assert [row["flaws"] for row in rows if "not-served" in row["flaws"]] == []


def _host(sshd: Sshd, servers: Servers, folder: Path) -> Json:
    return {
        "name": "host",
        "kind": "linux-ssh",
        "settings": {
            "host": sshd.host,
            "port": sshd.port,
            "username": sshd.username,
            "host_key": sshd.host_key,
            "folders": [str(folder)],
            "configurations": {product: str(path) for product, path in servers.starts.items()},
        },
        "credential": {"private_key": sshd.client_key},
    }


def _source(shop: Workshop) -> Json:
    return {
        "name": f"some {shop.kind}",
        "kind": shop.kind,
        "settings": dict(shop.settings),
        "credential": dict(shop.credential),
    }


def _read(client: httpx.Client, source: Json) -> Json:
    """Make a source known, read it once, and return the run."""
    made = accepted(client.post("/discovery/v1/sources", json=source))["id"]
    checked = accepted(client.post(f"/discovery/v1/sources/{made}/check"))
    assert checked["ok"], (source["kind"], checked)
    accepted(client.post(f"/discovery/v1/sources/{made}/runs"))

    def ended() -> Json | None:
        [run] = items(client, f"/discovery/v1/sources/{made}/runs")
        return run if run["state"] in ("finished", "failed") else None

    return dict(until(ended, what=f"the end of reading {source['kind']}"))


def _scan(client: httpx.Client, servers: Servers) -> None:
    body = {"targets": [f"127.0.0.1:{port}" for port in servers.ports]}
    made = accepted(client.post("/discovery/v1/scans", json=body))["id"]

    def ended() -> bool:
        return bool(accepted(client.get(f"/discovery/v1/scans/{made}"))["state"] == "finished")

    until(ended, what="the end of the scan")


def _rows(client: httpx.Client, servers: Servers) -> list[Json]:
    """Wait until each product is seen to serve something that it is configured for."""

    def complete() -> list[Json]:
        rows = list(items(client, "/inventory/v1/holdings"))
        served = {slot["product"] for row in rows for slot in row["slots"] if slot["is_served"]}
        return rows if served >= servers.starts.keys() else []

    return list(until(complete, what="each product serving what it is told to", within=60))


def _print(rows: list[Json]) -> None:
    table = Table("held by", "at", "used by", "listener", "name", "configured", "served", "flaws")
    for row in sorted(rows, key=lambda row: (row["place"]["address"], row["place"]["path"])):
        held, short = row["held"], row["fingerprint"][:8]
        place = (row["place"]["address"][:28], row["place"]["path"][-44:])
        if not row["slots"]:
            uses = ", ".join(sorted({use["product"] for use in held["uses"]})) or held["format"]
            table.add_row(*place, uses, "", "", short, "", ", ".join(row["flaws"]))
        for slot in row["slots"]:
            seen = ", ".join(sorted({one["fingerprint"][:8] for one in slot["served"]}))
            listener = f"{slot['address'] or '*'}:{slot['port']}"
            name = slot["server_name"] or ""
            table.add_row(*place, slot["product"], listener, name, short, seen, ", ".join(row["flaws"]))
    Console(width=200).print(table)
