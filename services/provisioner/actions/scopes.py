"""Which objects a caller sees: what is not seen is answered like what is not there."""

from sqlalchemy.ext.asyncio import AsyncSession

from services.provisioner import store
from shared.access import Principal
from shared.errors import NotFound


async def sees_lineage(session: AsyncSession, lineage_id: str, *, caller: Principal) -> bool:
    """Return whether a lineage, and all that hangs on it, is in the caller's scope."""
    return caller.scope is None or caller.sees(await store.LINEAGES.of(session, lineage_id))


async def require_lineage(session: AsyncSession, lineage_id: str, *, caller: Principal) -> None:
    """Raise `NotFound` where a lineage is not in the caller's scope."""
    if not await sees_lineage(session, lineage_id, caller=caller):
        raise NotFound(
            f"There is no lineage {lineage_id}.",
            next_step="Name one of those that inventory lists at GET /v1/lineages.",
        )
