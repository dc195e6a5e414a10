import asyncio
import re
from datetime import UTC, datetime

import sqlalchemy as sa

from services.inventory.domain.query import Position
from services.inventory.service import SCHEMA
from services.inventory.store import certificates, places
from services.inventory.store.certificates import CertificateFilter
from shared.bus.sqlite import SqliteBus
from shared.events.inventory import CertificateExpiring, CertificateReplaced
from shared.store import Database
from tests.inventory.conftest import Issue
from tests.inventory.ledger import DAY, HOUR, NOON, Ledger, deployed, found, place, renewed
from tests.servers.tls import CertificateAuthority, Issued

ASKED = ("WITH", "INSERT", "UPDATE", "DELETE", "SELECT")
"""How a statement begins that reads or writes."""


async def test_the_migrations_make_what_the_code_expects(database: Database) -> None:
    assert await SCHEMA.differences(database) == []


async def test_seeing_the_same_again_is_one_update(ledger: Ledger, old: Issued) -> None:
    await ledger.hear(found(old, place(), NOON))
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    sa.event.listen(ledger.database.engine.sync_engine, "before_cursor_execute", note)
    await ledger.hear(found(old, place(), NOON + HOUR))
    sa.event.remove(ledger.database.engine.sync_engine, "before_cursor_execute", note)
    [written] = [text for text in statements if text.startswith(ASKED)]
    assert re.findall(r"(INSERT INTO|UPDATE|DELETE FROM) (\w+)", written) == [("UPDATE", "sightings")]


async def test_seeing_many_again_is_one_update_and_each_keeps_its_own_time(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    many = [place(number) for number in range(1, 21)]
    await ledger.hear(*(found(old, each, NOON) for each in many))
    at = {each.key: NOON + HOUR * number for number, each in enumerate(many, start=1)}
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    sa.event.listen(ledger.database.engine.sync_engine, "before_cursor_execute", note)
    await ledger.hear(*(found(old, each, at[each.key]) for each in many))
    sa.event.remove(ledger.database.engine.sync_engine, "before_cursor_execute", note)
    [written] = [text for text in statements if text.startswith(ASKED)]
    assert re.findall(r"(INSERT INTO|UPDATE|DELETE FROM) (\w+)", written) == [("UPDATE", "sightings")]
    pages = await ledger.reading.places(
        after=None, limit=50, scope=None, address=None, port=None, fingerprint=None
    )
    assert {report.place.key: report.seen.last_seen for report in pages} == at


async def test_among_many_that_are_as_before_the_one_that_changed_is_noticed(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(*(found(old, place(number), NOON) for number in range(1, 6)))
    later = NOON + HOUR
    looks = [found(new if number == 3 else old, place(number), later) for number in range(1, 6)]
    await ledger.hear(*looks, found(old, place(1), NOON + HOUR / 2))
    assert await ledger.served(place(3)) == [new.fingerprint, old.fingerprint]
    assert await ledger.served(place(1)) == [old.fingerprint]
    assert (await ledger.replacement()).old_fingerprint == old.fingerprint
    await ledger.hear(*(found(new, place(number), NOON + 2 * HOUR) for number in range(1, 6)))
    assert len(await ledger.said(CertificateReplaced)) == 1
    await ledger.hear(found(new, place(1), NOON + 3 * HOUR), found(old, place(2), NOON + 3 * HOUR))
    assert await ledger.served(place(2)) == [old.fingerprint, new.fingerprint, old.fingerprint]


async def test_filters_find_by_name_place_key_and_expiry(ledger: Ledger, issue: Issue) -> None:
    shop = issue("shop.test", "www.shop.test", ends_in=30, since=1)
    other = issue("shop-test.example", ends_in=300)
    await ledger.hear(found(shop, place(1), NOON), found(other, place(2), NOON))

    async def find(**wanted: object) -> set[str]:
        filters = CertificateFilter(**wanted)  # type: ignore[arg-type] # keywords chosen by the case
        rows = await ledger.reading.certificates(filters, after=None, limit=10)
        return {row.fingerprint for row in rows}

    both = {shop.fingerprint, other.fingerprint}
    assert await find() == both
    assert await find(name="SHOP.test") == {shop.fingerprint}
    assert await find(name="*.shop.test") == {shop.fingerprint}
    assert await find(name="*.test") == {shop.fingerprint}
    assert await find(name="*.hop.test") == set()
    assert await find(name="op.test") == set()
    assert await find(address=place(2).address) == {other.fingerprint}
    assert await find(address=place(2).address, port=8443) == set()
    assert await find(expires_before=NOON + 31 * DAY) == {shop.fingerprint}
    assert await find(key_type="rsa") == set()
    assert await find(is_current=True) == both


async def test_pages_hold_every_certificate_once(ledger: Ledger, issue: Issue) -> None:
    all_of_them = [issue(f"{number}.test") for number in range(7)]
    await ledger.hear(*(found(each, place(n), NOON) for n, each in enumerate(all_of_them)))
    seen: list[str] = []
    after = None
    while rows := await ledger.reading.certificates(CertificateFilter(), after=after, limit=2):
        seen += [row.fingerprint for row in rows[:2]]
        if len(rows) <= 2:
            break
        after = Position(id=rows[1].id)
    assert seen == [each.fingerprint for each in all_of_them]


async def test_certificates_of_one_key_are_found_by_its_fingerprint(
    ledger: Ledger, issue: Issue, lab_ca: CertificateAuthority
) -> None:
    first = issue("one.test")
    second = lab_ca.issue("two.test", key=first.key)
    await ledger.hear(found(first, place(1), NOON), found(second, place(2), NOON))
    assert (await ledger.row(first)).key_fingerprint == (await ledger.row(second)).key_fingerprint


async def test_two_replicas_tell_replaced_and_expiring_once(
    database: Database, bus: SqliteBus, old: Issued, new: Issued, issue: Issue
) -> None:
    one, other = Ledger(database, bus), Ledger(database, bus)
    dying = issue("dying.test", since=80, ends_in=10)
    for round_ in range(5):
        first, last = 2 * round_ + 1, 2 * round_ + 2
        pair = [issue(f"{round_}.test", since=30), issue(f"{round_}.test", since=0)]
        await one.hear(*(found(pair[0], place(number), NOON) for number in (first, last)))
        await one.hear(renewed(pair[0], pair[1], NOON + HOUR, lineage=f"{round_}"))
        await one.hear(deployed(pair[0], pair[1], NOON + HOUR, lineage=f"{round_}"))
        await asyncio.gather(
            one.hear(found(pair[1], place(first), NOON + 2 * HOUR), found(dying, place(100 + first), NOON)),
            other.hear(found(pair[1], place(last), NOON + 2 * HOUR), found(dying, place(100 + last), NOON)),
        )
    assert len(await one.said(CertificateReplaced)) == 5
    assert len(await one.said(CertificateExpiring)) == 1


async def test_replicas_that_look_at_the_clock_together_tell_once(
    database: Database, bus: SqliteBus, issue: Issue
) -> None:
    one, other = Ledger(database, bus), Ledger(database, bus)
    await one.hear(*(found(issue(f"{n}.test", ends_in=60, since=30), place(n), NOON) for n in range(20)))
    one.now = other.now = NOON + 50 * DAY
    await asyncio.gather(one.work(), other.work())
    assert len(await one.said(CertificateExpiring)) == 20


async def test_the_end_of_time_can_be_kept(ledger: Ledger, lab_ca: CertificateAuthority) -> None:
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    issued = lab_ca.issue("shop.test", not_before=NOON - DAY, not_after=end)
    await ledger.hear(found(issued, place(), NOON))
    async with ledger.database.read() as session:
        row = await certificates.certificate(session, issued.fingerprint)
        assert row is not None
        assert row.not_after == end
        assert await places.count_serving(session, issued.fingerprint) == 1
