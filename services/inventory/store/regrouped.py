"""Which lineages' groups may have changed, and what others were told of them.

A lineage is in the groups of its certificates. Triggers of the database mark it when a certificate is put
into a group, is taken out of one, or comes to another lineage (migration 0011).
"""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.inventory.store.organised import GroupMember, GroupRow
from services.inventory.store.tables import Certificate, Table
from shared.store import Transaction, insert, write_rows
from shared.store.parameters import table_of

Pairs = set[tuple[str, str]]
"""Of lineage and group."""


class RegroupedRow(Table, table=True):
    """A lineage that was marked."""

    __tablename__ = "regrouped"

    lineage_id: str = Field(primary_key=True, max_length=100)
    marks: int = 1
    """Counted up so that a mark that comes while another one is worked off is not lost."""


class LineageGroup(Table, table=True):
    """What was told last: the lineage is in the group."""

    __tablename__ = "lineage_groups"

    lineage_id: str = Field(primary_key=True, max_length=100)
    group_id: str = Field(primary_key=True, max_length=100)


async def begin(tx: Transaction, fingerprint: str, groups: Collection[str]) -> None:
    """Put a certificate into those of these groups whose members are put there by hand; rules find theirs by themselves."""
    if not groups:
        return
    await tx.session.flush()  # what marks the lineage looks for the certificate's row
    by_hand = sa.select(col(GroupRow.id), sa.literal(fingerprint))
    by_hand = by_hand.where(col(GroupRow.id).in_(groups), col(GroupRow.kind) == "hand")
    rows = insert(tx, GroupMember).from_select(["group_id", "fingerprint"], by_hand)
    await tx.session.execute(rows.on_conflict_do_nothing())


async def begin_all(tx: Transaction, pairs: Sequence[tuple[str, str]]) -> None:
    """Put certificates into groups, given as group and fingerprint, where members are put there by hand."""
    if not pairs:
        return
    given = table_of(tx, {"group_id": sa.Text, "fingerprint": sa.Text}, pairs)
    by_hand = sa.select(given.c.group_id, given.c.fingerprint).join(
        GroupRow, sa.and_(col(GroupRow.id) == given.c.group_id, col(GroupRow.kind) == "hand")
    )
    rows = insert(tx, GroupMember).from_select(["group_id", "fingerprint"], by_hand.where(sa.true()))
    await tx.session.execute(rows.on_conflict_do_nothing())


async def is_any(session: AsyncSession) -> bool:
    """Return whether a lineage is marked."""
    return await session.scalar(sa.select(col(RegroupedRow.lineage_id)).limit(1)) is not None


async def take(tx: Transaction, *, limit: int) -> Sequence[str]:
    """Take some marks away and return whose they were; those that others work on are left out."""
    query = sa.select(col(RegroupedRow.lineage_id)).order_by(col(RegroupedRow.lineage_id)).limit(limit)
    ids = (await tx.session.scalars(query.with_for_update(skip_locked=True))).all()
    away = sa.delete(RegroupedRow).where(col(RegroupedRow.lineage_id).in_(ids))
    await tx.session.execute(away.execution_options(synchronize_session=False))
    return ids


async def present(session: AsyncSession, lineages: Collection[str]) -> Pairs:
    """Return the groups that these lineages are in."""
    query = (
        sa.select(col(Certificate.lineage_id), col(GroupMember.group_id))
        .join(GroupMember, col(GroupMember.fingerprint) == col(Certificate.fingerprint))
        .where(col(Certificate.lineage_id).in_(lineages))
        .distinct()
    )
    return {(lineage, group) for lineage, group in (await session.execute(query)).all()}


async def told(session: AsyncSession, lineages: Collection[str]) -> Pairs:
    """Return the groups that these lineages were told to be in."""
    query = sa.select(col(LineageGroup.lineage_id), col(LineageGroup.group_id))
    query = query.where(col(LineageGroup.lineage_id).in_(lineages))
    return {(lineage, group) for lineage, group in (await session.execute(query)).all()}


async def keep_told(tx: Transaction, *, joined: Pairs, left: Pairs) -> None:
    """Remember what is told."""
    rows = [{"lineage_id": lineage, "group_id": group} for lineage, group in sorted(joined)]
    await write_rows(tx, insert(tx, LineageGroup).on_conflict_do_nothing(), rows)
    away = sa.delete(LineageGroup).where(
        col(LineageGroup.lineage_id) == sa.bindparam("of_lineage"),
        col(LineageGroup.group_id) == sa.bindparam("of_group"),
    )
    gone = [{"of_lineage": lineage, "of_group": group} for lineage, group in sorted(left)]
    await write_rows(tx, away, gone)
