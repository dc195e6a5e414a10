"""Which objects a caller sees: what is not seen is answered like what is not there."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from services.provisioner import store
from services.provisioner.actions.targets import found
from shared.access import Principal
from shared.errors import Forbidden, Invalid, NotFound


@dataclass(frozen=True, kw_only=True)
class Scope:
    """For which targets something holds: for one, for those of a group, or for all."""

    target_id: str | None = None
    group: str | None = None


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


async def require_scope(session: AsyncSession, scope: Scope, *, caller: Principal) -> None:
    """Raise `Invalid`, `NotFound` or `Forbidden` where the caller may not say something for these targets."""
    if scope.target_id is not None and scope.group is not None:
        raise Invalid("It is for one target or for a group.", next_step="Leave one of the two out.")
    if scope.target_id is not None:
        found(await session.get(store.Target, scope.target_id), scope.target_id, caller=caller)
    elif scope.group is None and caller.scope is not None:
        raise Forbidden(
            f"{caller.name} may not say it for all targets.",
            next_step="Name a group of your own, or a target.",
        )
    elif scope.group is not None and not caller.sees([scope.group]):
        raise Forbidden(
            f"{caller.name} is not in {scope.group}.", next_step="Name a group of your own, or a target."
        )


async def sees_scope(session: AsyncSession, scope: Scope, *, caller: Principal) -> bool:
    """Return whether a caller sees what holds for these targets: what is for all is everybody's."""
    if scope.target_id is not None:
        target = await session.get(store.Target, scope.target_id)
        return target is not None and caller.sees(target.groups)
    return scope.group is None or caller.sees([scope.group])
