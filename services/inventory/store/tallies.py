"""Counts that are kept on PostgreSQL: how many certificates and places have which value, of all and of each group.

Triggers write down by how much each write changes a count (migration 0012), and `fold` adds that up a moment later. Who reads
adds what is not folded yet in the same statement, so that a count is exact whenever it is asked for, and writers never wait for
one another.

The count of a group is a sum over its members of the facts about them. A transaction that writes a fact need not see a member
that another one adds at the same time, nor the other way round; both are written down though, and how both are now is known to
who folds. So the change is taken apart as

    facts' · members' - facts · members  =  Δfacts · members  +  facts' · Δmembers

where `members` are those there are now without those that are written down. This holds within one snapshot of the database, which
is why all of it is one statement.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.inventory.store.tables import Table
from services.inventory.store.visibility import Scope
from shared.store import Transaction

EVERYTHING = ""
"""What all counts are kept of, as if it were a group."""
CURRENT = " current"
"""Certificates in use, as if they were a group: of them only findings are counted."""

Numbers = Mapping[str | None, int]
"""How many have which value; None is no value."""


class TallyRow(Table, table=True):
    """How many there were of something when it was folded last."""

    __tablename__ = "tallies"

    group_id: str = Field(primary_key=True, max_length=100)
    what: str = Field(primary_key=True, max_length=20)
    digest: bytes = Field(primary_key=True)
    """Of the value, which may be longer than an index takes; empty for none."""
    value: str | None = Field(default=None, sa_type=sa.Text)
    number: int = Field(sa_type=sa.BigInteger)


TALLY_CHANGES = sa.Table(
    "tally_changes",
    Table.metadata,
    sa.Column("group_id", sa.String(100)),
    sa.Column("fingerprint", sa.String(64)),
    sa.Column("what", sa.String(20)),
    sa.Column("value", sa.Text),
    sa.Column("delta", sa.Integer, nullable=False),
)
"""What is not folded yet: with `group_id`, that a certificate came into a group or left it; else, that there is more or less of
something, and of which certificate, where that may be in a group. Rows are only added and taken away, all that are seen at once."""

_DIFFERENCES = """
    joined AS (
        SELECT group_id, fingerprint, sum(delta) AS delta FROM taken WHERE group_id IS NOT NULL
        GROUP BY group_id, fingerprint HAVING sum(delta) <> 0
    ),
    said AS (
        SELECT fingerprint, what, value, sum(delta) AS delta FROM taken WHERE what IS NOT NULL AND fingerprint IS NOT NULL
        GROUP BY fingerprint, what, value HAVING sum(delta) <> 0
    ),
    differences AS (
        SELECT '' AS group_id, what, value, delta FROM taken WHERE what IS NOT NULL
        UNION ALL
        SELECT group_id, what, value, delta FROM said JOIN group_members USING (fingerprint)
        UNION ALL
        SELECT ' current', what, value, delta FROM said JOIN certificates USING (fingerprint) WHERE is_current AND what = 'finding'
        UNION ALL
        SELECT group_id, what, value, - joined.delta * said.delta FROM said JOIN joined USING (fingerprint)
        WHERE group_id <> ' current' OR what = 'finding'
        UNION ALL
        SELECT group_id, fact.what, fact.value, delta FROM joined CROSS JOIN LATERAL (
            SELECT what, value FROM facts WHERE facts.fingerprint = joined.fingerprint OFFSET 0
        ) AS fact WHERE group_id <> ' current' OR fact.what = 'finding'
    )
"""
_FOLD = sa.text(f"""
    WITH taken AS (DELETE FROM tally_changes RETURNING *),
    {_DIFFERENCES},
    folded AS (
        INSERT INTO tallies (group_id, what, digest, value, number)
        SELECT group_id, what, tally_digest(value), value, sum(delta) FROM differences
        GROUP BY group_id, what, value HAVING sum(delta) <> 0
        ON CONFLICT (group_id, what, digest) DO UPDATE SET number = tallies.number + excluded.number
        RETURNING group_id, what, digest, number
    )
    SELECT group_id, what, digest FROM folded WHERE number = 0
""")  # noqa: S608 - nothing in it comes from outside
_NUMBERS = f"""
    WITH taken AS (SELECT * FROM tally_changes),
    {_DIFFERENCES},
    shared AS (
        SELECT fingerprint, 1 - count(*) AS delta FROM group_members WHERE :is_together AND group_id = ANY(:of)
        GROUP BY fingerprint HAVING count(*) > 1
    ),
    numbers AS (
        SELECT group_id, what, value, number FROM tallies WHERE group_id = ANY(:of) AND what = ANY(:whats)
        UNION ALL SELECT group_id, what, value, delta FROM differences WHERE group_id = ANY(:of) AND what = ANY(:whats)
        UNION ALL SELECT '', fact.what, fact.value, delta FROM shared CROSS JOIN LATERAL (
            SELECT what, value FROM facts WHERE facts.fingerprint = shared.fingerprint AND what = ANY(:whats) OFFSET 0
        ) AS fact
    )
"""  # noqa: S608 - nothing in it comes from outside
"""A certificate that is in several of the groups is counted in each of them, and taken away but for once."""
_OF_ALL = """
    WITH numbers AS (
        SELECT group_id, what, value, number FROM tallies WHERE group_id = ANY(:of) AND what = ANY(:whats)
        UNION ALL SELECT '', what, value, delta FROM tally_changes WHERE what = ANY(:whats)
    )
"""
"""The same of everything alone, for which nobody has to know who is in which group."""
_ALL = (EVERYTHING,)
Groups = Sequence[str]
"""Whose counts are asked for; a certificate in several of them counts once."""


def are_kept(session: AsyncSession) -> bool:
    """Return whether counts are kept: on PostgreSQL."""
    return bool(session.get_bind().dialect.name == "postgresql")


def kept_for(session: AsyncSession, scope: Scope) -> Groups | None:
    """Return the groups whose counts are what a scope sees, or None where they have to be counted."""
    if not are_kept(session):
        return None
    return _ALL if scope is None else sorted(scope)


async def numbers(session: AsyncSession, of: Groups, *whats: str) -> Mapping[str, Numbers]:
    """Return how many there are in groups, of each kind of fact by its values."""
    query = (
        "SELECT what, value, sum(number) AS number FROM numbers GROUP BY what, value HAVING sum(number) <> 0"
    )
    found: dict[str, dict[str | None, int]] = {what: {} for what in whats}
    for row in await _rows(session, query, of=of, whats=whats):
        found[row.what][row.value] = int(row.number)
    return found


async def totals(session: AsyncSession, groups: Collection[str]) -> Mapping[str, int]:
    """Return how many certificates are in each of some groups."""
    query = "SELECT group_id, sum(number) AS number FROM numbers GROUP BY group_id HAVING sum(number) <> 0"
    rows = await _rows(session, query, of=list(groups), whats=["all"], is_together=False)
    return {row.group_id: int(row.number) for row in rows}


async def until(session: AsyncSession, of: Groups, what: str, days: Sequence[date]) -> Sequence[int]:
    """Return how many certificates end between the first of some days and each of the others, both included."""
    first, *others = (day.isoformat() for day in days)
    sums = ", ".join(
        f"coalesce(sum(number) FILTER (WHERE value <= :day_{at}), 0)" for at, _ in enumerate(others)
    )
    query = f"SELECT {sums} FROM numbers WHERE value >= :first"  # noqa: S608 - numbered parameters
    more: dict[str, Any] = {"first": first, **{f"day_{at}": day for at, day in enumerate(others)}}
    [row] = await _rows(session, query, of=of, whats=[what], **more)
    return [int(number) for number in row]


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What is made of the values of a kind of fact, to be counted by it."""

    what: str
    value: str = "value"
    """In SQL."""
    has_none: bool = True
    """Whether what has no value is counted too."""


async def commonest(
    session: AsyncSession, of: Groups, counted: Counted, *, limit: int
) -> Sequence[sa.Row[Any]]:
    """Return `value`, `number` and how many `distinct` values there are: none first, then the commonest."""
    query = f"""
        SELECT value, CAST(sum(number) AS bigint) AS number, count(*) OVER () AS distinct
        FROM (SELECT {counted.value} AS value, number FROM numbers) AS valued
        WHERE {counted.has_none} OR value IS NOT NULL GROUP BY value HAVING sum(number) <> 0
        ORDER BY value IS NULL DESC, sum(number) DESC, value LIMIT :limit
    """  # noqa: S608 - our constants
    return await _rows(session, query, of=of, whats=[counted.what], limit=limit)


async def _rows(
    session: AsyncSession,
    query: str,
    *,
    of: Groups,
    whats: Collection[str],
    is_together: bool = True,
    **more: Any,
) -> Sequence[sa.Row[Any]]:
    asked = {"of": list(of), "whats": list(whats), **more}
    if of == _ALL:
        return (await session.execute(sa.text(f"{_OF_ALL} {query}"), asked)).all()
    asked["is_together"] = is_together and len(of) > 1
    return (await session.execute(sa.text(f"{_NUMBERS} {query}"), asked)).all()


async def is_any_change(session: AsyncSession) -> bool:
    """Return whether anything is not folded yet."""
    if not are_kept(session):
        return False
    return await session.scalar(sa.select(TALLY_CHANGES.c.delta).limit(1)) is not None


async def fold(tx: Transaction) -> None:
    """Add up all that was written down. One may do so at a time: another one would take for there what the first takes away."""
    empty = (await tx.session.execute(_FOLD)).all()
    if empty:
        keys = sa.tuple_(col(TallyRow.group_id), col(TallyRow.what), col(TallyRow.digest))
        gone = sa.delete(TallyRow).where(keys.in_([tuple(row) for row in empty]))
        await tx.session.execute(gone.execution_options(synchronize_session=False))
