"""One term against one column, in SQL that means the same on SQLite and PostgreSQL."""

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from services.inventory.domain.certificates import reversed_name
from services.inventory.domain.query import Day, FromNow, Moment, Operator, Term, Value
from services.inventory.store.tables import CertificateName

Column = sa.SQLColumnExpression[Any]
"""A column of a table, or what is computed of some."""
Condition = sa.ColumnElement[bool]

_ORDER: Mapping[Operator, Callable[[Any, Any], Any]] = {
    Operator.EQUAL: operator.eq,
    Operator.LESS: operator.lt,
    Operator.AT_MOST: operator.le,
    Operator.MORE: operator.gt,
    Operator.AT_LEAST: operator.ge,
}
_LAST = chr(0x10FFFF)
_BEFORE_SURROGATES, _AFTER_SURROGATES = 0xD7FF, 0xE000


def compare(column: Column, term: Term, now: datetime) -> Condition:
    """Say that a column's value is as the term asks. `UNEQUAL` never comes here: it is the negation of `EQUAL`."""
    if term.operator is Operator.HAS:
        return column.is_not(None)
    if term.operator is Operator.IN:
        return column.in_([_bound(value, now) for value in term.values])
    if term.operator is Operator.LIKE:
        return column.ilike(pattern(str(term.value)), escape="\\")
    if isinstance(term.value, Day):
        return _on_day(column, term.operator, term.value)
    found: Condition = _ORDER[term.operator](column, _bound(term.value, now))
    return found


def compare_choice(column: Column, term: Term, *, choices: Sequence[str], now: datetime) -> Condition:
    """Say that a column is one of the choices that the term asks for, the least first."""
    if term.operator not in _ORDER or term.operator is Operator.EQUAL:
        return compare(column, term, now)
    chosen = choices.index(str(term.value))
    is_asked = _ORDER[term.operator]
    return column.in_([each for at, each in enumerate(choices) if is_asked(at, chosen)])


def _bound(value: Value, now: datetime) -> object:
    if isinstance(value, FromNow):
        return now + value.span
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    return value.at if isinstance(value, Moment) else value


def _on_day(column: Column, operator_: Operator, day: Day) -> Condition:
    if operator_ is Operator.EQUAL:
        return sa.and_(column >= day.begins, column < day.ends)
    if operator_ is Operator.LESS:
        return column < day.begins
    if operator_ is Operator.AT_MOST:
        return column < day.ends
    return column >= (day.ends if operator_ is Operator.MORE else day.begins)


def pattern(text: str) -> str:
    """Return what LIKE takes for a text that is contained, or for one with `*` from end to end."""
    parts = [part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for part in text.split("*")]
    return "%".join(parts if len(parts) > 1 else ["", *parts, ""])


def begins_with(column: Column, prefix: str) -> Condition:
    """Say that a text begins so, as a range of an index whose collation compares code points."""
    last = prefix[-1]
    if last == _LAST:
        return column >= prefix
    after = _AFTER_SURROGATES if ord(last) == _BEFORE_SURROGATES else ord(last) + 1
    return sa.and_(column >= prefix, column < prefix[:-1] + chr(after))


def compare_name(term: Term, now: datetime) -> Condition:
    """Say that a name of a certificate is as asked; by its beginning or its end an index finds it."""
    name, backwards = col(CertificateName.name), col(CertificateName.backwards)
    if term.operator is Operator.UNDER:
        domain = str(term.value)
        return sa.or_(name == domain, begins_with(backwards, reversed_name(f".{domain}")))
    if term.operator is not Operator.LIKE:
        return compare(name, term, now)
    text = str(term.value)
    head, star, tail = text.partition("*")
    if not star:
        return name.like(pattern(text), escape="\\")
    conditions = [begins_with(name, head)] if head else []
    last = tail.rpartition("*")[2]
    if last:
        conditions.append(begins_with(backwards, reversed_name(last)))
    if tail != last or (head and last):
        conditions.append(name.like(pattern(text), escape="\\"))
    return sa.and_(sa.true(), *conditions)
