"""Groups of certificates: by hand, or by a rule that stays true."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from services.inventory.actions import rules
from services.inventory.actions.organising import EVALUATION
from services.inventory.actions.wanted import refuse_scoped
from services.inventory.domain.slugs import slug_of
from services.inventory.store import assignments, certificates, groups
from services.inventory.store.locks import hold
from services.inventory.store.matching import count, examples, visible, within
from services.inventory.store.organised import GroupRow
from services.inventory.store.tables import Certificate
from shared.access import Principal, known
from shared.audit import Change
from shared.errors import Conflict, Fault, Invalid, Stale
from shared.store import Database, Transaction

log = structlog.get_logger(__name__)

BATCH = 5000
"""Certificates that a group is gone through at once: one DELETE and one INSERT."""
EXAMPLES = 20
WHAT = "groups"


@dataclass(frozen=True, kw_only=True)
class GroupText:
    """What a group is; one with a rule has its members by that, one without by hand."""

    name: str
    description: str
    rule: str | None


@dataclass(frozen=True, kw_only=True)
class CountedGroup:
    """A group and how many certificates are in it."""

    row: GroupRow
    members: int


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a rule matches now."""

    matches: int
    is_by_the_clock: bool
    examples: Sequence[Certificate]


class Groups:
    """The verbs on groups."""

    def __init__(self, database: Database, *, again_after: timedelta) -> None:
        self._database = database
        self._again_after = again_after

    async def create(
        self, group_id: str | None, text: GroupText, *, caller: Principal, now: datetime
    ) -> CountedGroup:
        """Make a group; an id that is left out is made of the name. Raises `Invalid`, `Conflict` or `Forbidden`."""
        refuse_scoped(caller, what=WHAT)
        _check(text)
        row = GroupRow(
            id=group_id or _id_of(text.name),
            name=text.name,
            description=text.description,
            kind=groups.HAND if text.rule is None else groups.RULE,
            rule=text.rule,
            created_at=now,
            created_by=caller.id,
        )
        async with self._database.transaction() as tx:
            await hold(tx, EVALUATION)
            if not await groups.add_group(tx, row):
                raise Conflict(f"There is a group {row.id!r} already.", next_step="Choose another id.")
            tx.record_row(row, "created")
            kept = known(await groups.held_group(tx, row.id), what="group", name=row.id)
            await self._begin(tx, kept, now=now)
        log.info("group.created", group=row.id, by=caller.id)
        return await self.get(row.id, caller=caller)

    async def _begin(self, tx: Transaction, row: GroupRow, *, now: datetime) -> None:
        """Go through the first certificates; the worker goes on where there are more."""
        row.cursor, row.reevaluate_at, row.evaluated_at = None, None, None
        if row.rule is not None:
            await self._go_on(tx, row, now=now)

    async def _go_on(self, tx: Transaction, row: GroupRow, *, now: datetime) -> None:
        rule = row.rule or ""
        matches = rules.condition(rule, now=now)
        await tx.session.flush()
        last = await groups.go_through(tx, row.id, matches, after=row.cursor, count=BATCH)
        row.cursor = last
        if last is not None:
            row.reevaluate_at = now
        else:
            row.evaluated_at = now
            row.reevaluate_at = now + self._again_after if rules.is_by_the_clock(rule) else None

    async def go_through_due(self, now: datetime) -> bool:
        """Go on with a group that is to be gone through; return whether there may be more to do."""
        async with self._database.read() as session:
            if not await groups.is_any_due(session, now=now):
                return False
        async with self._database.transaction() as tx:
            # First, and before any group is held: who changes a rule takes them in this order too.
            await hold(tx, EVALUATION)
            row = await groups.due_group(tx, now=now)
            if row is not None:
                await self._go_on(tx, row, now=now)
        return row is not None

    async def page(self, *, after: str | None, limit: int, caller: Principal) -> list[CountedGroup]:
        """Return `limit + 1` groups by their ids, those that the caller may see."""
        async with self._database.read() as session:
            rows = await groups.page(session, after=after, limit=limit, among=caller.scope)
            counts = await groups.counts(session, [row.id for row in rows])
        return [CountedGroup(row=row, members=counts.get(row.id, 0)) for row in rows]

    async def get(self, group_id: str, *, caller: Principal) -> CountedGroup:
        """Return a group. Raises `NotFound`."""
        async with self._database.read() as session:
            row = _seen(await groups.group(session, group_id), group_id, caller)
            counts = await groups.counts(session, [group_id])
        return CountedGroup(row=row, members=counts.get(group_id, 0))

    async def members(
        self, group_id: str, *, after: str | None, limit: int, caller: Principal
    ) -> Sequence[Certificate]:
        """Return `limit + 1` certificates of a group by their fingerprints. Raises `NotFound`."""
        async with self._database.read() as session:
            _seen(await groups.group(session, group_id), group_id, caller)
            return await groups.members(session, group_id, after=after, limit=limit)

    async def replace(
        self, group_id: str, text: GroupText, *, version: int, caller: Principal, now: datetime
    ) -> CountedGroup:
        """Let a group be another. Raises `NotFound`, `Stale`, `Invalid`, `Conflict` or `Forbidden`."""
        refuse_scoped(caller, what=WHAT)
        _check(text)
        async with self._database.transaction() as tx:
            await hold(tx, EVALUATION)
            row = _seen(await groups.held_group(tx, group_id), group_id, caller)
            if row.version != version:
                raise Stale("The group was changed since you read it.", next_step="Read it again.")
            if (row.rule is None) != (text.rule is None):
                raise Conflict(
                    f"The group {group_id} is by {row.kind}, and stays so.",
                    next_step="Make another group: who is in this one would be lost.",
                )
            is_another = row.rule != text.rule
            row.name, row.description, row.rule = text.name, text.description, text.rule
            row.version += 1
            if is_another:
                await self._begin(tx, row, now=now)
        log.info("group.changed", group=group_id, by=caller.id)
        return await self.get(group_id, caller=caller)

    async def delete(self, group_id: str, *, caller: Principal) -> None:
        """Delete a group; certificates stay. Raises `NotFound`, `Forbidden`, or `Conflict` where a rule needs it."""
        refuse_scoped(caller, what=WHAT)
        async with self._database.transaction() as tx:
            await hold(tx, EVALUATION)
            row = _seen(await groups.held_group(tx, group_id), group_id, caller)
            needing = await assignments.adding_to(tx.session, group_id)
            if needing:
                raise Conflict(
                    f"Assignment rules put certificates into the group {group_id}: {', '.join(needing)}.",
                    next_step="Change those rules first with PATCH /v1/assignment-rules/{id}.",
                )
            tx.record_row(row, "deleted")
            await groups.forget_group(tx, group_id)
        log.info("group.deleted", group=group_id, by=caller.id)

    async def put(self, group_id: str, fingerprint: str, *, is_in: bool, caller: Principal) -> None:
        """Put a certificate into a group by hand, or take it out. Raises `NotFound` or `Conflict`."""
        async with self._database.transaction() as tx:
            row = _seen(await groups.held_group(tx, group_id), group_id, caller)
            if row.kind != groups.HAND:
                raise Conflict(
                    f"Who is in the group {group_id} is decided by its rule.",
                    next_step="Change the rule with PATCH /v1/groups/{id}.",
                )
            found = await certificates.certificate(tx.session, fingerprint)
            if found is not None and not await visible(tx.session, [fingerprint], scope=caller.scope):
                found = None
            known(found, what="certificate", name=fingerprint)
            change = groups.add_members if is_in else groups.remove_members
            await change(tx, [(group_id, fingerprint)])
            tx.record(_membership(row, fingerprint, is_in=is_in))

    async def preview(self, rule: str, *, caller: Principal, now: datetime) -> Preview:
        """Return what a rule matches now, of what the caller may see. Raises `Invalid`."""
        rules.check(rule, pointer="/body/rule", may_ask_for_groups=False)
        matches = within(caller.scope, rules.condition(rule, now=now))
        async with self._database.read() as session:
            return Preview(
                matches=await count(session, matches),
                is_by_the_clock=rules.is_by_the_clock(rule),
                examples=await examples(session, matches, limit=EXAMPLES),
            )


def _membership(row: GroupRow, fingerprint: str, *, is_in: bool) -> Change:
    said = {"certificate": fingerprint}
    return Change(
        kind="group",
        verb="joined" if is_in else "left",
        id=row.id,
        name=row.name,
        before=None if is_in else said,
        after=said if is_in else None,
        groups=(row.id,),
    )


def _check(text: GroupText) -> None:
    if text.rule is not None:
        rules.check(text.rule, pointer="/body/rule", may_ask_for_groups=False)


def _seen(row: GroupRow | None, group_id: str, caller: Principal) -> GroupRow:
    return known(caller.seen(row, lambda group: [group.id]), what="group", name=group_id)


def _id_of(name: str) -> str:
    if found := slug_of(name):
        return found
    message = f"No id can be made of the name {name!r}."
    raise Invalid(
        message, next_step="Name an id, as web-servers.", faults=[Fault(pointer="/body/id", message=message)]
    )
