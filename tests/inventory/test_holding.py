"""Replicas that take in what bears upon the same certificates wait for each other, and never in a circle."""

from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from services.inventory.store.locks import hold
from shared.bus.sqlite import SqliteBus
from shared.events import Event
from shared.store import Database
from tests.inventory.conftest import Issue
from tests.inventory.ledger import HOUR, NOON, Ledger, found, lost, place
from tests.servers.tls import Issued

GATE = place(90).address
"""An address at which both have found something: the last that either holds, and nobody can until the gate opens."""
WAITING = sa.text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def issued_below(issue: Issue, name: str) -> Issued:
    """Return a certificate whose fingerprint sorts before `address`."""
    return next(each for number in range(100) if (each := issue(f"{number}.{name}")).fingerprint < "ad")


async def both_wait(database: Database) -> None:
    with anyio.fail_after(30):
        async with database.engine.connect() as connection:
            while await connection.scalar(WAITING) != 2:
                await anyio.sleep(0.01)


async def take_in_together(
    database: Database, bus: SqliteBus, first: list[Event[Any]], second: list[Event[Any]]
) -> list[Any]:
    """Let two replicas take in a batch each; return what they have logged. Both have begun before either can go on."""
    with capture_logs() as logged:
        async with anyio.create_task_group() as tasks, database.transaction() as tx:
            await hold(tx, f"address {GATE}")
            for batch in (first, second):
                tasks.start_soon(Ledger(database, bus, now=NOON + 2 * HOUR).hear, *batch)
            await both_wait(database)
    return logged


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer
@pytest.mark.parametrize("ends", ["changed", "lost"])
async def test_two_replicas_whose_endpoints_served_what_the_other_has_found_do_not_lock_each_other(
    database: Database, bus: SqliteBus, issue: Issue, ends: str
) -> None:
    one, other = issued_below(issue, "one.test"), issued_below(issue, "other.test")
    await Ledger(database, bus).hear(found(one, place(1), NOON), found(other, place(2), NOON))

    def at_the_gate(name: str) -> Event[Any]:
        return found(issued_below(issue, name), place(90, name=name), NOON + HOUR)

    def end(old: Issued, number: int) -> Event[Any]:
        if ends == "lost":
            return lost(old, place(number), NOON + HOUR)
        return found(issued_below(issue, f"newer-{number}.test"), place(number), NOON + HOUR)

    logged = await take_in_together(
        database,
        bus,
        [end(one, 1), found(other, place(11), NOON + HOUR), at_the_gate("first.test")],
        [end(other, 2), found(one, place(12), NOON + HOUR), at_the_gate("second.test")],
    )
    assert [each["event"] for each in logged if "deadlock" in repr(each)] == []
    ledger = Ledger(database, bus)
    assert await ledger.served(place(11)) == [other.fingerprint]
    assert await ledger.served(place(12)) == [one.fingerprint]
