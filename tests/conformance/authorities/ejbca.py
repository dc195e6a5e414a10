"""The bench of EJBCA."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography.x509.oid import ExtendedKeyUsageOID

from services.renewal.connectors.ejbca import Ejbca
from shared.x509 import load, to_pem
from tests.conformance.authorities.bench import (
    NO_WAIT,
    Bench,
    Fixtures,
    Power,
    Row,
    on_loopback,
    running,
)
from tests.servers.ejbca import REVOKED
from tests.servers.ejbca import Ejbca as Server

AUTHORITY = "Issuing CA 1"


@asynccontextmanager
async def ejbca_bench(directory: Path, *, by_token: bool = True) -> AsyncIterator[Bench]:
    """Open an EJBCA with a CA that issues for example.test, for a bearer token or for a client certificate."""
    server = Server(directory, needs_certificate=not by_token)
    authority = server.add(AUTHORITY)
    authority.profiles["web"] = (".example.test",)
    server.token = "ey.header.claims" if by_token else None
    manager = server.clients.issue("everleaf", usage=ExtendedKeyUsageOID.CLIENT_AUTH)
    identity = {"certificate": manager.chain_pem.decode(), "private_key": manager.key_pem.decode()}

    async def count(name: str) -> int:
        return sum(row["subjectDN"] == f"CN={name}" for row in authority.rows)

    async def is_revoked(der: bytes) -> bool:
        serial = load(der).serial_number
        return [row["status"] for row in authority.rows if int(row["serialNumber"], 16) == serial] == [
            REVOKED
        ]

    def release() -> None:
        for asked in authority.waiting.values():
            asked["is_approved"] = True

    def expire() -> None:
        server.token = "another"

    with running(server):
        yield Bench(
            kind=Ejbca,
            options={
                "url": server.api,
                "authority": AUTHORITY,
                "end_entity_profile": "Servers",
                "certificate_profile": "web",
                "trusted_ca": server.tls.pem.decode(),
                "root_pem": to_pem(authority.chain()[1:]),
            },
            secrets={"token": server.token} if by_token else identity,
            network=on_loopback(),
            longest_wait=NO_WAIT,
            refused=("www.example.org",),
            count=count,
            is_revoked=is_revoked,
            hold=lambda: setattr(authority, "needs_approval", True),
            release=release,
            expire=expire,
            stop=server.stop,
        )


@asynccontextmanager
async def _opened(fixtures: Fixtures) -> AsyncIterator[Bench]:
    async with ejbca_bench(fixtures("tmp_path")) as bench:
        yield bench


_POWERS = frozenset(
    {Power.COUNT, Power.REFUSED, Power.STOP, Power.TLS, Power.FINDS, Power.HOLD, Power.EXPIRE}
)
ROWS = {"ejbca": Row(kind=Ejbca, open=_opened, powers=_POWERS)}
