"""The verbs on change windows and freezes: make known, look at, change, forget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.provisioner import store
from services.provisioner.actions.scopes import Scope, require_scope, sees_scope
from services.provisioner.domain.windows import Weekly, check_weekly, read_time_zone
from shared.access import Principal
from shared.errors import Invalid, NotFound
from shared.http import check_if_match
from shared.ids import new_id
from shared.store import Database, Transaction


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


@dataclass(frozen=True, kw_only=True)
class WindowChange:
    """What is to be changed; None leaves it as it is. For which targets it is stays."""

    name: str | None = None
    time_zone: str | None = None
    weekly: Sequence[Weekly] | None = None


@dataclass(frozen=True, kw_only=True)
class FreezeChange:
    """What is to be changed; None leaves it as it is. For which targets it is stays."""

    reason: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None


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
        _check_span(new.starts_at, new.ends_at)
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
            await require_scope(tx.session, _scope(row), caller=caller)
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
            if row is None or not await sees_scope(session, _scope(row), caller=caller):
                raise _unknown(row_id)
            return row

    async def change(
        self,
        window_id: str,
        change: WindowChange,
        *,
        if_match: str | None,
        caller: Principal,
        now: datetime,
    ) -> store.ChangeWindow:
        """Change a window: what has waited for it is looked at anew. Raises `NotFound`, `Forbidden`, `Stale` or `Invalid`."""
        async with self._database.transaction() as tx:
            row = await self._to_change(tx, store.ChangeWindow, window_id, if_match=if_match, caller=caller)
            row.version += 1
            row.name = change.name or row.name
            if change.time_zone is not None:
                row.time_zone = read_time_zone(change.time_zone)
            if change.weekly is not None:
                check_weekly(change.weekly)
                row.weekly = [_kept(each) for each in change.weekly]
            await self._changed(tx, now=now)
        return row

    async def change_freeze(
        self,
        freeze_id: str,
        change: FreezeChange,
        *,
        if_match: str | None,
        caller: Principal,
        now: datetime,
    ) -> store.Freeze:
        """Change a freeze: what has waited for its end is looked at anew. Raises `NotFound`, `Forbidden`, `Stale` or `Invalid`."""
        async with self._database.transaction() as tx:
            row = await self._to_change(tx, store.Freeze, freeze_id, if_match=if_match, caller=caller)
            row.version += 1
            row.reason = change.reason or row.reason
            row.starts_at, row.ends_at = change.starts_at or row.starts_at, change.ends_at or row.ends_at
            _check_span(row.starts_at, row.ends_at)
            await self._changed(tx, now=now)
        return row

    async def _to_change(
        self,
        tx: Transaction,
        kind: type[store.Timing],
        row_id: str,
        *,
        if_match: str | None,
        caller: Principal,
    ) -> store.Timing:
        row = await tx.session.get(kind, row_id, with_for_update=True)
        if row is None or not await sees_scope(tx.session, _scope(row), caller=caller):
            raise _unknown(row_id)
        await require_scope(tx.session, _scope(row), caller=caller)
        check_if_match(if_match, version=row.version)
        return row

    async def delete(
        self, kind: type[store.Timing], row_id: str, *, caller: Principal, now: datetime
    ) -> None:
        """Forget a window or a freeze: what has waited for it is looked at anew. Raises `NotFound` or `Forbidden`."""
        async with self._database.transaction() as tx:
            row = await self._to_change(tx, kind, row_id, if_match=None, caller=caller)
            await tx.session.delete(row)
            await self._changed(tx, now=now)

    async def _changed(self, tx: Transaction, *, now: datetime) -> None:
        await store.wake_timed(tx, now=now)
        tx.after_commit(self._ring)


def _scope(row: store.ChangeWindow | store.Freeze) -> Scope:
    return Scope(target_id=row.target_id, group=row.group)


def _check_span(starts_at: datetime, ends_at: datetime) -> None:
    if ends_at <= starts_at:
        raise Invalid("The freeze ends before it begins.", next_step="Give an end after its start.")


def _unknown(row_id: str) -> NotFound:
    return NotFound(f"There is nothing {row_id} here.", next_step="List what there is with GET.")


def _kept(weekly: Weekly) -> dict[str, Any]:
    return {
        "day": weekly.day,
        "start": weekly.start.isoformat(timespec="minutes"),
        "seconds": int(weekly.duration.total_seconds()),
    }
