"""Which trace a piece of work belongs to, kept beside it until a worker takes it up: an order, a deployment, a scan.

Nothing is written or read where no trace is recorded.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from hashlib import sha256

import sqlalchemy as sa

from shared.store import Database, Transaction, insert
from shared.store.plumbing import TRACES
from shared.trace import Attributes, following, has_recorder, is_recorded, span, traceparent

KEPT_FOR = timedelta(days=7)
_LONGEST = 100


async def remember(tx: Transaction, *work_ids: str, now: datetime) -> None:
    """Keep that these pieces of work are begun by the trace in force, and forget old ones."""
    if not work_ids or not is_recorded():
        return
    keys = sorted(set(map(_key, work_ids)))
    rows = [{"work_id": key, "traceparent": traceparent(), "at": now} for key in keys]
    new = insert(tx, TRACES).values(rows)
    latest = {"traceparent": new.excluded.traceparent, "at": new.excluded.at}
    await tx.session.execute(new.on_conflict_do_update(index_elements=["work_id"], set_=latest))
    await tx.session.execute(sa.delete(TRACES).where(TRACES.c.at < now - KEPT_FOR))


async def remembered(database: Database, work_ids: Iterable[str]) -> dict[str, str]:
    """Return the traces that pieces of work were begun by, as far as they are known."""
    asked = {_key(work_id): work_id for work_id in work_ids} if has_recorder() else {}
    if not asked:
        return {}
    query = sa.select(TRACES.c.work_id, TRACES.c.traceparent).where(TRACES.c.work_id.in_(asked))
    async with database.read() as session:
        return {asked[row[0]]: row[1] for row in await session.execute(query)}


def _key(work_id: str) -> str:
    """Return what a piece of work is kept by: names of places may be longer than the column."""
    return work_id if len(work_id) <= _LONGEST else sha256(work_id.encode()).hexdigest()


@asynccontextmanager
async def continuing(
    database: Database, work_id: str, name: str, attributes: Attributes | None = None
) -> AsyncIterator[None]:
    """Work on a piece as a span of the trace that it was begun by."""
    begun_by = (await remembered(database, [work_id])).get(work_id)
    if begun_by is None:
        with span(name, attributes=attributes):
            yield
    else:
        with following(begun_by, name=name, attributes=attributes):
            yield
