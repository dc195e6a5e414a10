"""Which objects a caller sees: what is not seen is answered like what is not there."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from services.renewal import store
from shared.access import Principal
from shared.errors import Forbidden, NotFound
from shared.groups import EVERYBODY, listed


def is_for(caller: Principal, row: store.Authority | store.Profile) -> bool:
    """Return whether an authority or a profile is in the caller's scope, or for everybody."""
    return EVERYBODY in row.groups or caller.sees(row.groups)


def require_own(row: store.Authority | store.Profile, *, caller: Principal) -> None:
    """Raise `Forbidden` where what the caller sees is the caller's as everybody's only: that is used, not changed."""
    if not caller.sees(row.groups):
        raise Forbidden(
            f"{row.name} is for everybody, and in none of your groups.",
            next_step="Ask an administrator whose roles are not limited to groups.",
        )


def put_into(row: store.Authority | store.Profile, groups: Sequence[str], *, caller: Principal) -> None:
    """Put what the caller sees into these groups. Raises `Forbidden` where it is the caller's as everybody's only."""
    require_own(row, caller=caller)
    row.groups = listed(caller.grouped(groups, before=row.groups))


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
