"""The bench of SCEP: micromdm's real server, which has no name for an order and refuses nothing but a wrong password."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from services.renewal.connectors import Issued, Request
from services.renewal.connectors.chains import is_for
from services.renewal.connectors.scep import Scep as ScepAuthority
from services.renewal.domain.keys import KeyType
from shared.errors import Refused
from shared.x509 import load
from tests.conformance.authorities.bench import Bench, Fixtures, Power, Row, on_loopback, running
from tests.servers.scep import Scep
from tests.servers.tls import names_of


@dataclass
class ScepBench(Bench):
    """One with a SCEP server of its own."""

    server: Scep | None = None

    def check(self, request: Request, told: Issued) -> tuple[bytes, ...]:
        """Check all but the usage: this server issues for clients, and an attempt would refuse that."""
        with pytest.raises(Refused, match="it is not for servers"):
            super().check(request, told)
        leaf, root = x509.load_der_x509_certificate(told.chain[0]), load(self.identity.roots[0])
        leaf.verify_directly_issued_by(root)
        assert is_for(told.chain[0], request.csr)
        assert names_of(leaf) == list(request.names)
        return told.chain


@asynccontextmanager
async def scep_bench(depot: Path) -> AsyncIterator[ScepBench]:
    """Start a server on a CA that is there."""
    server = Scep(depot)

    def expire() -> None:
        server.stop()
        server.challenge = "another one"
        server.start()

    with running(server):
        yield ScepBench(
            kind=ScepAuthority,
            options={"url": server.url, "root_pem": server.root_pem, "accept_weak": True},
            secrets={"challenge_password": server.challenge},
            network=on_loopback(),
            key_type=KeyType.RSA_2048,
            expire=expire,
            server=server,
        )


@asynccontextmanager
async def _opened(fixtures: Fixtures) -> AsyncIterator[Bench]:
    async with scep_bench(fixtures("scep_depot")) as bench:
        yield bench


ROWS = {"scep": Row(kind=ScepAuthority, open=_opened, powers=frozenset({Power.EXPIRE}))}
