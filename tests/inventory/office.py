"""The verbs on who owns what, over the database of a ledger and at its time."""

from datetime import timedelta
from typing import Any

from services.inventory.actions.assignments import Assignments, RuleText
from services.inventory.actions.edits import Edits
from services.inventory.actions.fields import Fields, FieldText
from services.inventory.actions.groups import Groups, GroupText
from services.inventory.actions.outcomes import Which
from services.inventory.actions.teams import Teams, TeamText
from services.inventory.actions.unowned import Unowned
from services.inventory.actions.wanted import Wanted
from services.inventory.domain.fields import FieldKind
from services.inventory.store.organised import AssignmentRule, EditRow
from shared.access import Principal
from tests.inventory.ledger import DAY, Ledger
from tests.servers.tls import Issued

ADA = Principal(id="ada", name="ada", roles=frozenset({"admin"}))
SCOPED = Principal(id="sam", name="sam", roles=frozenset({"operator"}), groups=frozenset({"shop"}))
AGAIN = timedelta(hours=1)


class Office:
    """Somebody who says who owns what."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.teams = Teams(ledger.database)
        self.groups = Groups(ledger.database, again_after=AGAIN)
        self.fields = Fields(ledger.database)
        self.assignments = Assignments(ledger.database)
        self.edits = Edits(ledger.database)
        self.unowned = Unowned(ledger.database, patience=DAY)

    async def team(self, name: str, *, deputy: str | None = None) -> None:
        """Make a team that is reached by mail."""
        contacts = [{"kind": "email", "value": f"{name}@example.test"}]
        text = TeamText(name=name.title(), contacts=contacts, deputy_team=deputy, deputy_contact=None)
        await self.teams.create(name, text, caller=ADA, now=self.ledger.now)

    async def group(self, name: str, rule: str | None = None) -> None:
        """Make a group."""
        text = GroupText(name=name, description="", rule=rule)
        await self.groups.create(name, text, caller=ADA, now=self.ledger.now)

    async def field(
        self, name: str, kind: FieldKind = FieldKind.TEXT, *choices: str, required: bool = False
    ) -> None:
        """Make a custom field."""
        text = FieldText(description="", is_required=required, choices=choices)
        await self.fields.create(name, kind, text, caller=ADA, now=self.ledger.now)

    async def rule(self, query: str, owner: str | None = None, **said: Any) -> AssignmentRule:
        """Make an assignment rule that comes last."""
        values: dict[str, Any] = {
            "name": query,
            "query": query,
            "owner": owner,
            "add_groups": (),
            "add_tags": (),
            "is_overriding": False,
            "is_enabled": True,
            "position": None,
        }
        text = RuleText(**{**values, **said})
        return await self.assignments.create(text, caller=ADA, now=self.ledger.now)

    async def edit(
        self, *issued: Issued, query: str | None = None, caller: Principal = ADA, **wanted: Any
    ) -> EditRow:
        """Edit certificates, these or those that a query matches."""
        prints = [each.fingerprint for each in issued] if issued else None
        which = Which(query=query, fingerprints=prints)
        return await self.edits.start(which, self.wanted(**wanted), caller=caller, now=self.ledger.now)

    @staticmethod
    def wanted(**wanted: Any) -> Wanted:
        """Return what is to be changed."""
        return Wanted(sets_owner="owner" in wanted, **wanted)

    async def labels(self, issued: Issued) -> tuple[str | None, list[str], list[str], dict[str, Any]]:
        """Return owner, groups, tags and fields of a certificate."""
        found = (await self.ledger.reading.certificate(issued.fingerprint, scope=None)).labels
        owner = found.owner.id if found.owner is not None else None
        return owner, list(found.groups), list(found.tags), dict(found.fields)

    async def set_by(self, issued: Issued) -> str | None:
        """Return who or what has said who owns a certificate."""
        found: str | None = (await self.ledger.row(issued)).owner_set_by
        return found

    async def work(self) -> None:
        """Do what is due by the clock."""
        while await self.groups.go_through_due(self.ledger.now):
            pass
        while await self.edits.go_on(self.ledger.now):
            pass


def counts(row: EditRow) -> tuple[int, int, int, int]:
    """Return what came of an edit; matched = changed + unchanged + refused, always."""
    assert row.matched == row.changed + row.unchanged + row.refused
    return row.matched, row.changed, row.unchanged, row.refused
