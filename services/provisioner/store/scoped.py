"""What holds for one target, for the targets of a group, or for all: for whom it does, and who sees it."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped
from sqlmodel import col

from services.provisioner.store.tables import Table, Target
from shared.store.scopes import Scope, within


def holds_for(kind: type[Table], *, target_id: str, groups: Collection[str]) -> sa.ColumnElement[bool]:
    """Return whether something of a kind holds for a target in these groups."""
    target, group = _columns(kind)
    return sa.or_(target == target_id, group.in_(sorted(groups)), _for_all(kind))


def in_scope(kind: type[Table], scope: Scope) -> sa.ColumnElement[bool]:
    """Return whether something of a kind is in a scope: what is for all targets is everybody's."""
    if scope is None:
        return sa.true()
    target, group = _columns(kind)
    seen = sa.select(col(Target.id)).where(within(Target.groups, scope))
    return sa.or_(_for_all(kind), group.in_(sorted(scope)), target.in_(seen))


def _for_all(kind: type[Table]) -> sa.ColumnElement[bool]:
    target, group = _columns(kind)
    return sa.and_(target.is_(None), group.is_(None))


def _columns(kind: Any) -> tuple[Mapped[Any], Mapped[Any]]:
    return col(kind.target_id), col(kind.group)
