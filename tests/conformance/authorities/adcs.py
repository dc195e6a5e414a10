"""The bench of AD CS."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.renewal.connectors.adcs import Adcs
from tests.conformance.authorities.bench import NO_WAIT, Bench, Fixtures, Power, Row, on_loopback, running
from tests.servers.adcs import ISSUED, Template
from tests.servers.adcs import Adcs as Server
from tests.servers.tls import LOOPBACK, CertificateAuthority, names_of


@dataclass
class AdcsBench(Bench):
    """One with a CA of its own."""

    server: Server | None = None


@asynccontextmanager
async def adcs_bench(
    directory: Path, lab_ca: CertificateAuthority, *, by_basic: bool = False
) -> AsyncIterator[AdcsBench]:
    """Open a CA with the templates `WebServer` and `Restricted`."""
    issued = lab_ca.issue(*LOOPBACK)
    server = Server(issued.server_context(directory), by_basic=by_basic, certificate=issued.certificate)
    server.templates = {
        "WebServer": Template(lifetime=timedelta(days=90)),
        "Restricted": Template(may_enrol=False),
    }

    async def count(name: str) -> int:
        return sum(name in names_of(one.csr) for one in server.submitted.values())

    with running(server):
        yield AdcsBench(
            kind=Adcs,
            options={
                "url": server.url,
                "template": "WebServer",
                **({"authentication": "basic"} if by_basic else {}),
                "trusted_ca": lab_ca.pem.decode(),
                "root_pem": server.root.pem.decode(),
            },
            secrets={"username": server.username, "password": server.password},
            network=on_loopback(),
            longest_wait=NO_WAIT,
            count=count,
            most=2,
            hold=lambda: setattr(server.templates["WebServer"], "needs_manager", True),
            release=lambda: server.decide(ISSUED),
            expire=lambda: setattr(server, "password", "another"),
            stop=server.stop,
            server=server,
        )


@asynccontextmanager
async def _opened(fixtures: Fixtures) -> AsyncIterator[Bench]:
    async with adcs_bench(fixtures("tmp_path"), fixtures("lab_ca")) as bench:
        yield bench


_POWERS = frozenset({Power.COUNT, Power.STOP, Power.TLS, Power.HOLD, Power.EXPIRE})
ROWS = {"adcs": Row(kind=Adcs, open=_opened, powers=_POWERS)}
