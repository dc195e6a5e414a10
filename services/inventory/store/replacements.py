"""Replacements, and what has been observed about them."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.replacements import Evidence, OldPlace, State
from services.inventory.store.tables import Certificate, Replacement, ServingRow, Sighting
from services.inventory.store.visibility import Scope, visible_replacements
from shared.store import Transaction, insert

_IS_PROOF = col(Sighting.is_proof).is_(True)
"""A copy that nothing uses is no place of a certificate here, neither of the old one nor of the new one."""


async def keep_replacement(tx: Transaction, row: Replacement) -> Replacement:
    """Add a replacement where there is none of these two yet; return the one there is, held."""
    await tx.session.execute(
        insert(tx, Replacement)
        .values(row.model_dump())
        .on_conflict_do_nothing(index_elements=["old_fingerprint", "fingerprint"])
    )
    query = _held().where(
        col(Replacement.old_fingerprint) == row.old_fingerprint,
        col(Replacement.fingerprint) == row.fingerprint,
    )
    return (await tx.session.scalars(query)).one()


def _held() -> sa.Select[Replacement]:
    return sa.select(Replacement).with_for_update().execution_options(populate_existing=True)


async def touching(tx: Transaction, fingerprints: Sequence[str]) -> Sequence[Replacement]:
    """Return the replacements of and by these certificates, held until the transaction ends."""
    query = _held().where(
        sa.or_(
            col(Replacement.old_fingerprint).in_(fingerprints),
            col(Replacement.fingerprint).in_(fingerprints),
        )
    )
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


async def evidence(tx: Transaction, row: Replacement) -> Evidence:
    """Return what is known about the places of the old and the new certificate."""
    still_old = sa.select(col(Sighting.place_id), col(Sighting.last_seen)).where(
        col(Sighting.fingerprint) == row.old_fingerprint, _IS_PROOF
    )
    served_at = await tx.session.scalar(_latest(_serves_new(row)))
    left, gone, left_at = (await tx.session.execute(_left(row))).one()
    return Evidence(
        still_old=[
            OldPlace(place_id=place_id, last_seen=last_seen)
            for place_id, last_seen in (await tx.session.execute(still_old)).all()
        ],
        is_new_served=served_at is not None,
        are_all_gone=left > 0 and left == gone,
        observed_at=max((at for at in (served_at, left_at) if at is not None), default=None),
    )


def _latest(which: sa.ColumnElement[bool]) -> sa.Select[datetime]:
    return sa.select(sa.func.max(col(Sighting.last_seen))).where(which, _IS_PROOF)


def _serves_new(row: Replacement) -> sa.ColumnElement[bool]:
    """Say that a place serves the new certificate, or one of its lineage that is newer still."""
    new = sa.select(col(Certificate.not_before)).where(col(Certificate.fingerprint) == row.fingerprint)
    newer = sa.select(col(Certificate.fingerprint)).where(
        col(Certificate.lineage_id) == row.lineage_id,
        col(Certificate.fingerprint) != row.old_fingerprint,
        col(Certificate.not_before) > new.scalar_subquery(),
    )
    return sa.or_(col(Sighting.fingerprint) == row.fingerprint, col(Sighting.fingerprint).in_(newer))


def _left(row: Replacement) -> sa.Select[int, int, datetime]:
    """Count the places that served the old one while it was being replaced and do no more, and those gone."""
    served = (
        sa.select(col(ServingRow.place_id))
        .where(col(ServingRow.fingerprint) == row.old_fingerprint, col(ServingRow.until) >= row.opened_at)
        .distinct()
    )
    left = sa.and_(
        _IS_PROOF,
        col(Sighting.place_id).in_(served),
        sa.or_(col(Sighting.fingerprint).is_(None), col(Sighting.fingerprint) != row.old_fingerprint),
    )
    every = sa.func.count()
    return sa.select(
        every, every.filter(col(Sighting.fingerprint).is_(None)), sa.func.max(col(Sighting.last_seen))
    ).where(left)


async def places_of(session: AsyncSession, row: Replacement, *, limit: int) -> Sequence[str]:
    """Return the ids of places that served the old certificate while it was being replaced."""
    is_meant = sa.or_(col(ServingRow.until).is_(None), col(ServingRow.until) >= row.opened_at)
    query = sa.select(col(ServingRow.place_id)).where(
        col(ServingRow.fingerprint) == row.old_fingerprint, is_meant
    )
    return (await session.scalars(query.distinct().limit(limit))).all()


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


async def counts(session: AsyncSession, *, scope: Scope) -> dict[State, int]:
    """Return how many replacements are in which state."""
    query = sa.select(col(Replacement.state), sa.func.count()).group_by(col(Replacement.state))
    query = query.where(*visible_replacements(scope))
    found = {State(state): count for state, count in (await session.execute(query)).all()}
    return {state: found.get(state, 0) for state in State}
