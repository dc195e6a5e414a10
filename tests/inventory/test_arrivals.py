"""What is new altogether is taken in many at a time, and comes to the same as one by one."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest
import sqlalchemy as sa

from services.inventory.service import SCHEMA
from shared.bus.sqlite import SqliteBus
from shared.events import Event
from shared.events.inventory import CertificateExpiring
from shared.store import Database
from shared.x509 import fingerprint as of_bytes
from tests.inventory.conftest import Issue
from tests.inventory.ledger import (
    DAY,
    HOUR,
    NOON,
    Ledger,
    deployed,
    found,
    found_bytes,
    lost,
    place,
    renewed,
    stored,
)
from tests.inventory.test_holdings import held
from tests.oddities import corpus
from tests.servers.tls import Issued, fingerprint

OURS_ALONE = {"id", "jti", "lineage_id", "event_id"}
"""Columns whose values are made up anew each time."""
NOT_COMPARED = {"inbox", "outbox", "signing_keys", "policies", "tally_changes"}


async def kept(database: Database) -> dict[str, list[str]]:
    """Return all rows of all tables, without what is made up anew each time."""
    tables = [table for metadata in SCHEMA.metadata for table in metadata.sorted_tables]
    rows: dict[str, list[str]] = {}
    async with database.read() as session:
        for table in tables:
            if table.name in NOT_COMPARED:
                continue
            shown = [column for column in table.c if column.name not in OURS_ALONE or table.name == "places"]
            found_rows = (await session.execute(sa.select(*shown))).all() if shown else []
            distinct = table.name == "due_associations"  # asked for once or thrice, they are looked at once
            texts = [repr(tuple(row)) for row in found_rows]
            rows[table.name] = sorted(set(texts) if distinct else texts)
    return rows


def everything(issue: Issue, old: Issued, new: Issued) -> list[Event[Any]]:
    """Return a first day: much that is new, and everything that is to be left alone."""
    many = [issue(f"{number}.test", f"www.{number}.test") for number in range(6)]
    wide, urgent, again = issue("*.wide.test"), issue("late.test", since=80, ends_in=5), issue("again.test")
    odd = [odd.der for _, odd in corpus() if odd.der is not None][:12]
    return [
        *(found(each, place(number), NOON) for number, each in enumerate(many, start=1)),
        *(found(wide, place(number), NOON + HOUR) for number in range(10, 14)),
        found(urgent, place(20), NOON),
        found(old, place(21), NOON - DAY),
        found(new, place(21), NOON),
        found(new, place(22), NOON),
        stored(again, "web-1", NOON, held=None),
        found(again, place(23), NOON),
        *(found_bytes(of_bytes(der), [der], place(30 + n), NOON) for n, der in enumerate([b"rubbish", *odd])),
        lost(many[0], place(1), NOON - HOUR),
    ]


async def heard(ledger: Ledger, batches: Sequence[Sequence[Event[Any]]]) -> dict[str, list[str]]:
    await ledger.forget()
    for batch in batches:
        await ledger.hear(*batch)
    await ledger.summaries.fold(ledger.now)
    return await kept(ledger.database)


async def test_a_batch_leaves_the_same_rows_as_its_events_one_by_one(
    ledger: Ledger, issue: Issue, old: Issued, new: Issued
) -> None:
    events = everything(issue, old, new)
    together = await heard(ledger, [events])
    told = len(await ledger.said(CertificateExpiring))
    alone = await heard(ledger, [[event] for event in events])
    assert {name: together[name] for name in together if together[name] != alone[name]} == {
        name: alone[name] for name in together if together[name] != alone[name]
    }
    assert len(together["certificates"]) > 10
    assert told == len(await ledger.said(CertificateExpiring)) == 1


async def test_what_is_new_where_something_else_is_configured_is_compared_with_it(
    ledger: Ledger, issue: Issue
) -> None:
    configured, served = issue("a.test"), issue("a.test", since=2)
    where = held(addresses=["192.0.2.40"])
    endpoint = found(served, place(40, name="a.test"), NOON + HOUR)
    first = stored(configured, "web-1", NOON, held=where)
    again = stored(configured, "web-1", NOON + 2 * HOUR, held=where)
    together = await heard(ledger, [[first], [endpoint, found(issue("b.test"), place(41), NOON)], [again]])
    flaws = together["flaws"]
    assert any("not-served" in row for row in flaws), flaws
    alone = await heard(ledger, [[first], [endpoint], [again]])
    assert flaws == alone["flaws"]


async def test_what_is_new_costs_no_more_statements_the_more_there_is(ledger: Ledger, issue: Issue) -> None:
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    counts = []
    sa.event.listen(ledger.database.engine.sync_engine, "before_cursor_execute", note)
    for begin, end in ((0, 2), (10, 40)):
        statements.clear()
        await ledger.hear(*(found(issue(f"{n}.test"), place(n), NOON) for n in range(begin, end)))
        counts.append(len(statements))
    sa.event.remove(ledger.database.engine.sync_engine, "before_cursor_execute", note)
    assert counts[1] <= counts[0] + 2
    assert counts[1] < 40


async def test_two_replicas_that_find_the_same_keep_it_once(
    database: Database, bus: SqliteBus, issue: Issue
) -> None:

    one, other = Ledger(database, bus), Ledger(database, bus)
    shared = [issue(f"{number}.test") for number in range(8)]
    first = [found(each, place(number), NOON) for number, each in enumerate(shared)]
    second = [found(each, place(number + 100), NOON) for number, each in enumerate(reversed(shared))]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: one.hear(*first))
        tasks.start_soon(lambda: other.hear(*second))
    rows = await kept(database)
    assert len(rows["certificates"]) == len(shared)
    assert len(rows["sightings"]) == 2 * len(shared)


async def test_a_certificate_that_was_renewed_before_it_was_seen_stays_in_its_lineage(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(deployed(old, new, NOON, lineage="shop"))
    await ledger.hear(found(old, place(1), NOON - DAY), found(new, place(2), NOON))
    await ledger.hear(renewed(old, new, NOON, lineage="shop"))
    assert {(await ledger.row(each)).lineage_id for each in (old, new)} == {"shop"}


@pytest.mark.parametrize("count", [1, 3])
async def test_what_is_new_is_not_told_and_comes_due_in_time(
    ledger: Ledger, issue: Issue, count: int
) -> None:
    each = [issue(f"{number}.test", since=30, ends_in=60) for number in range(count)]
    await ledger.hear(*(found(one, place(number), NOON) for number, one in enumerate(each)))
    assert await ledger.said(CertificateExpiring) == []
    ledger.now = NOON + 35 * DAY
    await ledger.work()
    assert {said.fingerprint for said in await ledger.said(CertificateExpiring)} == {
        fingerprint(one.certificate) for one in each
    }
