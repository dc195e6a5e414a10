"""How people have arranged what they look at."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store.tables import ArrangementRow


async def arrangement(session: AsyncSession, name: str, *, owner_id: str) -> ArrangementRow | None:
    """Return how somebody has arranged a page."""
    query = sa.select(ArrangementRow).where(
        col(ArrangementRow.owner_id) == owner_id, col(ArrangementRow.name) == name
    )
    found: ArrangementRow | None = await session.scalar(query)
    return found
