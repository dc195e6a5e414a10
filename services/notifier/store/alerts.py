"""Queries on alerts: subjects, evidence, observations and history."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.notifier.domain.alerts import AlertState, Evidence, Problem, Replacement
from services.notifier.store.pages import page
from services.notifier.store.tables import SUBJECTS, Alert, Entry, Replaced, Said, Subject
from shared.store import Instant, Transaction, insert, write_rows
from shared.store.parameters import among, table_of
from shared.store.scopes import Scope

Identity = tuple[str, str, str]
"""Subject, problem and key."""


async def lock_subject(tx: Transaction, subject: str, *, name: str | None, now: datetime) -> str | None:
    """Hold a subject until the transaction ends, learn its name where given, and return the name known."""
    return (await lock_subjects(tx, {subject: name}, now=now))[subject]


async def lock_subjects(
    tx: Transaction, names: Mapping[str, str | None], *, now: datetime
) -> dict[str, str | None]:
    """Hold subjects until the transaction ends, in the order of their ids; learn and return their names as `lock_subject`."""
    given = table_of(tx, {"id": sa.Text, "name": sa.Text}, sorted(names.items()))
    at = sa.literal(now, type_=Instant)
    # SQLite takes ON CONFLICT behind a SELECT for a join where no WHERE is between.
    rows = sa.select(given.c.id, given.c.name, at).where(sa.true()).order_by(given.c.id)
    row = insert(tx, Subject).from_select(["id", "name", "touched_at"], rows)
    known = sa.func.coalesce(row.excluded.name, col(Subject.name))
    row = row.on_conflict_do_update(
        index_elements=["id"], set_={"name": known, "touched_at": row.excluded.touched_at}
    )
    held = await tx.session.execute(row.returning(col(Subject.id), col(Subject.name)))
    return {row.id: row.name for row in held.all()}


async def open_alert(session: AsyncSession, *, subject: str, problem: Problem) -> Alert | None:
    """Return the open alert of a subject and problem."""
    query = sa.select(Alert).where(
        col(Alert.subject) == subject,
        col(Alert.problem) == problem,
        col(Alert.state) == AlertState.OPEN,
    )
    found: Alert | None = await session.scalar(query)
    return found


async def open_alerts(session: AsyncSession, subjects: Collection[str]) -> Sequence[Alert]:
    """Return the open alerts of subjects."""
    mine = among(session, col(Alert.subject), subjects)
    query = sa.select(Alert).where(mine, col(Alert.state) == AlertState.OPEN)
    return (await session.scalars(query.order_by(col(Alert.id)))).all()


async def opened_lately(
    session: AsyncSession, lineages: Collection[str], *, since: datetime
) -> Sequence[Alert]:
    """Return the open alerts of these lineages that were opened since then."""
    query = sa.select(Alert).where(
        col(Alert.lineage_id).in_(lineages),
        col(Alert.state) == AlertState.OPEN,
        col(Alert.opened_at) >= since,
    )
    return (await session.scalars(query.order_by(col(Alert.subject), col(Alert.id)))).all()


async def last_told(
    session: AsyncSession, alert_ids: Collection[str], *, turns: Collection[str]
) -> dict[str, int]:
    """Return the number of the last of such turns of alerts, by their ids."""
    query = sa.select(col(Entry.alert_id), sa.func.max(col(Entry.number)).label("last"))
    query = query.where(among(session, col(Entry.alert_id), alert_ids), col(Entry.turn).in_(turns))
    rows = await session.execute(query.group_by(col(Entry.alert_id)))
    return {row.alert_id: row.last for row in rows.all()}


async def earlier_evidence(session: AsyncSession, new: Collection[Evidence]) -> dict[Identity, Evidence]:
    """Return what was said before of the same keys."""
    wanted = {identity(evidence) for evidence in new}
    columns = (col(Said.subject), col(Said.problem), col(Said.key), col(Said.evidence))
    subjects = {evidence.subject for evidence in new}
    query = sa.select(*columns).where(among(session, col(Said.subject), subjects))
    return {
        (subject, problem, key): Evidence.model_validate(document)
        for subject, problem, key, document in (await session.execute(query)).all()
        if (subject, problem, key) in wanted
    }


async def keep_evidence(tx: Transaction, evidence: Collection[Evidence]) -> None:
    """Keep evidence in the place of what was said before of the same keys."""
    names = ("subject", "problem", "key")
    row = insert(tx, Said)
    row = row.on_conflict_do_update(index_elements=list(names), set_={"evidence": row.excluded.evidence})
    rows = [
        dict(zip(names, identity(each), strict=True)) | {"evidence": each.model_dump(mode="json")}
        for each in evidence
    ]
    await write_rows(tx, row, rows)


def identity(evidence: Evidence) -> Identity:
    """Return what evidence is known by."""
    return evidence.subject, evidence.problem, evidence.key


async def standing_evidence(session: AsyncSession, *, subject: str, problem: str) -> list[Evidence]:
    """Return what stands for an alert."""
    query = sa.select(col(Said.evidence)).where(col(Said.subject) == subject, col(Said.problem) == problem)
    rows = (await session.scalars(query.order_by(col(Said.key)))).all()
    return [Evidence.model_validate(row) for row in rows]


async def drop_evidence(tx: Transaction, *, subject: str, problem: str, keys: Collection[str]) -> None:
    """Take evidence away."""
    chosen = (col(Said.subject) == subject, col(Said.problem) == problem, col(Said.key).in_(keys))
    await tx.session.execute(sa.delete(Said).where(*chosen))


async def keep_replacement(tx: Transaction, replacement: Replacement) -> None:
    """Keep an observation; of several of the same certificate, the latest."""
    row = insert(tx, Replaced).values(replacement.model_dump())
    newer = {"fingerprint": row.excluded.fingerprint, "observed_at": row.excluded.observed_at}
    row = row.on_conflict_do_update(
        index_elements=["subject", "outgoing"],
        set_=newer,
        where=col(Replaced.observed_at) < row.excluded.observed_at,
    )
    await tx.session.execute(row)


async def replacements_of(session: AsyncSession, subjects: Collection[str]) -> list[Replacement]:
    """Return what was seen to be gone of subjects."""
    columns = (Replaced.subject, Replaced.outgoing, Replaced.fingerprint, Replaced.observed_at)
    query = sa.select(*map(col, columns)).where(among(session, col(Replaced.subject), subjects))
    return [Replacement(**row) for row in (await session.execute(query)).mappings()]


async def history_of(session: AsyncSession, alert_id: str) -> Sequence[Entry]:
    """Return an alert's history, oldest first."""
    query = sa.select(Entry).where(col(Entry.alert_id) == alert_id).order_by(col(Entry.number))
    return (await session.scalars(query)).all()


async def alerts_page(
    session: AsyncSession,
    *,
    only: Mapping[str, str],
    after: str | None,
    limit: int,
    scope: Scope,
) -> Sequence[Alert]:
    """Return a page of the alerts of a scope whose columns have these values."""
    query = sa.select(Alert).filter_by(**only).where(alerts_within(scope))
    found: Sequence[Alert] = await page(session, query, col(Alert.id), after=after, limit=limit)
    return found


def alerts_within(scope: Scope) -> sa.ColumnElement[bool]:
    """Return the condition that an alert is in a scope."""
    about = sa.func.coalesce(col(Alert.lineage_id), col(Alert.subject))
    return SUBJECTS.within(about, scope)


async def groups_of(session: AsyncSession, alert: Alert) -> frozenset[str]:
    """Return the groups of what an alert is about."""
    return await SUBJECTS.of(session, about(alert))


def about(alert: Alert) -> str:
    """Return what an alert is about, as groups are told of it."""
    return alert.lineage_id or alert.subject
