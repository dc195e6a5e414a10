"""Groups, who is in them, and which have to be gone through again."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store import tallies
from services.inventory.store.organised import GroupMember, GroupRow
from services.inventory.store.tables import Certificate
from shared.store import Transaction, insert
from shared.store.bulk import add_missing, delete_rows

HAND, RULE = "hand", "rule"
_Narrowed = TypeVar("_Narrowed", sa.Select[str], sa.Delete)
Pair = tuple[str, str]
"""A group's id and a certificate's fingerprint."""
_PAIR = ("group_id", "fingerprint")


async def add_group(tx: Transaction, row: GroupRow) -> bool:
    """Add a group; return False where its id is taken."""
    new = insert(tx, GroupRow).values(row.model_dump()).on_conflict_do_nothing().returning(col(GroupRow.id))
    return await tx.session.scalar(new) is not None


async def group(session: AsyncSession, group_id: str) -> GroupRow | None:
    """Return a group."""
    query = sa.select(GroupRow).where(col(GroupRow.id) == group_id)
    found: GroupRow | None = await session.scalar(query.execution_options(populate_existing=True))
    return found


async def held_group(tx: Transaction, group_id: str) -> GroupRow | None:
    """Return a group, held until the transaction ends."""
    query = sa.select(GroupRow).where(col(GroupRow.id) == group_id).with_for_update()
    found: GroupRow | None = await tx.session.scalar(query.execution_options(populate_existing=True))
    return found


async def kept_kinds(tx: Transaction, ids: Collection[str]) -> dict[str, str]:
    """Return the kinds of those of these ids that are groups; they are not deleted before the transaction ends."""
    query = sa.select(col(GroupRow.id), col(GroupRow.kind)).where(col(GroupRow.id).in_(ids))
    rows = (await tx.session.execute(query.with_for_update(key_share=True))).all()
    return {group_id: kind for group_id, kind in rows}  # noqa: C416 - a typed dict of rows


async def page(
    session: AsyncSession, *, after: str | None, limit: int, among: Collection[str] | None
) -> Sequence[GroupRow]:
    """Return `limit + 1` groups by their ids; `among` are those that may be seen, None for all."""
    query = sa.select(GroupRow).order_by(col(GroupRow.id)).limit(limit + 1)
    if among is not None:
        query = query.where(col(GroupRow.id).in_(among))
    return (await session.scalars(query if after is None else query.where(col(GroupRow.id) > after))).all()


async def rules(session: AsyncSession) -> Sequence[tuple[str, str]]:
    """Return the groups by rule, with their rules."""
    query = sa.select(col(GroupRow.id), col(GroupRow.rule)).where(col(GroupRow.rule).is_not(None))
    rows = (await session.execute(query.order_by(col(GroupRow.id)))).all()
    return [(group_id, rule) for group_id, rule in rows if rule is not None]


async def counts(session: AsyncSession, ids: Collection[str]) -> dict[str, int]:
    """Return how many certificates are in each of these groups."""
    if tallies.are_kept(session):
        return dict(await tallies.totals(session, ids))
    query = (
        sa.select(col(GroupMember.group_id), sa.func.count())
        .where(col(GroupMember.group_id).in_(ids))
        .group_by(col(GroupMember.group_id))
    )
    return {group_id: count for group_id, count in (await session.execute(query)).all()}  # noqa: C416 - a typed dict of rows


async def members(
    session: AsyncSession, group_id: str, *, after: str | None, limit: int
) -> Sequence[Certificate]:
    """Return `limit + 1` certificates of a group by their fingerprints."""
    query = (
        sa.select(Certificate)
        .join(GroupMember, col(GroupMember.fingerprint) == col(Certificate.fingerprint))
        .where(col(GroupMember.group_id) == group_id)
        .order_by(col(GroupMember.fingerprint))
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(col(GroupMember.fingerprint) > after)
    return (await session.scalars(query)).all()


async def memberships(
    session: AsyncSession, fingerprints: Collection[str], *, kind: str | None = None
) -> dict[str, set[str]]:
    """Return in which groups certificates are."""
    query = sa.select(col(GroupMember.fingerprint), col(GroupMember.group_id))
    query = query.where(col(GroupMember.fingerprint).in_(fingerprints))
    if kind is not None:
        query = query.join(GroupRow, col(GroupRow.id) == col(GroupMember.group_id))
        query = query.where(col(GroupRow.kind) == kind)
    found: dict[str, set[str]] = {}
    for fingerprint, group_id in (await session.execute(query)).all():
        found.setdefault(fingerprint, set()).add(group_id)
    return found


async def add_members(tx: Transaction, pairs: Iterable[Pair]) -> None:
    """Put certificates into groups."""
    await add_missing(tx, GroupMember, _PAIR, list(pairs))


async def remove_members(tx: Transaction, pairs: Iterable[Pair]) -> None:
    """Take certificates out of groups."""
    await delete_rows(tx, GroupMember, _PAIR, list(pairs))


async def forget_group(tx: Transaction, group_id: str) -> None:
    """Delete a group and that certificates were in it."""
    await tx.session.execute(sa.delete(GroupMember).where(col(GroupMember.group_id) == group_id))
    await tx.session.execute(sa.delete(GroupRow).where(col(GroupRow.id) == group_id))


async def due_group(tx: Transaction, *, now: datetime) -> GroupRow | None:
    """Return a group that is to be gone through, held; one that others work on is left out."""
    query = (
        sa.select(GroupRow)
        .where(col(GroupRow.reevaluate_at) <= now)
        .order_by(col(GroupRow.reevaluate_at))
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    found: GroupRow | None = await tx.session.scalar(query)
    return found


async def is_any_due(session: AsyncSession, *, now: datetime) -> bool:
    """Return whether there is a group to be gone through."""
    query = sa.select(col(GroupRow.id)).where(col(GroupRow.reevaluate_at) <= now).limit(1)
    return await session.scalar(query) is not None


async def reevaluate_all(tx: Transaction, *, now: datetime) -> None:
    """Let every group by rule be gone through from the beginning."""
    query = sa.update(GroupRow).where(col(GroupRow.rule).is_not(None)).values(reevaluate_at=now, cursor=None)
    await tx.session.execute(query.execution_options(synchronize_session=False))


async def go_through(
    tx: Transaction, group_id: str, matches: sa.ColumnElement[bool], *, after: str | None, count: int
) -> str | None:
    """Make members of a group true for the next certificates; return the last of them, or None at the end."""
    part = _after(sa.select(col(Certificate.fingerprint)), col(Certificate.fingerprint), after)
    ordered = part.order_by(col(Certificate.fingerprint))
    last = await tx.session.scalar(ordered.offset(count - 1).limit(1))
    if last is not None:
        part = part.where(col(Certificate.fingerprint) <= last)
    matching = part.where(matches)
    gone = _after(
        sa.delete(GroupMember).where(col(GroupMember.group_id) == group_id),
        col(GroupMember.fingerprint),
        after,
    )
    if last is not None:
        gone = gone.where(col(GroupMember.fingerprint) <= last)
    gone = gone.where(col(GroupMember.fingerprint).not_in(matching))
    await tx.session.execute(gone.execution_options(synchronize_session=False))
    known = sa.select(col(GroupMember.fingerprint)).where(
        col(GroupMember.group_id) == group_id, col(GroupMember.fingerprint) == col(Certificate.fingerprint)
    )
    rows = matching.where(~known.exists()).with_only_columns(
        sa.literal(group_id).label("group_id"), col(Certificate.fingerprint)
    )
    await tx.session.execute(sa.insert(GroupMember).from_select(["group_id", "fingerprint"], rows))
    return last


def _after(query: _Narrowed, column: Any, after: str | None) -> _Narrowed:
    return query if after is None else query.where(column > after)
