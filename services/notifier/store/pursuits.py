"""Queries on what rules do about open alerts that nobody takes up."""

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.notifier.store.tables import Alert, Pursuit
from shared.store import Transaction, insert, write_rows
from shared.store.parameters import among


async def begin_pursuits(tx: Transaction, rows: Sequence[Pursuit]) -> None:
    """Begin what rules do about an alert, or begin it anew."""
    row = insert(tx, Pursuit)
    fields = ("level", "began_at", "told_at", "next_at")
    anew = row.on_conflict_do_update(
        index_elements=["alert_id", "rule_id"], set_={name: row.excluded[name] for name in fields}
    )
    await write_rows(tx, anew, [each.model_dump() for each in rows])


async def pursuits_of(tx: Transaction, alert_id: str) -> Sequence[Pursuit]:
    """Return what rules do about an alert."""
    query = sa.select(Pursuit).where(col(Pursuit.alert_id) == alert_id).order_by(col(Pursuit.rule_id))
    return (await tx.session.scalars(query)).all()


async def pursuing(tx: Transaction, alert_ids: Collection[str]) -> dict[str, set[str]]:
    """Return the ids of the rules that pursue alerts, by the ids of those."""
    query = sa.select(col(Pursuit.alert_id), col(Pursuit.rule_id))
    query = query.where(among(tx.session, col(Pursuit.alert_id), alert_ids))
    found: dict[str, set[str]] = {}
    for alert_id, rule_id in (await tx.session.execute(query)).all():
        found.setdefault(alert_id, set()).add(rule_id)
    return found


async def postpone_pursuits(tx: Transaction, alert_id: str, *, until: datetime | None) -> None:
    """Let rules do nothing about an alert until then; None is for as long as it is as it is."""
    query = sa.update(Pursuit).where(col(Pursuit.alert_id) == alert_id).values(next_at=until)
    await tx.session.execute(query)


async def end_pursuits(
    tx: Transaction, *, alert_id: str | None = None, rule_ids: Collection[str] = ()
) -> None:
    """Take away what rules do about an alert, or what these rules do about any."""
    chosen = col(Pursuit.alert_id) == alert_id if alert_id else col(Pursuit.rule_id).in_(rule_ids)
    await tx.session.execute(sa.delete(Pursuit).where(chosen))


async def due_pursuits(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[tuple[str, str]]:
    """Return alerts, with their subjects, about which a rule has to do something, the most overdue first."""
    query = (
        sa.select(col(Alert.id), col(Alert.subject))
        .join(Pursuit, col(Pursuit.alert_id) == col(Alert.id))
        .where(col(Pursuit.next_at) <= now)
        .order_by(col(Pursuit.next_at), col(Alert.id))
        .limit(limit)
    )
    return [
        (alert_id, subject)
        for alert_id, subject in dict.fromkeys(map(tuple, (await session.execute(query)).all()))
    ]
