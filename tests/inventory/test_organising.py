"""Who owns what and who is in which group, kept true as certificates come, change and are edited."""

import re
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
import sqlalchemy as sa

from services.inventory.actions import edits as edits_module
from services.inventory.actions import groups as groups_module
from services.inventory.actions import outcomes as outcomes_module
from services.inventory.actions.groups import GroupText
from services.inventory.domain.fields import FieldKind
from services.inventory.service import SCHEMA
from shared.bus.sqlite import SqliteBus
from shared.errors import Conflict, Forbidden, Invalid, NotFound
from shared.events import Event
from shared.events.inventory import CertificateExpiring, CertificatesOwned, CertificatesUnowned
from shared.events.renewal import LineageEnrolled, LineageWithdrawn
from shared.store import Database
from tests.inventory.conftest import Issue
from tests.inventory.ledger import DAY, HOUR, NOON, Ledger, found, lost, place, renewed
from tests.inventory.office import ADA, SCOPED, Office, counts
from tests.servers.tls import Issued


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kept_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database of each kind, made once; each test begins with empty tables."""
    url = f"sqlite:///{tmp_path_factory.mktemp('organised')}/inventory.db"
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgres").database("inventory").url)

    async def make() -> None:
        opened = Database(url, source="inventory")
        await SCHEMA.upgrade(opened)
        await opened.close()

    anyio.run(make)
    return url


@pytest.fixture
async def ledger(kept_url: str, bus: SqliteBus) -> AsyncIterator[Ledger]:
    """An inventory that knows nothing yet."""
    database = Database(kept_url, source="inventory")
    opened = Ledger(database, bus)
    await opened.forget()
    yield opened
    await database.close()


@pytest.fixture
def office(ledger: Ledger) -> Office:
    return Office(ledger)


async def test_groups_and_owners_are_true_from_the_moment_something_is_found(
    ledger: Ledger, office: Office, old: Issued, issue: Issue
) -> None:
    await office.team("web")
    await office.team("late")
    await office.group("shop", "name under shop.test and place.port = 443")
    await office.group("orphans", "current and not owner")
    await office.group("by-hand")
    rule = await office.rule("group = shop", "web", add_tags=["env:prod"], add_groups=["by-hand"])
    await office.rule("name under shop.test", "late")
    other = issue("other.test")
    await ledger.hear(found(old, place(), NOON), found(other, place(2), NOON))
    assert await office.labels(old) == ("web", ["by-hand", "shop"], ["env:prod"], {})
    assert await office.set_by(old) == f"rule:{rule.id}"
    assert await office.labels(other) == (None, ["orphans"], [], {})

    # A look that finds nothing new still costs one statement.
    statements: list[str] = []
    engine = ledger.database.engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", lambda *it: statements.append(it[2]))
    await ledger.hear(found(old, place(), NOON + HOUR))
    [written] = [
        text for text in statements if text.startswith(("WITH", "INSERT", "UPDATE", "DELETE", "SELECT"))
    ]
    assert re.findall(r"(INSERT INTO|UPDATE|DELETE FROM) (\w+)", written) == [("UPDATE", "sightings")]

    # What changes leaves, and what nobody owns comes again.
    await ledger.hear(lost(old, place(), NOON + 2 * HOUR), lost(other, place(2), NOON + 2 * HOUR))
    assert (await office.labels(old))[1] == ["by-hand"]
    assert (await office.labels(other))[1] == []


async def test_a_successor_is_not_unowned(
    ledger: Ledger, office: Office, old: Issued, new: Issued, issue: Issue
) -> None:
    await office.team("web")
    await office.group("hand")
    await office.field("cost", FieldKind.NUMBER)
    await ledger.hear(found(old, place(), NOON - DAY))
    said: dict[str, Any] = {
        "owner": "web",
        "add_tags": ["prod"],
        "set_fields": {"cost": 4711},
        "add_to_groups": ["hand"],
    }
    assert counts(await office.edit(old, **said)) == (1, 1, 0, 0)
    wanted = ("web", ["hand"], ["prod"], {"cost": 4711})
    await ledger.hear(found(new, place(), NOON))
    assert await office.labels(new) == wanted
    assert await office.set_by(new) == "person:ada"

    # One that was seen before it was told to be a renewal was a stranger until then.
    third = issue("shop.test", since=-1, ends_in=91)
    await ledger.hear(found(third, place(3), NOON + 2 * DAY))
    assert await office.labels(third) == (None, [], [], {})
    await ledger.hear(renewed(new, third, NOON + 2 * DAY, lineage=(await ledger.row(new)).lineage_id))
    assert await office.labels(third) == wanted


async def test_rules_that_change_are_gone_through_in_batches_and_by_the_clock(
    ledger: Ledger, office: Office, issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups_module, "BATCH", 2)
    issued = [issue(f"{number}.test", ends_in=31 + 10 * (number % 2)) for number in range(5)]
    await ledger.hear(*(found(each, place(n), NOON) for n, each in enumerate(issued)))
    await office.group("all", "name under test")
    first = await office.groups.get("all", caller=ADA)
    assert (first.members, first.row.evaluated_at) == (2, None)
    await office.work()
    assert (await office.groups.get("all", caller=ADA)).members == 5

    preview = await office.groups.preview("expires < 30d", caller=ADA, now=NOON)
    assert (preview.matches, preview.is_by_the_clock) == (0, True)
    text = GroupText(name="soon", description="", rule="expires < 30d")
    version = (await office.groups.get("all", caller=ADA)).row.version
    await office.groups.replace("all", text, version=version, caller=ADA, now=NOON)
    await office.work()
    assert (await office.groups.get("all", caller=ADA)).members == 0
    ledger.now = NOON + 2 * DAY
    await office.work()
    soon = await office.groups.members("all", after=None, limit=10, caller=ADA)
    assert {row.fingerprint for row in soon} == {each.fingerprint for each in issued[::2]}


async def test_a_bulk_edit_is_conserved_and_goes_on_when_its_asker_has_left(
    ledger: Ledger, office: Office, issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (edits_module, outcomes_module):
        monkeypatch.setattr(module, "BATCH", 2)
    monkeypatch.setattr(edits_module, "AT_ONCE", 1)
    issued = [issue(f"{number}.test") for number in range(5)]
    await ledger.hear(*(found(each, place(n), NOON) for n, each in enumerate(issued)))
    await office.team("web")
    await office.group("owned", "owner = web and tag = prod")
    await office.edit(issued[0], owner="web", add_tags=["prod"])

    which = outcomes_module.Which(query="not owner")
    wanted = office.wanted(owner="web")
    trial = await office.edits.try_out(which, wanted, caller=ADA, now=NOON)
    assert (trial.total, trial.counts.changed) == (4, 4)
    row = await office.edit(query="name under test", owner="web", add_tags=["prod"])
    assert (row.state, counts(row)[0]) == ("running", 2)
    ledger.now = NOON + HOUR
    await office.work()
    row = await office.edits.get(row.id, caller=ADA)
    assert (row.state, counts(row)) == ("done", (5, 4, 1, 0))
    assert (await office.groups.get("owned", caller=ADA)).members == 5

    unknown = Issued.__new__(Issued)
    object.__setattr__(unknown, "certificate", issue("never-seen.test").certificate)
    row = await office.edit(issued[1], unknown, remove_tags=["prod"])
    await office.work()
    row = await office.edits.get(row.id, caller=ADA)
    assert (counts(row), row.reasons) == ((2, 1, 0, 1), {"it is not known": 1})
    assert (await office.groups.get("owned", caller=ADA)).members == 4


async def test_an_owner_that_is_gone_meanwhile_is_given_nothing(
    ledger: Ledger, office: Office, issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (edits_module, outcomes_module):
        monkeypatch.setattr(module, "BATCH", 1)
    monkeypatch.setattr(edits_module, "AT_ONCE", 1)
    issued = [issue(f"{number}.test") for number in range(2)]
    await ledger.hear(*(found(each, place(n), NOON) for n, each in enumerate(issued)))
    await office.team("web")
    await office.team("ops")
    row = await office.edit(query="name under test", owner="web", add_tags=["t"])
    await office.teams.delete("web", reassign_to="ops", caller=ADA, now=NOON)
    ledger.now = NOON + HOUR
    await office.work()
    row = await office.edits.get(row.id, caller=ADA)
    assert (counts(row), row.reasons) == ((2, 1, 0, 1), {"the team that was to own it is gone": 1})
    assert {(await office.labels(each))[0] for each in issued} == {None, "ops"}


async def test_rules_are_applied_to_what_is_known_and_leave_what_people_have_said(
    ledger: Ledger, office: Office, issue: Issue
) -> None:
    issued = [issue(f"{number}.test") for number in range(3)]
    await ledger.hear(*(found(each, place(n), NOON) for n, each in enumerate(issued)))
    await office.team("web")
    await office.team("pay")
    await office.edit(issued[0], owner="pay")
    rule = await office.rule("name under test", "web", add_tags=["seen"])
    trial = await office.edits.try_rules(caller=ADA, now=NOON)
    assert (trial.total, trial.counts.changed) == (3, 3)
    assert counts(await office.edits.apply_rules(caller=ADA, now=NOON)) == (3, 3, 0, 0)
    assert counts(await office.edits.apply_rules(caller=ADA, now=NOON)) == (3, 0, 3, 0)
    assert [(await office.labels(each))[0] for each in issued] == ["pay", "web", "web"]
    assert {(await office.labels(each))[2][0] for each in issued} == {"seen"}
    assert await office.set_by(issued[1]) == f"rule:{rule.id}"


async def test_a_team_that_something_needs_does_not_vanish(
    ledger: Ledger, office: Office, old: Issued
) -> None:
    await office.team("pay")
    await office.team("web", deputy="pay")
    await office.group("pays", "owner = pay")
    await office.rule("name under shop.test", "pay")
    await ledger.hear(found(old, place(), NOON))
    with pytest.raises(
        Conflict, match="owns 1 certificates and is named by 1 assignment rules and stands in for 1"
    ) as no:
        await office.teams.delete("pay", reassign_to=None, caller=ADA, now=NOON)
    assert "reassign_to" in no.value.next_step
    with pytest.raises(Invalid, match="no other team"):
        await office.teams.delete("pay", reassign_to="pay", caller=ADA, now=NOON)
    await office.teams.delete("pay", reassign_to="web", caller=ADA, now=NOON)
    await office.work()
    assert await office.labels(old) == ("web", [], [], {})
    assert (await office.teams.get("web", caller=ADA)).row.deputy_id is None


async def test_what_expires_is_told_with_its_owner_and_what_nobody_owns_as_one(
    ledger: Ledger, office: Office, old: Issued, issue: Issue
) -> None:
    other = issue("other.test")
    await ledger.hear(found(other, place(2), NOON))
    await office.unowned.look(NOON)
    assert await ledger.said(CertificatesUnowned) == []  # nobody could own it
    await office.team("ops")
    await office.team("web", deputy="ops")
    await office.rule("name under shop.test", "web")
    await ledger.hear(found(old, place(), NOON))
    for hours in (0, 23, 24, 25):
        await office.unowned.look(NOON + hours * HOUR)
    [told] = await ledger.said(CertificatesUnowned)
    assert (told.count, told.since) == (1, NOON)
    await office.edit(other, owner="web")
    await office.unowned.look(NOON + 26 * HOUR)
    await office.unowned.look(NOON + 27 * HOUR)
    assert len(await ledger.said(CertificatesOwned)) == 1
    assert (await ledger.summary()).unowned == 0

    ledger.now = NOON + 45 * DAY
    await ledger.work()
    owner = (await ledger.said(CertificateExpiring))[0].owner
    assert owner is not None
    assert (owner.id, owner.name, owner.contacts[0].value) == ("web", "Web", "web@example.test")
    assert [contact.value for contact in owner.deputies] == ["ops@example.test"]


async def test_who_is_limited_to_groups_edits_in_those_and_changes_no_rules(
    ledger: Ledger, office: Office, old: Issued, issue: Issue
) -> None:
    await office.team("web")
    await office.group("shop")
    await office.group("other")
    other = issue("other.test")
    await ledger.hear(found(old, place(), NOON), found(other, place(2), NOON))
    await office.groups.put("shop", old.fingerprint, is_in=True, caller=ADA)
    with pytest.raises(NotFound):
        await office.groups.get("other", caller=SCOPED)
    with pytest.raises(NotFound):
        await office.edits.one(
            other.fingerprint, office.wanted(owner="web"), version=None, caller=SCOPED, now=NOON
        )
    for named in ("other", "not-there"):
        with pytest.raises(Forbidden):
            await office.edit(old, add_to_groups=[named], caller=SCOPED)
    text = GroupText(name="all", description="", rule="seen")
    with pytest.raises(Forbidden):
        await office.groups.create("all", text, caller=SCOPED, now=NOON)
    with pytest.raises(Forbidden):
        await office.edits.apply_rules(caller=SCOPED, now=NOON)


async def test_a_lineage_is_managed_as_was_told_last(ledger: Ledger, office: Office, old: Issued) -> None:
    await office.group("managed", "managed")
    await ledger.hear(found(old, place(), NOON))
    lineage = (await ledger.row(old)).lineage_id
    enrolled = LineageEnrolled(lineage_id=lineage, profile="web", enrolled_at=NOON)
    withdrawn = LineageWithdrawn(lineage_id=lineage, withdrawn_at=NOON + HOUR)
    await ledger.hear(Event.of(enrolled, source="renewal", now=NOON))
    assert (await office.labels(old))[1] == ["managed"]
    await ledger.hear(
        Event.of(withdrawn, source="renewal", now=NOON), Event.of(enrolled, source="renewal", now=NOON)
    )
    assert (await office.labels(old))[1] == []
