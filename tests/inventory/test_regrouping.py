"""The groups of lineages are told as certificates come into groups, leave them, and move between lineages."""

import sqlalchemy as sa

from services.inventory.actions.regrouping import Regrouping
from services.inventory.store import regrouped
from services.inventory.store.organised import GroupMember, GroupRow
from shared.events import Event
from shared.events.inventory import LineagesGrouped
from tests.inventory.ledger import HOUR, NOON, Ledger, found, place, renewed
from tests.servers.tls import Issued


async def put(ledger: Ledger, group: str, *members: Issued) -> None:
    """Put certificates into a group, in one statement."""
    rows = [{"group_id": group, "fingerprint": each.fingerprint} for each in members]
    async with ledger.database.transaction() as tx:
        await tx.session.execute(sa.insert(GroupMember).values(rows))


async def take(ledger: Ledger, *groups: str) -> None:
    """Take all certificates out of groups, in one statement."""
    async with ledger.database.transaction() as tx:
        await tx.session.execute(sa.delete(GroupMember).where(GroupMember.group_id.in_(groups)))  # type: ignore[attr-defined]


Said = list[tuple[str, list[str], list[str]]]


async def told(ledger: Ledger) -> Said:
    """Work all marks off, and return what was said by then."""
    while await Regrouping(ledger.database).tell(ledger.now):
        pass
    async with ledger.database.read() as session:
        assert not await regrouped.is_any(session)
    return [(said.group_id, said.joined, said.left) for said in await ledger.said(LineagesGrouped)]


async def test_a_lineage_is_in_the_groups_of_its_certificates_and_each_change_is_told_once(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(found(old, place(1), NOON), found(new, place(2, name="mail.test"), NOON))
    lineage = (await ledger.row(old)).lineage_id
    assert await told(ledger) == []
    await put(ledger, "web", old)
    await put(ledger, "mail", old)
    joined: Said = [("mail", [lineage], []), ("web", [lineage], [])]
    assert await told(ledger) == joined
    await take(ledger, "web")
    await put(ledger, "web", old)  # before anybody was told
    assert await told(ledger) == joined
    await take(ledger, "web", "mail")
    left: Said = [("mail", [], [lineage]), ("web", [], [lineage])]
    assert await told(ledger) == [*joined, *left]


async def test_a_certificate_that_comes_to_another_lineage_takes_its_groups_along(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(found(new, place(1), NOON))
    before = (await ledger.row(new)).lineage_id
    await put(ledger, "web", new)
    assert await told(ledger) == [("web", [before], [])]
    await ledger.hear(renewed(old, new, NOON + HOUR))
    after = (await ledger.row(new)).lineage_id
    assert after != before
    assert (await told(ledger))[1:] == [("web", [after], [before])]


async def test_what_renewal_begins_in_a_group_is_in_it_here_where_its_members_are_put_there_by_hand(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    async with ledger.database.transaction() as tx:
        for name, kind in (("web", "hand"), ("all", "rule")):
            tx.session.add(GroupRow(id=name, name=name, kind=kind, created_at=NOON, created_by="ada"))
    event = renewed(None, new, NOON)
    begun = event.data.model_copy(update={"groups": ["web", "all", "nobody"]})
    await ledger.hear(Event.of(begun, source="renewal", now=NOON))
    lineage = (await ledger.row(new)).lineage_id
    assert await told(ledger) == [("web", [lineage], [])]
