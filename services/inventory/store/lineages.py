"""Lineages and their timelines."""

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store.tables import Certificate, Crossed, Lineage, Replacement, TimelineRow
from services.inventory.store.visibility import Scope, visible_certificates, visible_entries, visible_lineages
from shared.store import Transaction, insert
from shared.store.parameters import among


async def keep_lineage(tx: Transaction, row: Lineage) -> None:
    """Add a lineage where there is none of this id yet; give one without a title this one."""
    new = insert(tx, Lineage).values(row.model_dump())
    keep = new.on_conflict_do_update(
        index_elements=["id"], set_={"title": row.title}, where=col(Lineage.title) == ""
    )
    await tx.session.execute(keep)


async def lineage(session: AsyncSession, lineage_id: str) -> Lineage | None:
    """Return a lineage."""
    query = sa.select(Lineage).where(col(Lineage.id) == lineage_id)
    found: Lineage | None = await session.scalar(query)
    return found


async def visible(session: AsyncSession, lineage_id: str, *, scope: Scope) -> Lineage | None:
    """Return a lineage that may be seen."""
    query = sa.select(Lineage).where(col(Lineage.id) == lineage_id, *visible_lineages(scope))
    found: Lineage | None = await session.scalar(query)
    return found


async def keep_managed(tx: Transaction, lineage_id: str, *, is_managed: bool, at: datetime) -> bool:
    """Keep whether renewal renews a lineage by itself; return False where something newer was told."""
    told = col(Lineage.managed_told_at)
    query = sa.update(Lineage).where(col(Lineage.id) == lineage_id, sa.or_(told.is_(None), told <= at))
    query = query.values(is_managed=is_managed, managed_told_at=at)
    return await tx.session.scalar(query.returning(col(Lineage.id))) is not None


async def members(session: AsyncSession, lineage_id: str, *, scope: Scope) -> Sequence[Certificate]:
    """Return the certificates of a lineage that may be seen, the one that is valid longest first."""
    query = sa.select(Certificate).where(
        col(Certificate.lineage_id) == lineage_id, *visible_certificates(scope)
    )
    order = (col(Certificate.not_after).desc(), col(Certificate.id).desc())
    return (await session.scalars(query.order_by(*order).limit(1000))).all()


async def certificates_of(tx: Transaction, ids: Collection[str]) -> set[str]:
    """Return the fingerprints of the certificates of these lineages."""
    mine = among(tx.session, col(Certificate.lineage_id), ids)
    return set((await tx.session.scalars(sa.select(col(Certificate.fingerprint)).where(mine))).all())


async def page(session: AsyncSession, *, scope: Scope, after: str | None, limit: int) -> Sequence[Lineage]:
    """Return `limit + 1` lineages, the oldest first."""
    query = sa.select(Lineage).where(*visible_lineages(scope)).order_by(col(Lineage.id)).limit(limit + 1)
    return (await session.scalars(query if after is None else query.where(col(Lineage.id) > after))).all()


async def move_certificate(tx: Transaction, moved: Certificate, *, to: str) -> None:
    """Put a certificate, and what happened to it, into another lineage; drop the one it leaves empty."""
    left, moved.lineage_id = moved.lineage_id, to
    await tx.session.flush()
    fingerprint = moved.fingerprint
    await _move(tx, TimelineRow, col(TimelineRow.fingerprint) == fingerprint, left=left, to=to)
    await _move(tx, Crossed, col(Crossed.fingerprint) == fingerprint, left=left, to=to)
    touching = sa.or_(
        col(Replacement.old_fingerprint) == fingerprint, col(Replacement.fingerprint) == fingerprint
    )
    await _move(tx, Replacement, touching, left=left, to=to)
    others = sa.select(col(Certificate.fingerprint)).where(col(Certificate.lineage_id) == left).limit(1)
    if await tx.session.scalar(others) is None:
        await _move(tx, TimelineRow, sa.true(), left=left, to=to)
        await _move(tx, Replacement, sa.true(), left=left, to=to)
        await tx.session.execute(sa.delete(Lineage).where(col(Lineage.id) == left))


async def _move(
    tx: Transaction,
    table: type[TimelineRow | Crossed | Replacement],
    which: sa.ColumnElement[bool],
    *,
    left: str,
    to: str,
) -> None:
    query = sa.update(table).where(col(table.lineage_id) == left, which).values(lineage_id=to)
    await tx.session.execute(query)


async def timeline(
    session: AsyncSession,
    lineage_id: str,
    *,
    scope: Scope,
    after: tuple[datetime, str] | None,
    limit: int,
) -> Sequence[TimelineRow]:
    """Return `limit + 1` things that happened to a lineage, the first first."""
    query = sa.select(TimelineRow).where(col(TimelineRow.lineage_id) == lineage_id, *visible_entries(scope))
    if after is not None:
        at, row_id = after
        later = sa.and_(col(TimelineRow.at) == at, col(TimelineRow.id) > row_id)
        query = query.where(sa.or_(col(TimelineRow.at) > at, later))
    return (
        await session.scalars(query.order_by(col(TimelineRow.at), col(TimelineRow.id)).limit(limit + 1))
    ).all()
