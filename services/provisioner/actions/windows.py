"""The verbs on change windows and freezes: make known, look at, forget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.provisioner import store
from services.provisioner.actions.targets import found
from services.provisioner.domain.windows import Weekly, check_weekly, read_time_zone
from shared.access import Principal
from shared.errors import Forbidden, Invalid, NotFound
from shared.ids import new_id
from shared.store import Database, Transaction


@dataclass(frozen=True, kw_only=True)
class Scope:
    """For which targets: one, those of a group, or all."""

    target_id: str | None = None
    group: str | None = None


@dataclass(frozen=True, kw_only=True)
class NewWindow:
    """When targets may be changed."""

    name: str
    scope: Scope
    time_zone: str
    weekly: Sequence[Weekly]


@dataclass(frozen=True, kw_only=True)
class NewFreeze:
    """When targets are not changed, and why."""

    reason: str
    scope: Scope
    starts_at: datetime
    ends_at: datetime


class Windows:
    """When targets may be changed."""

    def __init__(self, database: Database, *, ring: Callable[[], None]) -> None:
        self._database = database
        self._ring = ring

    async def create(self, new: NewWindow, *, caller: Principal, now: datetime) -> store.ChangeWindow:
        """Make a window known. Raises `Invalid`, `NotFound` or `Forbidden`."""
        check_weekly(new.weekly)
        row = store.ChangeWindow(
            id=new_id(),
            name=new.name,
            target_id=new.scope.target_id,
            group=new.scope.group,
            time_zone=read_time_zone(new.time_zone),
            weekly=[_kept(each) for each in new.weekly],
            created_at=now,
            created_by=caller.id,
        )
        await self._keep(row, caller=caller, now=now)
        return row

    async def freeze(self, new: NewFreeze, *, caller: Principal, now: datetime) -> store.Freeze:
        """Make a freeze known. Raises `Invalid`, `NotFound` or `Forbidden`."""
        if new.ends_at <= new.starts_at:
            raise Invalid("The freeze ends before it begins.", next_step="Give an end after its start.")
        row = store.Freeze(
            id=new_id(),
            reason=new.reason,
            target_id=new.scope.target_id,
            group=new.scope.group,
            starts_at=new.starts_at,
            ends_at=new.ends_at,
            created_at=now,
            created_by=caller.id,
        )
        await self._keep(row, caller=caller, now=now)
        return row

    async def _keep(
        self, row: store.ChangeWindow | store.Freeze, *, caller: Principal, now: datetime
    ) -> None:
        async with self._database.transaction() as tx:
            await _require(tx.session, row, caller=caller)
            tx.session.add(row)
            await self._changed(tx, now=now)

    async def page(
        self, kind: type[store.Timing], *, after: str | None, limit: int, caller: Principal
    ) -> Sequence[store.Timing]:
        """Return windows or freezes that the caller sees, newest first, one more than `limit` where there are more."""
        async with self._database.read() as session:
            return await store.timings(session, kind, after=after, limit=limit, scope=caller.scope)

    async def get(self, kind: type[store.Timing], row_id: str, *, caller: Principal) -> store.Timing:
        """Return a window or a freeze. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await session.get(kind, row_id)
            if row is None or not await _sees(session, row, caller=caller):
                raise _unknown(row_id)
            return row

    async def delete(
        self, kind: type[store.Timing], row_id: str, *, caller: Principal, now: datetime
    ) -> None:
        """Forget a window or a freeze: what has waited for it is looked at anew. Raises `NotFound` or `Forbidden`."""
        async with self._database.transaction() as tx:
            row = await tx.session.get(kind, row_id, with_for_update=True)
            if row is None or not await _sees(tx.session, row, caller=caller):
                raise _unknown(row_id)
            await _require(tx.session, row, caller=caller)
            await tx.session.delete(row)
            await self._changed(tx, now=now)

    async def _changed(self, tx: Transaction, *, now: datetime) -> None:
        await store.wake_timed(tx, now=now)
        tx.after_commit(self._ring)


async def _require(
    session: AsyncSession, row: store.ChangeWindow | store.Freeze, *, caller: Principal
) -> None:
    """Raise where the caller may not say when these targets are changed."""
    if row.target_id is not None and row.group is not None:
        raise Invalid("It is for one target or for a group.", next_step="Leave one of the two out.")
    if row.target_id is not None:
        found(await session.get(store.Target, row.target_id), row.target_id, caller=caller)
    elif row.group is None and caller.scope is not None:
        raise Forbidden(
            f"{caller.name} may not say it for all targets.",
            next_step="Name a group of your own, or a target.",
        )
    elif row.group is not None and not caller.sees([row.group]):
        raise Forbidden(
            f"{caller.name} is not in {row.group}.", next_step="Name a group of your own, or a target."
        )


async def _sees(session: AsyncSession, row: store.ChangeWindow | store.Freeze, *, caller: Principal) -> bool:
    if row.target_id is not None:
        target = await session.get(store.Target, row.target_id)
        return target is not None and caller.sees(target.groups)
    return row.group is None or caller.sees([row.group])


def _unknown(row_id: str) -> NotFound:
    return NotFound(f"There is nothing {row_id} here.", next_step="List what there is with GET.")


def _kept(weekly: Weekly) -> dict[str, Any]:
    return {
        "day": weekly.day,
        "start": weekly.start.isoformat(timespec="minutes"),
        "seconds": int(weekly.duration.total_seconds()),
    }
