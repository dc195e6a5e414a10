"""When a target may be changed, by the windows and freezes that hold for it."""

from datetime import datetime, time, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from services.provisioner import store
from services.provisioner.domain.windows import Freeze, Opening, Weekly, Window, opening


async def opening_of(session: AsyncSession, target: store.Target, *, now: datetime) -> Opening:
    """Return when a target may be changed, now or later, and what stands in the way until then."""
    windows = await store.timings_of(session, store.ChangeWindow, target_id=target.id, groups=target.groups)
    freezes = await store.timings_of(session, store.Freeze, target_id=target.id, groups=target.groups)
    return opening(
        windows=[_window(row) for row in windows],
        freezes=[
            Freeze(reason=row.reason, starts_at=row.starts_at, ends_at=row.ends_at)
            for row in freezes
            if row.ends_at > now
        ],
        now=now,
    )


def _window(row: store.ChangeWindow) -> Window:
    return Window(
        name=row.name,
        time_zone=row.time_zone,
        weekly=[
            Weekly(
                day=each["day"],
                start=time.fromisoformat(each["start"]),
                duration=timedelta(seconds=each["seconds"]),
            )
            for each in row.weekly
        ],
    )
