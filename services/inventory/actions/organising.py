"""Keeps true who owns what and who is in which group, as certificates become known and change."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.inventory.actions import rules
from services.inventory.domain.assignments import Assignment, assign
from services.inventory.domain.edits import Standing, is_by_rule
from services.inventory.store import assignments, certificates, changes, groups, labels, teams
from services.inventory.store.arrivals import NewCertificate
from services.inventory.store.locks import share
from services.inventory.store.matching import matching
from services.inventory.store.organised import AssignmentRule
from services.inventory.store.tables import Certificate
from shared.store import Transaction

EVALUATION = "groups by rule"
"""Shared by who evaluates some certificates, held by who goes through all of them or changes a rule."""


async def settle(tx: Transaction, fingerprints: Collection[str], *, now: datetime) -> None:
    """Make true, for certificates that are new or changed, what rules say of them.

    Assignment rules are asked about those that became known just now, and about those that nobody owns.
    """
    await share(tx, EVALUATION)
    every = await assignments.rules(tx.session, only_enabled=True)
    await regroup(tx, fingerprints, now=now)
    if not every:
        return
    rows = await certificates.certificates(tx.session, list(fingerprints))
    asked = [row.fingerprint for row in rows if row.first_known_at == now or row.owner_id is None]
    if await assign_all(tx, every, asked, now=now):
        await regroup(tx, asked, now=now)


async def assign_all(
    tx: Transaction, every: Sequence[AssignmentRule], fingerprints: Collection[str], *, now: datetime
) -> int:
    """Give certificates what the rules that match them say; return how many that has changed."""
    before = await labels.standings(tx.session, fingerprints)
    after = await assigned(tx.session, every, before, now=now)
    return len(after) - len(await labels.write(tx, before, after))


async def assigned(
    session: AsyncSession, every: Sequence[AssignmentRule], before: dict[str, Standing], *, now: datetime
) -> dict[str, Standing]:
    """Return how those certificates are organised then that the rules change."""
    conditions = {rule.id: rules.condition(rule.query, now=now, leads=False) for rule in every}
    found = await matching(session, conditions, before) if before else {}
    after = {
        fingerprint: assign(
            standing, [_assignment(rule) for rule in every if rule.id in found.get(fingerprint, ())]
        )
        for fingerprint, standing in before.items()
    }
    return {fingerprint: new for fingerprint, new in after.items() if new != before[fingerprint]}


def _assignment(rule: AssignmentRule) -> Assignment:
    return Assignment(
        id=rule.id,
        owner=rule.owner_id,
        add_groups=frozenset(rule.add_groups),
        add_tags=frozenset(rule.add_tags),
        is_overriding=rule.is_overriding,
    )


async def regroup(tx: Transaction, fingerprints: Collection[str], *, now: datetime) -> None:
    """Make true in which groups by rule these certificates are."""
    every = await groups.rules(tx.session)
    if not every or not fingerprints:
        return
    await tx.session.flush()
    conditions = {group_id: rules.condition(rule, now=now, leads=False) for group_id, rule in every}
    wanted = await matching(tx.session, conditions, fingerprints)
    present = await groups.memberships(tx.session, fingerprints, kind=groups.RULE)
    pairs = [(print_, wanted.get(print_, set()), present.get(print_, set())) for print_ in fingerprints]
    await groups.add_members(tx, [(group, print_) for print_, new, old in pairs for group in new - old])
    await groups.remove_members(tx, [(group, print_) for print_, new, old in pairs for group in old - new])


async def inherit(tx: Transaction, row: Certificate, *, of: str | None = None) -> None:
    """Give a certificate what the one before it has: owner, tags, custom fields, groups by hand.

    `of` is the one before; left out it is the one of the lineage that is valid longest. An owner of its
    own stays, but one by a rule gives way to one that a person has set.
    """
    before = of or await labels.predecessor(tx.session, row)
    old = await certificates.certificate(tx.session, before) if before is not None else None
    if old is None or old.fingerprint == row.fingerprint:
        return
    is_firmer = is_by_rule(row.owner_set_by) and not is_by_rule(old.owner_set_by)
    is_wanted = old.owner_id is not None and (row.owner_id is None or is_firmer)
    if is_wanted and await teams.kept_teams(tx, [old.owner_id]):
        row.owner_id, row.owner_set_by = old.owner_id, old.owner_set_by
    await labels.inherit(tx, {row.fingerprint: old.fingerprint})


async def inherit_all(tx: Transaction, new: Sequence[NewCertificate]) -> dict[str, str]:
    """Give certificates of lineages that are known the owner of the one before them; return which that is, by fingerprint.

    What else they inherit is given to them once they are kept (`store.labels.inherit`).
    """
    before = await changes.heirs(tx, [each.lineage_id for each in new]) if new else {}
    owners = {row.owner_id for row in before.values() if row.owner_id is not None}
    kept = await teams.kept_teams(tx, owners) if owners else set()
    for each in new:
        old = before[each.lineage_id]
        if old.owner_id in kept:
            each.owner_id, each.owner_set_by = old.owner_id, old.owner_set_by
    return {each.fingerprint: before[each.lineage_id].fingerprint for each in new}
