"""The bench of DigiCert CertCentral."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.renewal.connectors.digicert import Digicert
from shared.x509 import load
from tests.conformance.authorities.bench import NO_WAIT, Bench, Fixtures, Power, Row, on_loopback, running
from tests.servers.digicert import ORGANIZATION
from tests.servers.digicert import Digicert as Server
from tests.servers.tls import LOOPBACK, CertificateAuthority


@dataclass
class DigicertBench(Bench):
    """One with an account of its own."""

    server: Server | None = None


@asynccontextmanager
async def digicert_bench(directory: Path, lab_ca: CertificateAuthority) -> AsyncIterator[DigicertBench]:
    """Open an account that may order for example.test."""
    server = Server(lab_ca.issue(*LOOPBACK).server_context(directory))

    async def count(name: str) -> int:
        return sum(name in order.names for order in server.orders)

    async def is_revoked(der: bytes) -> bool:
        return any(order.is_revoked and order.certificate == load(der) for order in server.orders)

    with running(server):
        yield DigicertBench(
            kind=Digicert,
            options={
                "url": server.url,
                "product": "ssl_basic",
                "organization_id": ORGANIZATION,
                "trusted_ca": lab_ca.pem.decode(),
                "root_pem": server.root.pem.decode(),
            },
            secrets={"api_key": server.api_key},
            network=on_loopback(),
            longest_wait=NO_WAIT,
            count=count,
            refused=("www.example.org",),
            is_revoked=is_revoked,
            hold=lambda: setattr(server, "holds", True),
            release=server.release,
            expire=lambda: setattr(server, "api_key", "another"),
            stop=server.stop,
            server=server,
        )


@asynccontextmanager
async def _opened(fixtures: Fixtures) -> AsyncIterator[Bench]:
    async with digicert_bench(fixtures("tmp_path"), fixtures("lab_ca")) as bench:
        yield bench


_POWERS = frozenset(Power) - {Power.KEYED}
ROWS = {"digicert": Row(kind=Digicert, open=_opened, powers=_POWERS)}
