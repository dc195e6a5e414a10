"""Which rows a caller may see: every list, count, facet and export asks here, and nowhere else.

A scope is the groups that a caller's roles are limited to, None where they are not. What comes back is
added to the conditions of the statement, so that what is not to be seen is not even counted. A certificate
is seen by who has one of the groups that it is in; all else follows from the certificates that it is about.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped
from sqlmodel import col

from services.inventory.domain.assessment.exceptions import ScopeKind
from services.inventory.store.assessment_tables import ExceptionRow
from services.inventory.store.organised import GroupMember
from services.inventory.store.tables import (
    Certificate,
    Lineage,
    PlaceRow,
    Replacement,
    ServingRow,
    Sighting,
    TimelineRow,
)

Scope = frozenset[str] | None
Conditions = Sequence[sa.ColumnElement[bool]]
Fingerprint = Mapped[str] | Mapped[str | None]


def visible_certificates(scope: Scope) -> Conditions:
    """Return what limits a statement over `Certificate`."""
    return () if scope is None else (_is_in(scope, col(Certificate.fingerprint)),)


def visible_places(scope: Scope) -> Conditions:
    """Return what limits a statement over `PlaceRow` joined with `Sighting`.

    A place is seen with what is there now; one where nothing is any more, with what was there.
    """
    if scope is None:
        return ()
    is_gone = col(Sighting.fingerprint).is_(None)
    return (sa.or_(_is_in(scope, col(Sighting.fingerprint)), sa.and_(is_gone, _has_served(scope))),)


def visible_lost_places(scope: frozenset[str]) -> Conditions:
    """Return what limits a statement over `PlaceRow` joined with `Sighting` to those of `visible_places` where nothing is any more."""
    return (col(Sighting.fingerprint).is_(None), _has_served(scope))


def visible_servings(scope: Scope) -> Conditions:
    """Return what limits a statement over `ServingRow`."""
    return () if scope is None else (_is_in(scope, col(ServingRow.fingerprint)),)


def visible_lineages(scope: Scope) -> Conditions:
    """Return what limits a statement over `Lineage`: one of its certificates is seen."""
    if scope is None:
        return ()
    members = _some(Certificate.fingerprint).where(
        col(Certificate.lineage_id) == col(Lineage.id), *visible_certificates(scope)
    )
    return (members.correlate(Lineage).exists(),)


def visible_entries(scope: Scope) -> Conditions:
    """Return what limits a statement over the `TimelineRow`s of a lineage that is seen."""
    if scope is None:
        return ()
    fingerprint = col(TimelineRow.fingerprint)
    return (sa.or_(fingerprint.is_(None), _is_in(scope, fingerprint)),)


def visible_replacements(scope: Scope) -> Conditions:
    """Return what limits a statement over `Replacement`: the old one or the new one is seen."""
    if scope is None:
        return ()
    both = (col(Replacement.old_fingerprint), col(Replacement.fingerprint))
    return (sa.or_(*(_is_in(scope, fingerprint) for fingerprint in both)),)


def visible_exceptions(scope: Scope) -> Conditions:
    """Return what limits a statement over `ExceptionRow`: what it is for is seen. What a query finds is for who sees all."""
    if scope is None:
        return ()
    kind, value = col(ExceptionRow.scope), col(ExceptionRow.scope_value)
    there = _some(Sighting.place_id).where(
        col(Sighting.place_id) == value, _is_in(scope, col(Sighting.fingerprint))
    )
    is_seen = (
        sa.and_(kind == ScopeKind.GROUP, value.in_(sorted(scope))),
        sa.and_(kind == ScopeKind.CERTIFICATE, _is_in(scope, value)),
        sa.and_(kind == ScopeKind.PLACE, there.correlate(ExceptionRow).exists()),
    )
    return (sa.or_(*is_seen),)


def _is_in(scope: frozenset[str], fingerprint: Fingerprint) -> sa.ColumnElement[bool]:
    group, groups = col(GroupMember.group_id), sorted(scope)
    # A statement with `IN` is another one for each number of values; most who are limited are limited to one group.
    is_one = group == groups[0] if len(groups) == 1 else group.in_(groups)
    members = _some(GroupMember.fingerprint).where(col(GroupMember.fingerprint) == fingerprint, is_one)
    return members.correlate_except(GroupMember).exists()


def _has_served(scope: frozenset[str]) -> sa.ColumnElement[bool]:
    served = _some(ServingRow.place_id).where(
        col(ServingRow.place_id) == col(PlaceRow.id), *visible_servings(scope)
    )
    return served.correlate(PlaceRow).exists()


def _some(column: Any) -> sa.Select[Any]:
    return sa.select(col(column))
