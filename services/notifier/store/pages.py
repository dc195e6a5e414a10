"""Lists, a page at a time."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession


async def page(
    session: AsyncSession, query: sa.Select[Any], identity: Any, *, after: str | None, limit: int
) -> Sequence[Any]:
    """Return up to `limit + 1` rows, newest first, that come after the one with this id."""
    if after is not None:
        query = query.where(identity < after)
    return (await session.scalars(query.order_by(identity.desc()).limit(limit + 1))).all()
