"""The bench of Sectigo Certificate Manager."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.renewal.connectors.sectigo import Sectigo
from shared.x509 import load
from tests.conformance.authorities.bench import NO_WAIT, Bench, Fixtures, Power, Row, on_loopback, running
from tests.servers.sectigo import ORGANIZATION, PROFILE
from tests.servers.sectigo import Sectigo as Server
from tests.servers.tls import LOOPBACK, CertificateAuthority


@dataclass
class SectigoBench(Bench):
    """One with a customer of its own."""

    server: Server | None = None


@asynccontextmanager
async def sectigo_bench(directory: Path, lab_ca: CertificateAuthority) -> AsyncIterator[SectigoBench]:
    """Open a customer whose organization may enrol for example.test."""
    server = Server(lab_ca.issue(*LOOPBACK).server_context(directory))

    async def count(name: str) -> int:
        return sum(name in one.names for one in server.requests.values())

    async def is_revoked(der: bytes) -> bool:
        return any(
            one.status == "Revoked" and one.certificate == load(der) for one in server.requests.values()
        )

    with running(server):
        yield SectigoBench(
            kind=Sectigo,
            options={
                "url": server.url,
                "customer_uri": "example",
                "organization_id": ORGANIZATION,
                "certificate_type": PROFILE,
                "trusted_ca": lab_ca.pem.decode(),
                "root_pem": server.root.pem.decode(),
            },
            secrets={"login": server.login, "password": server.password},
            network=on_loopback(),
            longest_wait=NO_WAIT,
            count=count,
            refused=("www.example.org",),
            is_revoked=is_revoked,
            hold=lambda: setattr(server, "holds", True),
            release=server.release,
            expire=lambda: setattr(server, "password", "another"),
            stop=server.stop,
            server=server,
        )


@asynccontextmanager
async def _opened(fixtures: Fixtures) -> AsyncIterator[Bench]:
    async with sectigo_bench(fixtures("tmp_path"), fixtures("lab_ca")) as bench:
        yield bench


_POWERS = frozenset(Power) - {Power.KEYED}
ROWS = {"sectigo": Row(kind=Sectigo, open=_opened, powers=_POWERS)}
