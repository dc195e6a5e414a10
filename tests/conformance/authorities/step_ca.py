"""The bench of step-ca, a real one: it finds nothing again, and so signs once more after each crash."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from pydantic import SecretStr

from services.renewal.connectors.step_ca import StepCa as StepCaAuthority
from services.renewal.connectors.step_tokens import ProvisionerKey
from shared.ids import new_id
from tests.conformance.authorities.bench import Bench, Fixtures, Power, Row, on_loopback, running
from tests.servers.step_ca import PROVISIONER, StepCa
from tests.servers.tls import names_of


@dataclass
class StepCaBench(Bench):
    """One with a step-ca of its own."""

    server: StepCa | None = None


@asynccontextmanager
async def step_ca_bench(directory: Path, **claims: str) -> AsyncIterator[StepCaBench]:
    """Open a provisioner for example.test, by a key in a JWK, trusted by the root."""
    server = StepCa(directory, **claims)

    async def count(name: str) -> int:
        return sum(name in names_of(each) for each in server.issued())

    async def is_revoked(der: bytes) -> bool:
        serial = x509.load_der_x509_certificate(der).serial_number
        return await asyncio.to_thread(server.says_revoked, serial, token_to_revoke(server, serial))

    with running(server):
        yield StepCaBench(
            kind=StepCaAuthority,
            options={"url": server.url, "provisioner": PROVISIONER, "root_pem": server.root.pem.decode()},
            secrets={"key": server.jwk},
            network=on_loopback(),
            lifetime=timedelta(hours=24),
            count=count,
            most=3,  # one whose answer is lost, one more at the step after that is said, and the one that is used
            refused=("www.example.org",),
            is_revoked=is_revoked,
            expire=server.change_key,
            stop=server.stop,
            server=server,
        )


def token_to_revoke(server: StepCa, serial: int) -> str:
    """Return a token of the provisioner for one revocation."""
    key = ProvisionerKey.read(SecretStr(server.jwk), key_id=None)
    return key.token(
        issuer=PROVISIONER,
        audience=f"{server.url}/1.0/revoke",
        subject=str(serial),
        token_id=new_id(),
        now=datetime.now(UTC),
        claims={},
    )


@asynccontextmanager
async def _opened(fixtures: Fixtures) -> AsyncIterator[Bench]:
    async with step_ca_bench(fixtures("tmp_path")) as bench:
        yield bench


_POWERS = frozenset({Power.COUNT, Power.REFUSED, Power.EXPIRE, Power.STOP})
ROWS = {"step-ca": Row(kind=StepCaAuthority, open=_opened, powers=_POWERS)}
