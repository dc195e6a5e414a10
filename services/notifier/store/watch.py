"""Queries on what is known of lineages, on the certificates that are watched, and on thresholds that were crossed."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.notifier.domain.facts import Facts
from services.notifier.store.tables import Crossed, Lineage, Watched
from shared.store import Transaction, insert, write_rows
from shared.store.parameters import among


async def facts_of(session: AsyncSession, lineage_ids: Collection[str]) -> dict[str, Facts]:
    """Return what is known of each of some lineages."""
    query = sa.select(col(Lineage.id), col(Lineage.facts))
    query = query.where(among(session, col(Lineage.id), lineage_ids))
    known = {row[0]: Facts.model_validate(row[1]) for row in (await session.execute(query)).all()}
    return {lineage_id: known.get(lineage_id) or Facts() for lineage_id in lineage_ids}


async def keep_facts(tx: Transaction, facts: Mapping[str, Facts], *, now: datetime) -> None:
    """Keep what is known of lineages."""
    row = insert(tx, Lineage)
    said = {name: row.excluded[name] for name in ("facts", "told_at")}
    rows = [
        {"id": lineage_id, "facts": known.model_dump(mode="json"), "told_at": now}
        for lineage_id, known in facts.items()
    ]
    await write_rows(tx, row.on_conflict_do_update(index_elements=["id"], set_=said), rows)


async def watch(tx: Transaction, new: Sequence[Watched]) -> None:
    """Watch certificates from now on; one that is late stays so."""
    row = insert(tx, Watched)
    said = {name: row.excluded[name] for name in ("not_before", "not_after", "evidence", "due_at")}
    said["is_late"] = sa.or_(col(Watched.is_late), row.excluded.is_late)
    row = row.on_conflict_do_update(index_elements=["lineage_id", "fingerprint"], set_=said)
    await write_rows(tx, row, [each.model_dump() for each in new])


async def unwatch(tx: Transaction, lineage_id: str, fingerprint: str) -> None:
    """Watch a certificate no longer: it has a successor."""
    watched = (col(Watched.lineage_id) == lineage_id, col(Watched.fingerprint) == fingerprint)
    crossed = (col(Crossed.lineage_id) == lineage_id, col(Crossed.fingerprint) == fingerprint)
    await tx.session.execute(sa.delete(Watched).where(*watched))
    await tx.session.execute(sa.delete(Crossed).where(*crossed))


async def look_again(
    tx: Transaction, *, lineage_ids: Collection[str], now: datetime, is_late: bool = False
) -> None:
    """Let the certificates of lineages be looked at now; `is_late` makes them late."""
    values = {"due_at": now} | ({"is_late": True} if is_late else {})
    await tx.session.execute(
        sa.update(Watched).where(col(Watched.lineage_id).in_(lineage_ids)).values(values)
    )


async def look_at_all_again(tx: Transaction, *, now: datetime) -> None:
    """Let every certificate that is watched be looked at now: a rule has changed."""
    # Held first in the order of their lineages, as everybody does: an update takes them in any order.
    held = sa.select(col(Watched.lineage_id)).order_by(col(Watched.lineage_id), col(Watched.fingerprint))
    await tx.session.execute(sa.select(sa.func.count()).select_from(held.with_for_update().subquery()))
    await tx.session.execute(sa.update(Watched).values(due_at=now))


async def due_lineages(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[str]:
    """Return lineages of which a certificate is to be looked at, the most overdue first."""
    query = sa.select(col(Watched.lineage_id)).where(col(Watched.due_at) <= now)
    query = query.order_by(col(Watched.due_at), col(Watched.lineage_id)).limit(limit)
    return list(dict.fromkeys((await session.scalars(query)).all()))


async def watched(tx: Transaction, lineage_ids: Collection[str]) -> Sequence[Watched]:
    """Return the certificates that are watched of lineages, lineage by lineage."""
    query = sa.select(Watched).where(col(Watched.lineage_id).in_(lineage_ids))
    query = query.order_by(col(Watched.lineage_id), col(Watched.fingerprint))
    return (await tx.session.scalars(query)).all()


async def late_among(session: AsyncSession, lineage_ids: Collection[str]) -> set[str]:
    """Return those of some lineages of which some certificate is late."""
    mine = among(session, col(Watched.lineage_id), lineage_ids)
    query = sa.select(col(Watched.lineage_id)).where(mine, col(Watched.is_late))
    return set((await session.scalars(query)).all())


async def crossed(tx: Transaction, lineage_ids: Collection[str]) -> Sequence[Crossed]:
    """Return what is on record of lineages."""
    query = sa.select(Crossed).where(col(Crossed.lineage_id).in_(lineage_ids))
    return (await tx.session.scalars(query)).all()


async def keep_crossed(tx: Transaction, rows: Sequence[Crossed]) -> None:
    """Put crossings on record, once."""
    statement = insert(tx, Crossed).on_conflict_do_nothing()
    await write_rows(tx, statement, [row.model_dump() for row in rows])


async def forget_rule(tx: Transaction, rule_id: str) -> None:
    """Take away what is on record of a rule that is gone."""
    await tx.session.execute(sa.delete(Crossed).where(col(Crossed.rule_id) == rule_id))
