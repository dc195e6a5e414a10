"""Many rows of values as one parameter: a statement's text stays the same however many there are.

A statement with all rows in its VALUES would be compiled, and planned, anew for each number of rows.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from shared.store import Transaction

Columns = Mapping[str, Any]
"""Names and SQLAlchemy types: texts, numbers, truth values and instants."""


def table_of(tx: Transaction, columns: Columns, rows: Sequence[Sequence[Any]]) -> sa.FromClause:
    """Return rows of values, none or many, as something to select from; `columns` are its columns."""
    dialect = tx.session.get_bind().dialect
    if dialect.name == "postgresql":
        return _unnested(columns, rows)
    return _from_json(columns, rows, dialect=dialect)


def among(session: AsyncSession, column: Any, values: Collection[str]) -> sa.ColumnElement[bool]:
    """Say that a column has one of these texts; however many they are, the statement stays the same."""
    if session.get_bind().dialect.name != "postgresql":
        found: sa.ColumnElement[bool] = column.in_(values)
        return found
    array = sa.bindparam(None, list(values), type_=postgresql.ARRAY(sa.Text), unique=True)
    return sa.type_coerce(column, sa.Text) == sa.any_(array)


def _unnested(columns: Columns, rows: Sequence[Sequence[Any]]) -> sa.FromClause:
    arrays = [
        sa.bindparam(None, [row[at] for row in rows], type_=postgresql.ARRAY(type_), unique=True)
        for at, type_ in enumerate(columns.values())
    ]
    named = [sa.column(name, type_) for name, type_ in columns.items()]
    return sa.func.unnest(*arrays).table_valued(*named).render_derived(name="given")


def _from_json(columns: Columns, rows: Sequence[Sequence[Any]], *, dialect: sa.Dialect) -> sa.FromClause:
    writers = [_writer(type_, dialect) for type_ in columns.values()]
    if any(writers):
        rows = [
            [write(value) if write else value for write, value in zip(writers, row, strict=True)]
            for row in rows
        ]
    text = json.dumps(rows)
    each = sa.func.json_each(sa.bindparam(None, text, type_=sa.Text, unique=True)).table_valued("value")
    values = [
        sa.type_coerce(sa.func.json_extract(each.c.value, f"$[{at}]"), type_).label(name)
        for at, (name, type_) in enumerate(columns.items())
    ]
    return sa.select(*values).subquery("given")


def _writer(type_: Any, dialect: sa.Dialect) -> Any:
    """Return what writes a value as the database keeps it; None where that is as it is."""
    return sa.types.to_instance(type_).dialect_impl(dialect).bind_processor(dialect)
