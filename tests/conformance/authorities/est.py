"""The bench of EST: nothing is counted, for the protocol has no name for an order that is asked for twice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.x509.oid import ExtendedKeyUsageOID

from services.renewal.connectors.est import Est as EstAuthority
from tests.conformance.authorities.bench import Bench, Fixtures, Opens, Power, Row, on_loopback, running
from tests.servers.est import Est
from tests.servers.tls import CertificateAuthority


@dataclass
class EstBench(Bench):
    """One with an EST server of its own."""

    server: Est | None = None


@asynccontextmanager
async def est_bench(
    directory: Path, lab_ca: CertificateAuthority, *, by_certificate: bool = False
) -> AsyncIterator[EstBench]:
    """Open a server, and log in with a password or with a certificate."""
    server = Est(directory, lab_ca=lab_ca, label="servers")
    options: dict[str, Any] = {
        "url": server.url,
        "label": "servers",
        "trusted_ca": lab_ca.pem.decode(),
        "root_pem": server.root.pem.decode(),
    }
    secrets = {"password": server.password}
    if by_certificate:
        ours = server.own.issue("platform.example.test", usage=ExtendedKeyUsageOID.CLIENT_AUTH)
        options["certificate_pem"] = ours.certificate_pem.decode()
        secrets = {"key_pem": ours.key_pem.decode()}
    else:
        options["username"] = "device"

    def expire() -> None:
        server.is_open = False

    with running(server):
        yield EstBench(
            kind=EstAuthority,
            options=options,
            secrets=secrets,
            network=on_loopback(),
            refused=("www.example.org",),
            expire=expire,
            stop=server.stop,
            server=server,
        )


def _opened(*, by_certificate: bool) -> Opens:
    @asynccontextmanager
    async def opened(fixtures: Fixtures) -> AsyncIterator[Bench]:
        async with est_bench(
            fixtures("tmp_path"), fixtures("lab_ca"), by_certificate=by_certificate
        ) as bench:
            yield bench

    return opened


_POWERS = frozenset({Power.REFUSED, Power.EXPIRE})
ROWS = {
    "est password": Row(kind=EstAuthority, open=_opened(by_certificate=False), powers=_POWERS | {Power.STOP}),
    "est certificate": Row(kind=EstAuthority, open=_opened(by_certificate=True), powers=_POWERS),
}
