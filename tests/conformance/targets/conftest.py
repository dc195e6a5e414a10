"""The bench that `on_each` asks for, and a provisioner for it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.provisioner.connectors import wire
from shared.store import Database
from tests.conformance.targets import ROWS, cases
from tests.conformance.targets.bench import NAME, Bench, Fault, Row
from tests.conformance.targets.products import houses  # noqa: F401 - a fixture
from tests.provisioner.workshop import Workshop, workshop
from tests.servers.stores import Stores
from tests.servers.tls import CertificateAuthority, Issued

pytest.register_assert_rewrite("tests.conformance.targets.every_kind")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what `on_each` has marked on the rows of its module."""
    faults = getattr(metafunc.function, "faults", None)
    if faults is not None:
        asked = cases(metafunc.module.ROWS, faults)
        metafunc.parametrize(("bench", "fault"), asked, indirect=["bench"])


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Row:
    """The line of the table that the bench is on."""
    return ROWS[request.node.callspec.params["bench"]]


@pytest.fixture
async def bench(request: pytest.FixtureRequest, row: Row) -> AsyncIterator[Bench]:
    """One kind of target, by its name in the table."""
    async with row.open(request.getfixturevalue) as opened:
        yield opened


@pytest.fixture
def new(lab_ca: CertificateAuthority) -> Issued:
    """The certificate that is to be put in place, with its intermediate."""
    return lab_ca.intermediate().issue(NAME)


@pytest.fixture(scope="session")
def rsa_key(lab_ca: CertificateAuthority) -> bytes:
    """A key that is no certificate's here: it takes long to make one."""
    return lab_ca.issue(NAME, kind="rsa").key_pem


@pytest.fixture
async def shop(
    request: pytest.FixtureRequest, tmp_path: Path, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Workshop]:
    """A provisioner on SQLite that looks often; and not for long where there is nothing to wait for."""
    monkeypatch.setattr(wire, "_PAUSE", 0.03)
    waits_in_vain = request.node.callspec.params.get("fault") is Fault.NO_EFFECT
    verify_for = timedelta(seconds=0.5 if waits_in_vain else 20)
    with stores.copy("provisioner", "sqlite", tmp_path) as url:
        database = Database(url, source="provisioner")
        try:
            async with workshop(
                database,
                has_tables=True,
                lease=timedelta(minutes=10),
                verify_for=verify_for,
                limit=timedelta(seconds=60),
            ) as opened:
                yield opened
        finally:
            await database.close()
