"""Void tokens: what one replica hears the others read, and without the database nobody is trusted for long."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.errors import Unauthenticated, Unavailable
from shared.store import Database
from shared.store.plumbing import PLUMBING
from shared.void_tokens import READ_EVERY, TRUSTED_FOR, VoidTokens
from tests.shared.test_access import ALICE, VERIFIER, token

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)


class Stopwatch:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def skip(self, span: timedelta) -> None:
        self.seconds += span.total_seconds()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A database with nothing but the plumbing."""
    opened = Database(f"sqlite:///{tmp_path}/some.db", source="some")
    async with opened.engine.begin() as connection:
        await connection.run_sync(PLUMBING.create_all)
    yield opened
    await opened.close()


async def add(tokens: VoidTokens, database: Database, *, until: datetime) -> None:
    async with database.transaction() as tx:
        await tokens.add(tx, "1", issued_until=until)


async def test_a_token_is_void_where_it_was_issued_by_then_and_stays_so_in_whatever_order_it_is_told(
    database: Database,
):
    tokens = VoidTokens(database)
    assert not await tokens.is_void("1", issued_at=NOON)
    for until in (NOON, NOON - timedelta(hours=1)):
        await add(tokens, database, until=until)
        assert await tokens.is_void("1", issued_at=NOON)
        assert not await tokens.is_void("1", issued_at=NOON + TICK)
        assert not await tokens.is_void("2", issued_at=NOON)


async def test_another_replica_knows_within_seconds(database: Database):
    clock = Stopwatch()
    hears, reads = VoidTokens(database), VoidTokens(database, seconds=clock)
    assert not await reads.is_void("1", issued_at=NOON)
    await add(hears, database, until=NOON)
    assert not await reads.is_void("1", issued_at=NOON)
    clock.skip(READ_EVERY)
    assert await reads.is_void("1", issued_at=NOON)


async def test_without_the_database_no_token_is_accepted_for_longer_than_a_minute(database: Database):
    clock = Stopwatch()
    tokens = VoidTokens(database, seconds=clock)
    assert not await tokens.is_void("1", issued_at=NOON)
    async with database.engine.begin() as connection:
        await connection.run_sync(PLUMBING.drop_all)
    clock.skip(READ_EVERY)
    assert not await tokens.is_void("1", issued_at=NOON)
    clock.skip(TRUSTED_FOR)
    with pytest.raises(Unavailable, match="which tokens were revoked"):
        await tokens.is_void("1", issued_at=NOON)


async def test_a_verifier_refuses_what_is_void(database: Database):
    tokens = VoidTokens(database)
    verifier = VERIFIER.refusing(tokens)
    text = token()
    assert await verifier.verify(text) == ALICE
    await add(tokens, database, until=datetime.now(UTC))
    with pytest.raises(Unauthenticated, match="has changed since it was issued"):
        await verifier.verify(text)
    assert await verifier.verify(token()) == ALICE
