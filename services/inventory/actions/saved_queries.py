"""Saved queries: kept by whom they are for, and lent to others where they are shared."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.exc import IntegrityError

from services.inventory.domain.query import parse, write
from services.inventory.store import saved_queries as store
from services.inventory.store.tables import SavedQueryRow
from shared.access import Principal
from shared.errors import Conflict, Forbidden, NotFound, Stale
from shared.ids import new_id
from shared.store import Database, Transaction

_POINTER = "/body/query"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class SavedQueryText:
    """What is kept of a question."""

    name: str
    query: str
    sort: str
    columns: Sequence[str]
    is_shared: bool


class SavedQueries:
    """The verbs on saved queries. One that the caller neither made nor is shared with does not exist for them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, text: SavedQueryText, *, caller: Principal, now: datetime) -> SavedQueryRow:
        """Keep a question in its canonical text. Raises `Invalid`, and `Conflict` where the name is taken."""
        row = SavedQueryRow(
            id=new_id(),
            owner_id=caller.id,
            name=text.name,
            query=write(parse(text.query, pointer=_POINTER)),
            sort=text.sort,
            columns=list(text.columns),
            is_shared=text.is_shared,
            created_at=now,
            updated_at=now,
        )
        async with self._database.transaction() as tx:
            tx.session.add(row)
            await _flush(tx, name=text.name)
        return row

    async def replace(
        self, query_id: str, *, text: SavedQueryText, expected: int, caller: Principal, now: datetime
    ) -> SavedQueryRow:
        """Keep another text. Raises `NotFound`, `Forbidden`, `Stale`, `Invalid` or `Conflict`."""
        canonical = write(parse(text.query, pointer=_POINTER))
        async with self._database.transaction() as tx:
            row = _own(await store.held(tx, query_id, caller=caller.id), query_id, caller=caller)
            if expected != row.version:
                raise Stale("The saved query was changed since you read it.", next_step="Read it again.")
            row.name, row.query, row.sort = text.name, canonical, text.sort
            row.columns, row.is_shared = list(text.columns), text.is_shared
            row.version += 1
            row.updated_at = now
            await _flush(tx, name=text.name)
        return row

    async def delete(self, query_id: str, *, caller: Principal) -> None:
        """Forget a question. Raises `NotFound` or `Forbidden`."""
        async with self._database.transaction() as tx:
            row = _own(await store.held(tx, query_id, caller=caller.id), query_id, caller=caller)
            await tx.session.delete(row)
        log.info("saved_query.removed", saved_query=query_id, by=caller.id)

    async def page(self, *, caller: Principal, after: str | None, limit: int) -> Sequence[SavedQueryRow]:
        """Return up to `limit + 1` questions: the caller's, and those that are shared."""
        async with self._database.read() as session:
            return await store.page(session, caller=caller.id, after=after, limit=limit)

    async def get(self, query_id: str, *, caller: Principal) -> SavedQueryRow:
        """Return a question. Raises `NotFound`."""
        async with self._database.read() as session:
            return _found(await store.saved_query(session, query_id, caller=caller.id), query_id)


async def _flush(tx: Transaction, *, name: str) -> None:
    try:
        await tx.session.flush()
    except IntegrityError as error:
        raise Conflict(
            f"You have a saved query named {name} already.", next_step="Choose another name."
        ) from error


def _found(row: SavedQueryRow | None, query_id: str) -> SavedQueryRow:
    if row is None:
        raise NotFound(
            f"There is no saved query {query_id}.", next_step="List them at GET /v1/saved-queries."
        )
    return row


def _own(row: SavedQueryRow | None, query_id: str, *, caller: Principal) -> SavedQueryRow:
    found = _found(row, query_id)
    if found.owner_id != caller.id:
        raise Forbidden(
            "Only who made a saved query may change it.", next_step="Save it under a name of your own."
        )
    return found
