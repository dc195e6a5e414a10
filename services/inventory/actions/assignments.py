"""Assignment rules: they say what belongs to whom when it is found, in an order."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from services.inventory.actions import rules
from services.inventory.actions.wanted import need_groups_by_hand, need_teams, refuse_scoped
from services.inventory.domain.slugs import tag
from services.inventory.store import assignments
from services.inventory.store.organised import AssignmentRule
from shared.access import Principal, known
from shared.errors import Invalid, Stale
from shared.ids import new_id
from shared.store import Database, Transaction

log = structlog.get_logger(__name__)
WHAT = "assignment rules"
STEP = 10
"""Between the positions of rules, so that one fits between two."""


@dataclass(frozen=True, kw_only=True)
class RuleText:
    """What a rule says; without a position it comes last."""

    name: str
    query: str
    owner: str | None
    add_groups: Sequence[str]
    add_tags: Sequence[str]
    is_overriding: bool
    is_enabled: bool
    position: int | None


class Assignments:
    """The verbs on assignment rules."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, text: RuleText, *, caller: Principal, now: datetime) -> AssignmentRule:
        """Make a rule; it is asked about what is found from now on. Raises `Invalid` or `Forbidden`."""
        refuse_scoped(caller, what=WHAT)
        row = AssignmentRule(
            id=new_id(),
            position=0,
            name="",
            query="",
            add_groups=[],
            add_tags=[],
            created_at=now,
            created_by=caller.id,
        )
        async with self._database.transaction() as tx:
            await _set(tx, row, text)
            tx.session.add(row)
        log.info("assignment_rule.created", rule=row.id, by=caller.id)
        return row

    async def all(self, *, caller: Principal) -> Sequence[AssignmentRule]:
        """Return the rules, the one that is asked first first; none to a caller who is limited to groups."""
        if caller.scope is not None:
            return []
        async with self._database.read() as session:
            return await assignments.rules(session)

    async def get(self, rule_id: str, *, caller: Principal) -> AssignmentRule:
        """Return a rule. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await assignments.rule(session, rule_id)
        return known(caller.seen(row, lambda _rule: ()), what="assignment-rule", name=rule_id)

    async def replace(
        self, rule_id: str, text: RuleText, *, version: int, caller: Principal
    ) -> AssignmentRule:
        """Let a rule say something else from now on. Raises `NotFound`, `Stale`, `Invalid` or `Forbidden`."""
        refuse_scoped(caller, what=WHAT)
        async with self._database.transaction() as tx:
            row = known(await assignments.held_rule(tx, rule_id), what="assignment-rule", name=rule_id)
            if row.version != version:
                raise Stale("The rule was changed since you read it.", next_step="Read it again.")
            await _set(tx, row, text)
            row.version += 1
        log.info("assignment_rule.changed", rule=rule_id, by=caller.id)
        return row

    async def delete(self, rule_id: str, *, caller: Principal) -> None:
        """Delete a rule; what it has said of certificates stays. Raises `NotFound` or `Forbidden`."""
        refuse_scoped(caller, what=WHAT)
        async with self._database.transaction() as tx:
            row = known(await assignments.held_rule(tx, rule_id), what="assignment-rule", name=rule_id)
            await tx.session.delete(row)
        log.info("assignment_rule.deleted", rule=rule_id, by=caller.id)


async def _set(tx: Transaction, row: AssignmentRule, text: RuleText) -> None:
    rules.check(text.query, pointer="/body/query")
    if text.owner is None and not text.add_groups and not text.add_tags:
        raise Invalid("The rule says nothing.", next_step="Name an owner, groups or tags.")
    await need_teams(tx, [text.owner] if text.owner is not None else [], pointer="/body/owner")
    await need_groups_by_hand(tx, set(text.add_groups), pointer="/body/add_groups")
    last = await assignments.last_position(tx.session)
    row.position = text.position if text.position is not None else last + STEP
    row.name, row.query, row.owner_id = text.name, text.query, text.owner
    row.add_groups, row.add_tags = sorted(set(text.add_groups)), sorted(set(map(tag, text.add_tags)))
    row.is_overriding, row.is_enabled = text.is_overriding, text.is_enabled
