"""How a service's store tells numbers to Prometheus, and what several of them have in common."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True)
class Family:
    """Numbers of one meaning, told apart by their labels."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()

    def of(self, *labels: str, value: float) -> "Reading":
        """Return one of them; labels in the family's order."""
        return Reading(family=self, labels=labels, value=value)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A number, as it is now."""

    family: Family
    labels: tuple[str, ...]
    value: float


Measured = Callable[[AsyncSession, datetime], Awaitable[list[Reading]]]
"""Reads what a service tells of its state."""

WORK = Family(
    "everleaf_work",
    "Pieces of work that are due: held by a lease, or left: nobody has taken them up yet.",
    ("work", "state"),
)
OVERDUE = Family(
    "everleaf_work_overdue_seconds",
    "How long ago the oldest piece was due that nobody has taken up; 0 is well.",
    ("work",),
)


async def due_work(
    session: AsyncSession,
    work: str,
    *,
    due_at: Any,
    held_until: Any,
    now: datetime,
    where: Sequence[Any] = (),
) -> list[Reading]:
    """Count what is due by the columns that workers claim by; there must be an index on `due_at`.

    `held_until` is the end of its lease, where it has one.
    """
    is_held = sa.and_(held_until.is_not(None), held_until > now)
    query = sa.select(
        sa.func.count().filter(is_held),
        sa.func.count().filter(~is_held),
        sa.func.min(due_at).filter(~is_held),
    ).where(due_at <= now, *where)
    held, left, oldest = (await session.execute(query)).one()
    age = (now - oldest).total_seconds() if oldest is not None else 0
    return [
        WORK.of(work, "held", value=held),
        WORK.of(work, "left", value=left),
        OVERDUE.of(work, value=max(age, 0)),
    ]


async def by_state(
    session: AsyncSession, family: Family, state: Any, *, states: Sequence[str], where: Sequence[Any] = ()
) -> list[Reading]:
    """Count rows in each of these states; there must be an index on the state."""
    query = sa.select(state, sa.func.count()).where(state.in_(states), *where).group_by(state)
    found = {row[0]: row[1] for row in await session.execute(query)}
    return [family.of(each, value=found.get(each, 0)) for each in states]
