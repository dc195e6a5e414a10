"""What has changed, and what is gone, is taken in many at a time, and comes to the same as one by one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding

from services.inventory.store.organised import CertificateTag, GroupMember, GroupRow, TeamRow
from services.inventory.store.tables import Certificate
from shared.events import Event
from shared.events.inventory import CertificateExpiring, CertificateReplaced
from shared.x509 import fingerprint as of_bytes
from shared.x509 import names
from tests.inventory.conftest import Issue
from tests.inventory.ledger import DAY, HOUR, NOON, Ledger, found, found_bytes, lost, place, renewed, stored
from tests.inventory.test_arrivals import kept
from tests.inventory.test_holdings import held
from tests.servers.tls import CertificateAuthority, Issued

TODAY = NOON + HOUR


def newer(issue: Issue, old: Issued) -> Issued:
    """Return a certificate for the same names that begins later."""
    return issue(*names(old.certificate), since=0.5)


class Estate:
    """Certificates that are known, and what is seen of them the day after."""

    def __init__(self, issue: Issue) -> None:
        self.plain = [issue(f"{number}.test", f"www.{number}.test", since=30) for number in range(4)]
        self.wide, self.late = issue("*.wide.test", since=30), issue("late.test", since=80, ends_in=5)
        self.twice, self.near = issue("twice.test", since=30), issue("near.test", since=60, ends_in=30.02)
        self.ending = issue("ending.test", since=60, ends_in=30.02)
        self.gone, self.both = issue("gone.test"), issue("both.test", since=30)
        self.configured = issue("configured.test", since=30)
        self.soon, self.one, self.two = issue("soon.test"), issue("one.test"), issue("two.test", since=30)
        self.first = issue("first.test")
        self.new = {
            each.fingerprint: newer(issue, each)
            for each in (*self.plain, self.wide, self.both, self.near, self.two)
        }
        self.issue = issue

    def yesterday(self) -> list[Event[Any]]:
        """Return what is known."""
        return [
            *(found(each, place(number), NOON - DAY) for number, each in enumerate(self.plain, start=1)),
            *(found(self.wide, place(number), NOON - DAY) for number in range(10, 14)),
            found(self.late, place(20), NOON - DAY),
            *(found(self.twice, place(number), NOON - DAY) for number in (21, 22)),
            *(found(self.near, place(number), NOON - DAY) for number in (23, 24)),
            found(self.soon, place(25), NOON - DAY),
            found(self.one, place(26), NOON - DAY),
            found(self.two, place(27), NOON - DAY),
            *(found(self.gone, place(number), NOON - DAY) for number in range(30, 33)),
            *(found(self.ending, place(number), NOON - DAY) for number in (34, 35)),
            found(self.both, place(33), NOON - DAY),
            stored(self.both, "web-1", NOON - DAY, held=None),
            stored(self.configured, "192.0.2.40", NOON - DAY, held=held(addresses=["192.0.2.40"])),
            found(self.configured, place(40, name="configured.test"), NOON - DAY),
            found(self.first, place(41), NOON - DAY),
        ]

    def today(self) -> list[Event[Any]]:
        """Return what has changed, plainly and otherwise."""
        issue = self.issue
        return [
            *(
                found(self.new[each.fingerprint], place(number), TODAY)
                for number, each in enumerate(self.plain[:3], start=1)
            ),
            # Other names; and the same names, but not newer.
            found(issue("other.test"), place(4), TODAY),
            found(issue("first.test", since=40), place(41), TODAY),
            *(found(self.new[self.wide.fingerprint], place(number), TODAY) for number in (10, 11, 12, 13)),
            # What was told to expire, and what is urgent from the start.
            found(issue("late.test", since=1), place(20), TODAY),
            # Two new ones of one lineage, and two that share a place of a third.
            *(found(issue("twice.test", since=1), place(number), TODAY) for number in (21, 22)),
            found(issue("soon.test", since=80, ends_in=4), place(25), TODAY),
            # One that has come to a threshold of which it was not told yet; and one in the place of two.
            *(found(self.new[self.near.fingerprint], place(number), TODAY) for number in (23, 24)),
            *(found(self.new[self.two.fingerprint], place(number), TODAY) for number in (26, 27)),
            *(lost(self.gone, place(number), TODAY) for number in (30, 31, 32)),
            *(lost(self.ending, place(number), TODAY) for number in (34, 35)),
            found(self.new[self.both.fingerprint], place(33), TODAY),
            found(issue("configured.test"), place(40, name="configured.test"), TODAY),
            # Seen before what is known, and lost that never was there.
            found(issue("before.test"), place(1), NOON - 2 * DAY),
            lost(self.gone, place(50), TODAY),
        ]


async def organise(ledger: Ledger, estate: Estate) -> None:
    """Give certificates an owner, tags and groups; and groups by rule."""
    at = {"created_at": NOON, "created_by": "ada", "version": 1}
    groups: Sequence[dict[str, Any]] = [
        {"id": "by-hand", "name": "by hand", "kind": "hand", "rule": None, **at},
        {"id": "wide", "name": "wide", "kind": "rule", "rule": "name under wide.test", **at},
        {"id": "served", "name": "served", "kind": "rule", "rule": "place.address = 192.0.2.10", **at},
    ]
    async with ledger.database.transaction() as tx:
        run = tx.session.execute
        await run(sa.insert(TeamRow), [{"id": "web", "name": "Web", "contacts": [], **at}])
        await run(sa.insert(GroupRow), [{"description": "", **group} for group in groups])
        for each in (estate.plain[0], estate.wide):
            mine = sa.update(Certificate).where(Certificate.fingerprint == each.fingerprint)  # type: ignore[arg-type] # a column
            await run(mine.values(owner_id="web", owner_set_by="person:ada"))
            await run(sa.insert(CertificateTag), [{"fingerprint": each.fingerprint, "tag": "env:prod"}])
            await run(sa.insert(GroupMember), [{"fingerprint": each.fingerprint, "group_id": "by-hand"}])


async def heard(
    ledger: Ledger,
    estate: Estate,
    batches: Sequence[Sequence[Event[Any]]],
    *,
    yesterday: Sequence[Event[Any]] | None = None,
) -> dict[str, Any]:
    ledger.now = NOON
    await ledger.forget()
    for event in yesterday or estate.yesterday():
        await ledger.hear(event)
    await organise(ledger, estate)
    ledger.now = TODAY + HOUR
    for batch in batches:
        await ledger.hear(*batch)
    return await kept(ledger.database)


async def told(ledger: Ledger) -> list[tuple[str, datetime]]:
    """Return what was told, whatever the order."""
    replaced = [(said.fingerprint, said.observed_at) for said in await ledger.said(CertificateReplaced)]
    expiring = [(said.fingerprint, said.not_after) for said in await ledger.said(CertificateExpiring)]
    return sorted([*replaced, *expiring])


async def test_a_batch_of_changes_leaves_the_same_rows_as_its_events_one_by_one(
    ledger: Ledger, issue: Issue
) -> None:
    estate = Estate(issue)
    events = estate.today()
    together = await heard(ledger, estate, [events])
    told_together = await told(ledger)
    alone = await heard(ledger, estate, [[event] for event in events])
    differing = [name for name in together if together[name] != alone[name]]
    assert {name: together[name] for name in differing} == {name: alone[name] for name in differing}
    assert told_together == await told(ledger)
    assert len(together["replacements"]) > 5
    assert {row.owner_id for row in [await ledger.row(estate.new[estate.wide.fingerprint])]} == {"web"}


def ordered(
    old: Issued | None, new: Issued, lineage: str, *, root: bytes | None = None, groups: Sequence[str] = ()
) -> Event[Any]:
    """Return renewal's event, at `TODAY`."""
    event = renewed(old, new, TODAY, lineage=lineage)
    told = {"root": root, "groups": list(groups), "order_id": new.fingerprint[:8]}
    return event.model_copy(update={"data": event.data.model_copy(update=told)})


async def renewals(ledger: Ledger, estate: Estate, root: bytes) -> list[Event[Any]]:
    """Return what renewal says of some certificates, plainly and otherwise."""
    lineage = {
        each.fingerprint: (await ledger.row(each)).lineage_id
        for each in (*estate.plain, estate.wide, estate.late, estate.twice, estate.gone, estate.one)
    }
    new, issue = estate.new, estate.issue
    [first, second, third, fourth] = estate.plain
    twice = [newer(issue, estate.twice), newer(issue, estate.twice)]
    return [
        ordered(first, new[first.fingerprint], lineage[first.fingerprint], groups=["by-hand", "wide"]),
        ordered(second, new[second.fingerprint], lineage[second.fingerprint], root=root),
        ordered(estate.late, issue("late.test", since=1), lineage[estate.late.fingerprint]),
        ordered(estate.gone, issue("gone.test", since=80, ends_in=4), lineage[estate.gone.fingerprint]),
        ordered(estate.wide, new[estate.wide.fingerprint], lineage[estate.wide.fingerprint]),
        # Into another lineage; two for one; the first of its lineage; one that was seen in the meantime.
        ordered(third, new[third.fingerprint], "elsewhere"),
        *(ordered(estate.twice, each, lineage[estate.twice.fingerprint]) for each in twice),
        ordered(None, issue("fresh.test"), "fresh"),
        ordered(fourth, new[fourth.fingerprint], lineage[fourth.fingerprint]),
        found(new[fourth.fingerprint], place(4), TODAY),
        found(new[first.fingerprint], place(1), TODAY + HOUR / 2),
    ]


async def test_a_batch_of_renewals_leaves_the_same_rows_as_its_events_one_by_one(
    ledger: Ledger, issue: Issue, lab_ca: CertificateAuthority
) -> None:
    estate, root = Estate(issue), lab_ca.certificate.public_bytes(Encoding.DER)
    known = [*estate.yesterday(), found_bytes(of_bytes(root), [root], place(60), NOON - DAY)]
    outcomes = []
    made = None
    for is_together in (True, False):
        await heard(ledger, estate, [], yesterday=known)
        # Lineages have other ids each time; what is new is made once.
        again = await renewals(ledger, estate, root)
        made = made or again
        events = [_in_lineage(event, other) for event, other in zip(made, again, strict=True)]
        for batch in [events] if is_together else [[event] for event in events]:
            await ledger.hear(*batch)
        outcomes.append((await kept(ledger.database), await told(ledger)))
    (together, told_together), (alone, told_alone) = outcomes
    differing = [name for name in together if together[name] != alone[name]]
    assert {name: together[name] for name in differing} == {name: alone[name] for name in differing}
    assert told_together == told_alone
    assert len(together["replacements"]) > 5


def _in_lineage(event: Event[Any], other: Event[Any]) -> Event[Any]:
    if event.type != "certificate.renewed":
        return event
    data = event.data.model_copy(update={"lineage_id": other.data.lineage_id})
    return event.model_copy(update={"data": data})


async def statements_of(ledger: Ledger, events: Sequence[Event[Any]]) -> int:
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    engine = ledger.database.engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", note)
    await ledger.hear(*events)
    sa.event.remove(engine, "before_cursor_execute", note)
    return len(statements)


async def test_what_has_changed_and_what_is_gone_costs_no_more_statements_the_more_there_is(
    ledger: Ledger, issue: Issue
) -> None:
    old: list[Issued] = [issue(f"{number}.test", since=30) for number in range(30)]
    await ledger.hear(*(found(each, place(number), NOON - DAY) for number, each in enumerate(old)))
    new = [newer(issue, each) for each in old]
    changed = [found(each, place(number), NOON) for number, each in enumerate(new)]
    counts = [await statements_of(ledger, part) for part in (changed[:2], changed[2:])]
    assert counts[1] <= counts[0] + 2
    assert counts[1] < 60
    first = issue("gone.test")
    await ledger.hear(*(found(first, place(number), NOON - DAY) for number in range(100, 130)))
    fresh = [ordered(each, newer(issue, each), (await ledger.row(each)).lineage_id) for each in new]
    counts = [await statements_of(ledger, part) for part in (fresh[:2], fresh[2:])]
    assert counts[1] <= counts[0] + 2
    gone = [lost(first, place(number), NOON) for number in range(100, 130)]
    counts = [await statements_of(ledger, part) for part in (gone[:2], gone[2:])]
    assert counts[1] <= counts[0] + 2
    assert counts[1] < 40
