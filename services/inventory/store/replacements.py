"""Replacements, and what has been observed about them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from services.inventory.domain.replacements import Evidence, OldPlace, State
from services.inventory.store.organised import GroupMember
from services.inventory.store.tables import Certificate, Replacement, ServingRow, Sighting
from services.inventory.store.visibility import Scope, visible_replacements
from shared.store import Transaction, insert
from shared.store.parameters import among

MANY = 10_000
"""Members of groups, from which on to look for the replacements of each costs more than to go through all of them."""
_IS_PROOF = col(Sighting.is_proof).is_(True)
"""A copy that nothing uses is no place of a certificate here, neither of the old one nor of the new one."""


async def keep_replacement(tx: Transaction, row: Mapping[str, Any]) -> Replacement:
    """Add a replacement where there is none of these two yet; return the one there is, held."""
    await tx.session.execute(
        insert(tx, Replacement)
        .values(row)
        .on_conflict_do_nothing(index_elements=["old_fingerprint", "fingerprint"])
    )
    query = _held().where(
        col(Replacement.old_fingerprint) == row["old_fingerprint"],
        col(Replacement.fingerprint) == row["fingerprint"],
    )
    return (await tx.session.scalars(query)).one()


def _held() -> sa.Select[Replacement]:
    return sa.select(Replacement).with_for_update().execution_options(populate_existing=True)


async def touching(tx: Transaction, fingerprints: Sequence[str]) -> Sequence[Replacement]:
    """Return the replacements of and by these certificates, held until the transaction ends."""
    ends = (col(Replacement.old_fingerprint), col(Replacement.fingerprint))
    query = _held().where(sa.or_(*(among(tx.session, end, fingerprints) for end in ends)))
    return (await tx.session.scalars(query.order_by(col(Replacement.id)))).all()


async def involving(session: AsyncSession, fingerprint: str) -> Replacement | None:
    """Return a replacement that names this certificate, as the old or the new one."""
    query = sa.select(Replacement).where(
        sa.or_(col(Replacement.old_fingerprint) == fingerprint, col(Replacement.fingerprint) == fingerprint)
    )
    found: Replacement | None = await session.scalar(
        query.order_by(col(Replacement.order_id).is_(None), col(Replacement.id)).limit(1)
    )
    return found


async def successors(session: AsyncSession, fingerprint: str) -> Sequence[Replacement]:
    """Return the replacements of a certificate."""
    query = sa.select(Replacement).where(col(Replacement.old_fingerprint) == fingerprint)
    return (await session.scalars(query)).all()


async def touched(tx: Transaction, fingerprints: Collection[str]) -> set[str]:
    """Return those of these certificates that a replacement names."""
    columns = (col(Replacement.old_fingerprint), col(Replacement.fingerprint))
    found = [sa.select(column).where(among(tx.session, column, fingerprints)) for column in columns]
    return set((await tx.session.scalars(sa.union(*found))).all())


async def are_replaced(tx: Transaction, fingerprints: Sequence[str]) -> Sequence[tuple[str, bool]]:
    """Return those of these certificates that have a successor, once for each, and whether an order has made it."""
    old = col(Replacement.old_fingerprint)
    query = sa.select(old, col(Replacement.order_id).is_not(None)).where(among(tx.session, old, fingerprints))
    return [
        (fingerprint, is_by_order) for fingerprint, is_by_order in (await tx.session.execute(query)).all()
    ]


async def due(tx: Transaction, *, now: datetime, limit: int) -> Sequence[Replacement]:
    """Return replacements that nothing was seen of in time, held; those others work on are left out."""
    query = (
        sa.select(Replacement)
        .where(col(Replacement.due_at) <= now)
        .order_by(col(Replacement.due_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return (await tx.session.scalars(query)).all()


async def has_due(session: AsyncSession, *, now: datetime) -> bool:
    """Return whether there are replacements that nothing was seen of in time."""
    query = sa.select(col(Replacement.id)).where(col(Replacement.due_at) <= now).limit(1)
    return await session.scalar(query) is not None


async def evidence(tx: Transaction, rows: Sequence[Replacement]) -> dict[str, Evidence]:
    """Return what is known about the places of the old and the new certificates, by the replacements' ids."""
    ids = among(tx.session, col(Replacement.id), [row.id for row in rows])
    still_old = await _still_old(tx, [row.old_fingerprint for row in rows])
    served_at: dict[str, datetime] = {}
    for id_, at in (await tx.session.execute(_served_new(ids))).all():
        served_at[id_] = max(at, served_at.get(id_, at))
    left = {id_: counted for id_, *counted in (await tx.session.execute(_left(ids))).all()}
    return {
        row.id: _evidence(still_old.get(row.old_fingerprint, ()), served_at.get(row.id), left.get(row.id))
        for row in rows
    }


def _evidence(
    still_old: Sequence[OldPlace], served_at: datetime | None, left: Sequence[Any] | None
) -> Evidence:
    count, gone, left_at = left or (0, 0, None)
    return Evidence(
        still_old=still_old,
        is_new_served=served_at is not None,
        are_all_gone=count > 0 and count == gone,
        observed_at=max((at for at in (served_at, left_at) if at is not None), default=None),
    )


async def _still_old(tx: Transaction, fingerprints: Sequence[str]) -> dict[str | None, list[OldPlace]]:
    columns = (col(Sighting.fingerprint), col(Sighting.place_id), col(Sighting.last_seen))
    query = sa.select(*columns).where(among(tx.session, columns[0], fingerprints), _IS_PROOF)
    found: dict[str | None, list[OldPlace]] = {}
    for fingerprint, place_id, last_seen in (await tx.session.execute(query)).all():
        found.setdefault(fingerprint, []).append(OldPlace(place_id=place_id, last_seen=last_seen))
    return found


def _served_new(ids: sa.ColumnElement[bool]) -> sa.CompoundSelect[Any]:
    """Find when places were seen with the new certificate, or with one of its lineage that is newer still."""
    new, newer = aliased(Certificate), aliased(Certificate)
    latest = sa.select(col(Replacement.id), sa.func.max(col(Sighting.last_seen)))
    itself = latest.join(Sighting, col(Sighting.fingerprint) == col(Replacement.fingerprint))
    later = (
        latest.join(new, col(new.fingerprint) == col(Replacement.fingerprint))
        .join(
            newer,
            sa.and_(
                col(newer.lineage_id) == col(Replacement.lineage_id),
                col(newer.fingerprint) != col(Replacement.old_fingerprint),
                col(newer.not_before) > col(new.not_before),
            ),
        )
        .join(Sighting, col(Sighting.fingerprint) == col(newer.fingerprint))
    )
    return sa.union_all(
        *(each.where(ids, _IS_PROOF).group_by(col(Replacement.id)) for each in (itself, later))
    )


def _left(ids: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Count the places that served the old one while it was being replaced and do no more, and those gone."""
    old = col(Replacement.old_fingerprint)
    served = (
        sa.select(col(Replacement.id), old, col(ServingRow.place_id))
        .join(
            ServingRow,
            sa.and_(col(ServingRow.fingerprint) == old, col(ServingRow.until) >= col(Replacement.opened_at)),
        )
        .where(ids)
        .distinct()
        .subquery()
    )
    now = col(Sighting.fingerprint)
    every = sa.func.count()
    return (
        sa.select(served.c.id, every, every.filter(now.is_(None)), sa.func.max(col(Sighting.last_seen)))
        .join(Sighting, col(Sighting.place_id) == served.c.place_id)
        .where(_IS_PROOF, sa.or_(now.is_(None), now != served.c.old_fingerprint))
        .group_by(served.c.id)
    )


async def places_of(tx: Transaction, rows: Sequence[Replacement], *, limit: int) -> dict[str, list[str]]:
    """Return the ids of places that served the old certificates while they were being replaced, by replacement."""
    is_meant = sa.or_(col(ServingRow.until).is_(None), col(ServingRow.until) >= col(Replacement.opened_at))
    served = (
        sa.select(col(Replacement.id), col(ServingRow.place_id))
        .join(ServingRow, col(ServingRow.fingerprint) == col(Replacement.old_fingerprint))
        .where(among(tx.session, col(Replacement.id), [row.id for row in rows]), is_meant)
        .distinct()
        .subquery()
    )
    number = sa.func.row_number().over(partition_by=served.c.id, order_by=served.c.place_id)
    numbered = sa.select(served.c.id, served.c.place_id, number.label("number")).subquery()
    query = sa.select(numbered.c.id, numbered.c.place_id).where(numbered.c.number <= limit)
    found: dict[str, list[str]] = {}
    for id_, place in (await tx.session.execute(query)).all():
        found.setdefault(id_, []).append(place)
    return found


async def page(
    session: AsyncSession,
    *,
    scope: Scope,
    after: str | None,
    limit: int,
    lineage_id: str | None,
    state: State | None,
) -> Sequence[Replacement]:
    """Return `limit + 1` replacements, the oldest first."""
    query = sa.select(Replacement).order_by(col(Replacement.id)).limit(limit + 1)
    wanted = ((Replacement.lineage_id, lineage_id), (Replacement.state, state))
    query = query.where(*(col(column) == value for column, value in wanted if value is not None))
    query = query.where(*visible_replacements(scope))
    return (await session.scalars(query if after is None else query.where(col(Replacement.id) > after))).all()


async def counts(session: AsyncSession, *, scope: Scope, members: int = 0) -> dict[State, int]:
    """Return how many replacements are in which state; `members` is about how many certificates the scope has."""
    query = sa.select(col(Replacement.state), sa.func.count()).group_by(col(Replacement.state))
    if scope is not None and members < MANY:
        query = query.where(col(Replacement.id).in_(_of_members(scope)))
    elif scope is not None:
        query = query.where(_is_of_members(scope))
    found = {State(state): count for state, count in (await session.execute(query)).all()}
    return {state: found.get(state, 0) for state in State}


def _is_of_members(scope: frozenset[str]) -> sa.ColumnElement[bool]:
    """Say the same as `visible_replacements`, for groups so large that all replacements are gone through: they are read once."""
    member = sa.select(col(GroupMember.fingerprint)).where(col(GroupMember.group_id).in_(sorted(scope)))
    members = member.cte("members")
    both = (col(Replacement.old_fingerprint), col(Replacement.fingerprint))
    return sa.or_(*(one.in_(sa.select(members.c.fingerprint)) for one in both))


def _of_members(scope: frozenset[str]) -> sa.CompoundSelect[str]:
    """Return the ids of what `visible_replacements` lets through, found from the members of groups: they are fewer."""
    member = col(GroupMember.fingerprint)
    parts = (
        sa.select(col(Replacement.id)).join(GroupMember, member == one)
        for one in (col(Replacement.old_fingerprint), col(Replacement.fingerprint))
    )
    return sa.union(*(part.where(col(GroupMember.group_id).in_(sorted(scope))) for part in parts))
