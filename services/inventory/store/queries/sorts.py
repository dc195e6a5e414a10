"""The columns that lists are ordered by; each is in an index together with the id, which settles what is equal."""

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from services.inventory.domain.query import Order, Position
from services.inventory.store.tables import Certificate

SORTS: Mapping[str, Any] = {
    "seen": None,
    "expires": col(Certificate.not_after),
    "issued": col(Certificate.not_before),
    "subject": col(Certificate.subject_start),
    "issuer": col(Certificate.issuer_start),
    "key.type": col(Certificate.key_type),
    "key.size": col(Certificate.key_bits),
}
"""None for the id alone, which grows with the time at which a row was made."""

_ID: Any = col(Certificate.id)


def parts(query: Any, order: Order, after: Position | None) -> Iterator[Any]:
    """Give the selects that give the rows of a list one after another: those with a value, then those without.

    Each follows one index from one place on, in either direction and on either database.
    """
    column = SORTS[order.field]
    if column is None:
        after_id = [] if after is None else [_beyond(_ID, after.id, order)]
        yield query.where(*after_id).order_by(_directed(_ID, order))
        return
    is_among_nulls = after is not None and after.value is None
    if not is_among_nulls:
        yield _valued(query, column, order, after)
    nulls = query.where(column.is_(None)).order_by(_directed(_ID, order))
    yield nulls.where(_beyond(_ID, after.id, order)) if after is not None and is_among_nulls else nulls


def _valued(query: Any, column: Any, order: Order, after: Position | None) -> Any:
    valued = query.where(column.is_not(None)).order_by(_directed(column, order), _directed(_ID, order))
    if after is not None:
        row = sa.tuple_(column, _ID)
        last = sa.tuple_(sa.literal(after.value, column.type), sa.literal(after.id))
        valued = valued.where(_beyond(row, last, order))
    return valued


def place_in(row: Any, order: Order) -> Position:
    """Return where in the order a row stands."""
    column = SORTS[order.field]
    return Position(id=row.id, value=None if column is None else getattr(row, column.key))


def _directed(column: Any, order: Order) -> Any:
    return column.desc() if order.is_descending else column.asc()


def _beyond(column: Any, last: Any, order: Order) -> sa.ColumnElement[bool]:
    found: sa.ColumnElement[bool] = column < last if order.is_descending else column > last
    return found
