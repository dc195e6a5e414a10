"""The bench that `each` asks for."""

from collections.abc import AsyncIterator, Callable

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.conformance.authorities import ROWS
from tests.conformance.authorities.bench import Bench
from tests.servers.scep import scep_depot  # noqa: F401 - a fixture
from tests.servers.tls import CertificateAuthority


@pytest.fixture
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """One kind of authority, by its name in the table."""
    async with ROWS[request.param].open(request.getfixturevalue) as opened:
        yield opened


@pytest.fixture
def stranger(lab_ca: CertificateAuthority) -> Callable[[], tuple[bytes, bytes]]:
    """Make a certificate, and that of its issuer, which no authority on a bench knows."""

    def made() -> tuple[bytes, bytes]:
        leaf = lab_ca.issue("stranger.example.test").certificate
        return leaf.public_bytes(Encoding.DER), lab_ca.certificate.public_bytes(Encoding.DER)

    return made
