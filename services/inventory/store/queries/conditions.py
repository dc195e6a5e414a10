"""Joins what the terms of a query ask into one condition.

SQL's NULL is kept out: each part is asked either for what makes it true or for what makes it false, and both
are conditions that a row meets or does not. What is about another table is found through it (`IN`) where all
of the query hangs on that, so that its index leads; below `or` and `not` each row is looked up there (`EXISTS`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.sql import visitors
from sqlmodel import col

from services.inventory.domain.query import And, Node, Not, Operator, Or, Query, Term
from services.inventory.store.queries.comparisons import Column, Condition
from services.inventory.store.queries.fields import CERTIFICATE_FIELDS, PLACE_FIELDS, Here, Sql, sql_of
from services.inventory.store.tables import Certificate, PlaceRow, Sighting


def condition(query: Query, *, now: datetime, leads: bool = True) -> Condition:
    """Return the condition over `Certificate`; all of them meet that of an empty query.

    `leads` is false where the certificates are given, and only whether they meet it is asked.
    """
    return sa.true() if query.node is None else _Asked(_OF_CERTIFICATES, now).true(query.node, leads=leads)


def place_condition(query: Query, *, now: datetime) -> Condition:
    """Return the condition over `PlaceRow` joined with its `Sighting`."""
    return sa.true() if query.node is None else _Asked(_OF_PLACES, now).true(query.node, leads=True)


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """Whose rows are asked for, and how they lead to those of the other subject."""

    fields: Mapping[str, Sql]
    others: Mapping[str, Sql]
    own: Column
    """The column that leads to the others."""
    key: Column
    """The column of the others that it leads to."""
    source: Callable[[Condition], sa.FromClause]
    """The tables of the others that a condition needs."""


_CERTIFICATES: sa.FromClause = Certificate.__table__  # type: ignore[attr-defined] # every table has one
_SIGHTINGS: sa.FromClause = Sighting.__table__  # type: ignore[attr-defined] # every table has one
_PLACES: sa.FromClause = PlaceRow.__table__  # type: ignore[attr-defined] # every table has one
_PLACED = sa.join(_SIGHTINGS, _PLACES, col(PlaceRow.id) == col(Sighting.place_id))


def _placed(what: Condition) -> sa.FromClause:
    """Return the sightings alone where nothing more is asked: a lookup less for each certificate."""
    columns = (each for each in visitors.iterate(what) if isinstance(each, sa.Column))
    return _PLACED if any(each.table is _PLACES for each in columns) else _SIGHTINGS


_OF_CERTIFICATES = _Subject(
    fields=CERTIFICATE_FIELDS,
    others=PLACE_FIELDS,
    own=col(Certificate.fingerprint),
    key=col(Sighting.fingerprint),
    source=_placed,
)
_OF_PLACES = _Subject(
    fields=PLACE_FIELDS,
    others=CERTIFICATE_FIELDS,
    own=col(Sighting.fingerprint),
    key=col(Certificate.fingerprint),
    source=lambda _what: _CERTIFICATES,
)


class _Asked:
    """Turns nodes into conditions over the rows of one subject."""

    def __init__(self, subject: _Subject, now: datetime) -> None:
        self._subject = subject
        self._now = now

    def true(self, node: Node, *, leads: bool) -> Condition:
        """Return what makes it true."""
        if isinstance(node, Term):
            return self._term(node, leads=leads)
        if isinstance(node, Not):
            return self.false(node.part)
        if isinstance(node, Or):
            return sa.or_(*(self.true(part, leads=False) for part in node.parts))
        mine, others = self._divided(node)
        found = [self.true(part, leads=leads) for part in mine]
        if others:
            found.append(self._elsewhere(others, leads=leads))
        return sa.and_(*found)

    def false(self, node: Node) -> Condition:
        """Return what makes it false."""
        if isinstance(node, Term):
            return self._not_term(node)
        if isinstance(node, Not):
            return self.true(node.part, leads=False)
        if isinstance(node, Or):
            return sa.and_(*(self.false(part) for part in node.parts))
        mine, others = self._divided(node)
        found = [self.false(part) for part in mine]
        if others:
            found.append(sa.not_(self._elsewhere(others, leads=False)))
        return sa.or_(*found)

    def _divided(self, node: And) -> tuple[list[Node], list[Node]]:
        """Return the parts of a conjunction, and apart from them those that are about one of the others."""
        mine: list[Node] = []
        others: list[Node] = []
        for part in _flat(node):
            (others if self._is_elsewhere(part) else mine).append(part)
        return mine, others

    def _is_elsewhere(self, node: Node) -> bool:
        """Return whether it says of the other subject alone what is so; `not` says it of all the others."""
        if isinstance(node, Term):
            return not self._sql_here(node) and node.operator is not Operator.UNEQUAL
        return not isinstance(node, Not) and all(self._is_elsewhere(part) for part in node.parts)

    def _sql_here(self, term: Term) -> Sql | None:
        return sql_of(term.field, self._subject.fields)

    def _elsewhere(self, nodes: Sequence[Node], *, leads: bool) -> Condition:
        """Say that one of the others is all this."""
        subject = self._subject
        there = _Asked(_MIRRORED[id(subject)], self._now)
        what = sa.and_(*(there.true(node, leads=False) for node in nodes))
        return _has(subject.own, subject.key, what, leads=leads, source=subject.source(what))

    def _term(self, term: Term, *, leads: bool) -> Condition:
        if term.operator is Operator.UNEQUAL:
            return self._not_term(replace(term, operator=Operator.EQUAL))
        sql = self._sql_here(term)
        if sql is None:
            return self._elsewhere([term], leads=leads)
        if isinstance(sql, Here):
            return sql.build(term, self._now)
        return _has(sql.own, sql.key, sql.build(term, self._now), leads=leads)

    def _not_term(self, term: Term) -> Condition:
        if term.operator is Operator.UNEQUAL:
            return self._term(replace(term, operator=Operator.EQUAL), leads=False)
        asked = self._term(term, leads=False)
        is_decided = term.operator is Operator.HAS or self._is_decided(term)
        return sa.not_(asked) if is_decided else asked.is_not(sa.true())

    def _is_decided(self, term: Term) -> bool:
        sql = self._sql_here(term)
        return sql.is_decided if isinstance(sql, Here) else True


_MIRRORED = {id(_OF_CERTIFICATES): _OF_PLACES, id(_OF_PLACES): _OF_CERTIFICATES}


def _flat(node: And) -> list[Node]:
    """Return the parts of a conjunction and of those in it."""
    return [each for part in node.parts for each in (_flat(part) if isinstance(part, And) else [part])]


def _has(
    own: Column, key: Column, what: Condition, *, leads: bool, source: sa.FromClause | None = None
) -> Condition:
    """Say that there is a row elsewhere that `own` leads to and of which this is so."""
    table = source if source is not None else key.table  # type: ignore[attr-defined] # a column's
    rows = sa.select(key).select_from(table).where(what)
    if leads:
        return own.in_(rows.where(key.is_not(None)).correlate(None))
    return rows.where(key == own).correlate(own.table).exists()  # type: ignore[attr-defined] # a column's
