"""What came of the policies that are on, place by place, and what was told of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store.assessment_tables import NoncomplianceRow, PolicyRow, VerdictRow
from services.inventory.store.tables import Certificate, PlaceRow
from shared.store import Transaction, insert, write_rows

Pair = tuple[str, str]
"""The ids of a policy and of a lineage."""


class Known(NamedTuple):
    """A verdict as it is kept."""

    policy_id: str
    place_id: str
    fingerprint: str
    lineage_id: str
    policy_version: int
    verdict: str
    is_by_exception: bool
    standing: str
    details: Mapping[str, Any]
    since: datetime


async def of_places(session: AsyncSession, places: Collection[str]) -> Mapping[Pair, Known]:
    """Return the verdicts on places, by the ids of policy and place."""
    columns = [col(getattr(VerdictRow, name)) for name in Known._fields]
    query = sa.select(*columns).where(col(VerdictRow.place_id).in_(places))
    rows = map(Known._make, (await session.execute(query)).all())
    return {(row.policy_id, row.place_id): row for row in rows}


async def keep(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep verdicts: all columns of each row."""
    keys = ("policy_id", "place_id")
    names = [name for name in VerdictRow.model_fields if name not in keys]
    new = insert(tx, VerdictRow)
    told = new.on_conflict_do_update(index_elements=keys, set_={name: new.excluded[name] for name in names})
    await write_rows(tx, told, rows)


async def drop(tx: Transaction, keys: Collection[Pair]) -> None:
    """Keep no verdict of these policies on these places."""
    if keys:
        both = sa.tuple_(col(VerdictRow.policy_id), col(VerdictRow.place_id))
        await tx.session.execute(sa.delete(VerdictRow).where(both.in_(keys)))


async def standing(session: AsyncSession, policy: str, lineages: Collection[str]) -> dict[str, set[str]]:
    """Return the rules of a policy that lineages break, at any of their places."""
    lineage, broken = col(VerdictRow.lineage_id), col(VerdictRow.standing)
    query = sa.select(lineage, broken).distinct()
    query = query.where(col(VerdictRow.policy_id) == policy, lineage.in_(lineages), broken != "")
    found: dict[str, set[str]] = {}
    for each, rules in (await session.execute(query)).all():
        found.setdefault(each, set()).update(rules.split(","))
    return found


@dataclass(frozen=True, kw_only=True)
class Broken:
    """Where a lineage breaks a policy."""

    place: PlaceRow
    fingerprint: str
    names: Sequence[str]
    """Of the certificate."""
    details: Mapping[str, Any]
    count: int
    """How many such places the lineage has."""


async def broken(
    session: AsyncSession, policy: str, lineages: Collection[str], *, limit: int
) -> dict[str, list[Broken]]:
    """Return places at which lineages break a policy, the first of each lineage by their ids."""
    lineage, place = col(VerdictRow.lineage_id), col(VerdictRow.place_id)
    ranked = (
        sa.select(
            lineage.label("lineage_id"),
            place.label("place_id"),
            col(VerdictRow.fingerprint),
            col(VerdictRow.details),
            sa.func.row_number().over(partition_by=lineage, order_by=place).label("number"),
            sa.func.count().over(partition_by=lineage).label("of_lineage"),
        )
        .where(col(VerdictRow.policy_id) == policy, lineage.in_(lineages), col(VerdictRow.standing) != "")
        .subquery()
    )
    query = (
        sa.select(ranked, PlaceRow, col(Certificate.names))
        .join(PlaceRow, col(PlaceRow.id) == ranked.c.place_id)
        .join(Certificate, col(Certificate.fingerprint) == ranked.c.fingerprint)
        .where(ranked.c.number <= limit)
        .order_by(ranked.c.lineage_id, ranked.c.number)
    )
    found: dict[str, list[Broken]] = {}
    for row in (await session.execute(query)).all():
        one = Broken(
            place=row.PlaceRow,
            fingerprint=row.fingerprint,
            names=row.names,
            details=row.details,
            count=row.of_lineage,
        )
        found.setdefault(row.lineage_id, []).append(one)
    return found


async def current(session: AsyncSession, policy: str, lineages: Collection[str]) -> dict[str, str]:
    """Return a certificate of each of these lineages that was judged by a policy, the first by its fingerprint."""
    lineage = col(VerdictRow.lineage_id)
    query = sa.select(lineage, sa.func.min(col(VerdictRow.fingerprint))).group_by(lineage)
    query = query.where(col(VerdictRow.policy_id) == policy, lineage.in_(lineages))
    return {row[0]: row[1] for row in (await session.execute(query)).all()}


async def told(session: AsyncSession, policy: str, lineages: Collection[str]) -> dict[str, str]:
    """Return what was told of lineages that break a policy."""
    query = sa.select(col(NoncomplianceRow.lineage_id), col(NoncomplianceRow.broken)).where(
        col(NoncomplianceRow.policy_id) == policy, col(NoncomplianceRow.lineage_id).in_(lineages)
    )
    return {row[0]: row[1] for row in (await session.execute(query)).all()}


async def keep_told(tx: Transaction, policy: str, rules: Mapping[str, str], *, now: datetime) -> None:
    """Note what is told: the rules of a policy by the lineage that breaks them."""
    rows = [
        {"policy_id": policy, "lineage_id": lineage, "broken": broken, "told_at": now}
        for lineage, broken in rules.items()
    ]
    new = insert(tx, NoncomplianceRow)
    told = {name: new.excluded[name] for name in ("broken", "told_at")}
    await write_rows(
        tx, new.on_conflict_do_update(index_elements=["policy_id", "lineage_id"], set_=told), rows
    )


async def drop_told(tx: Transaction, policy: str, lineages: Collection[str]) -> None:
    """Note that it was told to be over."""
    query = sa.delete(NoncomplianceRow).where(
        col(NoncomplianceRow.policy_id) == policy, col(NoncomplianceRow.lineage_id).in_(lineages)
    )
    await tx.session.execute(query)


def _is_off() -> Any:
    return sa.select(col(PolicyRow.id)).where(~col(PolicyRow.is_enabled))


async def is_any_of_policies_off(session: AsyncSession) -> bool:
    """Return whether anything is kept of a policy that is off."""
    queries = (
        sa.select(col(table.policy_id)).where(col(table.policy_id).in_(_is_off())).limit(1)
        for table in (NoncomplianceRow, VerdictRow)
    )
    return any([await session.scalar(query) is not None for query in queries])


async def told_of_policies_off(tx: Transaction, *, limit: int) -> Sequence[Pair]:
    """Return what is told of policies that are off."""
    query = sa.select(col(NoncomplianceRow.policy_id), col(NoncomplianceRow.lineage_id))
    query = query.where(col(NoncomplianceRow.policy_id).in_(_is_off())).limit(limit)
    return [(policy, lineage) for policy, lineage in (await tx.session.execute(query)).all()]


async def drop_of_policies_off(tx: Transaction, *, limit: int) -> int:
    """Drop verdicts of policies that are off; return how many."""
    query = sa.select(col(VerdictRow.policy_id), col(VerdictRow.place_id))
    query = query.where(col(VerdictRow.policy_id).in_(_is_off())).limit(limit)
    keys = [(policy, place) for policy, place in (await tx.session.execute(query)).all()]
    await drop(tx, keys)
    return len(keys)
