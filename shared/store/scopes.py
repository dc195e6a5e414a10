"""Which rows are in a caller's scope, in SQL: pages and counts leave out the others, and stay whole.

An object that people configure has its groups in its own row, as a list of `Json`. What hangs on an
object of another service is in the groups that events have told of that: `ToldGroups`.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from shared.store import Instant, Transaction, insert, write_rows

Scope = Collection[str] | None
"""Groups; None is everything (`shared.access.Principal.scope`)."""
_AT_ONCE = 500
"""Values in a list of one statement."""


def within(groups: Any, scope: Scope) -> sa.ColumnElement[bool]:
    """Return the condition that a column of groups has one of the scope's."""
    if scope is None:
        return sa.true()
    return _Shares(groups, *(sa.literal(each, sa.String()) for each in sorted(scope)))


class _Shares(FunctionElement[bool]):
    """A `Json` list of texts, its first argument, has one of the texts that follow."""

    inherit_cache = True
    type = sa.Boolean()
    name = "shares"


@compiles(_Shares, "sqlite")
def _sqlite(element: _Shares, compiler: SQLCompiler, **given: Any) -> str:
    groups, wanted = _arguments(element, compiler, given)
    return f"EXISTS (SELECT 1 FROM json_each({groups}) WHERE value IN ({wanted}))"  # noqa: S608 - both are compiled


@compiles(_Shares, "postgresql")
def _postgresql(element: _Shares, compiler: SQLCompiler, **given: Any) -> str:
    groups, wanted = _arguments(element, compiler, given)
    return f"({groups} ?| CAST(ARRAY[{wanted}] AS TEXT[]))"


def _arguments(element: _Shares, compiler: SQLCompiler, given: dict[str, Any]) -> tuple[str, str]:
    groups, *wanted = (compiler.process(each, **given) for each in element.clauses)
    return groups, ", ".join(wanted)


class ToldGroups:
    """A table of the groups that objects of other services are in, as events have told of them.

    For each pair the latest word holds, in whichever order events come.
    """

    def __init__(self, metadata: sa.MetaData) -> None:
        self._table = sa.Table(
            "told_groups",
            metadata,
            sa.Column("object_id", sa.String(120), primary_key=True),
            sa.Column("group_id", sa.String(100), primary_key=True),
            sa.Column("is_member", sa.Boolean, nullable=False),
            sa.Column("told_at", Instant, nullable=False),
            sa.Index("ix_told_groups_group_id", "group_id", "object_id"),
        )

    async def tell(
        self,
        tx: Transaction,
        group_id: str,
        *,
        joined: Iterable[str] = (),
        left: Iterable[str] = (),
        at: datetime,
    ) -> None:
        """Take in that objects have come into a group, or have left it."""
        told = {**dict.fromkeys(left, False), **dict.fromkeys(joined, True)}
        await self._keep(tx, {(object_id, group_id): told[object_id] for object_id in told}, at=at)

    async def add(self, tx: Transaction, object_id: str, groups: Iterable[str], *, at: datetime) -> None:
        """Take in that an object is in these groups; of others nothing is said."""
        await self._keep(tx, {(object_id, group_id): True for group_id in groups}, at=at)

    async def replace(
        self, tx: Transaction, object_id: str, groups: Collection[str], *, at: datetime
    ) -> None:
        """Take in that an object is in these groups and in no others."""
        left = dict.fromkeys(await self.of(tx.session, object_id), False)
        told = {**left, **dict.fromkeys(groups, True)}
        await self._keep(tx, {(object_id, group_id): told[group_id] for group_id in told}, at=at)

    async def _keep(self, tx: Transaction, told: dict[tuple[str, str], bool], *, at: datetime) -> None:
        row = insert(tx, self._table)
        latest = row.on_conflict_do_update(
            index_elements=["object_id", "group_id"],
            set_={"is_member": row.excluded.is_member, "told_at": row.excluded.told_at},
            where=self._table.c.told_at <= row.excluded.told_at,
        )
        # In the order of the keys, as everybody locks them.
        rows = [
            {
                "object_id": object_id,
                "group_id": group_id,
                "is_member": told[object_id, group_id],
                "told_at": at,
            }
            for object_id, group_id in sorted(told)
        ]
        await write_rows(tx, latest, rows)

    def within(self, object_id: Any, scope: Scope) -> sa.ColumnElement[bool]:
        """Return the condition that the object of a column is in one of the scope's groups."""
        if scope is None:
            return sa.true()
        told = self._table.c
        is_in = (told.object_id == object_id, told.is_member, told.group_id.in_(sorted(scope)))
        return sa.exists().where(*is_in)

    async def among(self, session: AsyncSession, objects: Collection[str], scope: Scope) -> set[str]:
        """Return those of some objects that are in one of the scope's groups."""
        if scope is None:
            return set(objects)
        told, wanted, found = self._table.c, sorted(objects), set[str]()
        for start in range(0, len(wanted), _AT_ONCE):
            some = told.object_id.in_(wanted[start : start + _AT_ONCE])
            query = sa.select(told.object_id).where(some, told.is_member, told.group_id.in_(sorted(scope)))
            found.update((await session.scalars(query)).all())
        return found

    def knows(self, object_id: Any) -> sa.ColumnElement[bool]:
        """Return the condition that something was told of the object of a column."""
        return sa.exists().where(self._table.c.object_id == object_id)

    async def of(self, session: AsyncSession, object_id: str) -> frozenset[str]:
        """Return the groups that an object is in."""
        told = self._table.c
        query = sa.select(told.group_id).where(told.object_id == object_id, told.is_member)
        return frozenset((await session.scalars(query)).all())

    async def of_each(self, session: AsyncSession, objects: Collection[str]) -> dict[str, frozenset[str]]:
        """Return the groups that each of some objects is in."""
        told, wanted = self._table.c, sorted(objects)
        found: dict[str, set[str]] = {object_id: set() for object_id in wanted}
        for start in range(0, len(wanted), _AT_ONCE):
            some = told.object_id.in_(wanted[start : start + _AT_ONCE])
            query = sa.select(told.object_id, told.group_id).where(some, told.is_member)
            for object_id, group_id in (await session.execute(query)).all():
                found[object_id].add(group_id)
        return {object_id: frozenset(groups) for object_id, groups in found.items()}
