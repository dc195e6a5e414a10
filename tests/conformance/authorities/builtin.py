"""The bench of the built-in authority, with books of its own; it reaches nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from cryptography import x509

from services.renewal import store
from services.renewal.actions.books import Books
from services.renewal.connectors import Network
from services.renewal.connectors.builtin import Builtin
from services.renewal.service import SCHEMA
from shared.outbound import Policy
from shared.store import Database
from shared.tls import client_context
from tests.conformance.authorities.bench import Bench, Fixtures, Power, Row
from tests.servers.tls import names_of

HOUSE = "house"


@asynccontextmanager
async def builtin_bench(directory: Path) -> AsyncIterator[Bench]:
    """Open a built-in authority that must not issue below example.org."""
    database = Database(f"sqlite:///{directory}/renewal.db", source="renewal")
    await SCHEMA.upgrade(database)
    await _known(database)

    async def books() -> list[store.BuiltinCertificate]:
        async with database.read() as session:
            return list((await session.scalars(sa.select(store.BuiltinCertificate))).all())

    async def count(name: str) -> int:
        return sum(name in names_of(x509.load_der_x509_certificate(row.certificate)) for row in await books())

    async def is_revoked(der: bytes) -> bool:
        return any(row.certificate == der and row.revoked_at is not None for row in await books())

    ledger = Books(database, public_url=None).of(HOUSE)
    network = Network(policy=Policy(), tls=client_context(), http01=None, ledger=ledger)
    yield Bench(
        kind=Builtin,
        options={"excluded": ["example.org"]},
        secrets={},
        network=network,
        refused=("www.example.org",),
        count=count,
        is_revoked=is_revoked,
    )
    await database.close()


async def _known(database: Database) -> None:
    """Books belong to an authority that is known."""
    async with database.transaction() as tx:
        row = store.Authority(
            id=HOUSE,
            name=HOUSE,
            kind=Builtin.kind,
            options={},
            secrets=b"",
            private=b"",
            roots=[],
            created_at=datetime.now(UTC),
            created_by="tester",
        )
        tx.session.add(row)


@asynccontextmanager
async def _opened(fixtures: Fixtures) -> AsyncIterator[Bench]:
    async with builtin_bench(fixtures("tmp_path")) as bench:
        yield bench


_POWERS = frozenset({Power.COUNT, Power.REFUSED, Power.FINDS, Power.KEYED})
ROWS = {"builtin": Row(kind=Builtin, open=_opened, powers=_POWERS)}
