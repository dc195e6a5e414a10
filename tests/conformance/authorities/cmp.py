"""The bench of CMP: what is confirmed is counted, so that an answer that was lost leaves nothing behind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from services.renewal.connectors.cmp import Cmp as CmpAuthority
from services.renewal.connectors.cmp.protection import Signatures
from tests.conformance.authorities.bench import Bench, Fixtures, Opens, Power, Row, on_loopback, running
from tests.servers.cmp import Cmp
from tests.servers.tls import names_of


@dataclass
class CmpBench(Bench):
    """One with a CMP server of its own."""

    server: Cmp | None = None


@asynccontextmanager
async def cmp_bench(*, by_signature: bool = False) -> AsyncIterator[CmpBench]:
    """Open a server, and be known to it by a secret or by a certificate."""
    server = Cmp()
    options: dict[str, Any] = {"url": server.url, "root_pem": server.root.pem.decode()}
    secrets = {"secret": server.secret}
    if by_signature:
        ours, theirs = (server.own.issue(name) for name in ("platform.example.test", "cmp.example.test"))
        options["certificate_pem"] = ours.chain_pem.decode()
        secrets = {"key_pem": ours.key_pem.decode()}
        server.protection = Signatures(
            key=theirs.key,
            certificates=[each.public_bytes(Encoding.DER) for each in (theirs.certificate, *theirs.issuers)],
            roots=[server.root.certificate.public_bytes(Encoding.DER)],
        )
    else:
        options["reference"] = server.reference

    async def count(name: str) -> int:
        return sum(name in names_of(each) for each in server.certificates)

    async def is_revoked(der: bytes) -> bool:
        return x509.load_der_x509_certificate(der).serial_number in server.revoked

    with running(server):
        yield CmpBench(
            kind=CmpAuthority,
            options=options,
            secrets=secrets,
            network=on_loopback(),
            refused=("www.example.org",),
            count=count,
            is_revoked=is_revoked,
            hold=lambda: setattr(server, "is_holding", True),
            release=lambda: setattr(server, "is_holding", False),
            expire=lambda: setattr(server, "is_open", False),
            server=server,
        )


def _opened(*, by_signature: bool) -> Opens:
    @asynccontextmanager
    async def opened(_fixtures: Fixtures) -> AsyncIterator[Bench]:
        async with cmp_bench(by_signature=by_signature) as bench:
            yield bench

    return opened


_POWERS = frozenset({Power.COUNT, Power.REFUSED, Power.HOLD, Power.EXPIRE})
ROWS = {
    "cmp secret": Row(kind=CmpAuthority, open=_opened(by_signature=False), powers=_POWERS),
    "cmp signature": Row(kind=CmpAuthority, open=_opened(by_signature=True), powers=_POWERS),
}
