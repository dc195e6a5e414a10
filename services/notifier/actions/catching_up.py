"""Tells a channel of the alerts that were open before it was there."""

from datetime import datetime

import structlog

from services.notifier import store
from services.notifier.actions import turns
from services.notifier.actions.channels import Channels
from shared.access import Principal
from shared.audit import Change
from shared.errors import Conflict
from shared.store import Database

log = structlog.get_logger(__name__)
BATCH = 200
"""Alerts that are held at once: whoever else would tell of one waits no longer than these take."""


class CatchingUp:
    """What makes a channel hear of what is open already."""

    def __init__(self, database: Database, channels: Channels) -> None:
        self._database = database
        self._channels = channels

    async def catch_up(self, channel_id: str, *, caller: Principal, now: datetime) -> int:
        """Tell a channel of open alerts that it has heard nothing of, where rules name it; return of how many.

        Each batch is a transaction of its own: what was told stays told where it ends early, and is not told again.
        Raises `NotFound`, or `Conflict` where the channel is off.
        """
        channel = await self._channels.get(channel_id, caller=caller)
        if not channel.enabled:
            raise Conflict(
                f"The channel {channel.name} is off, and tells nobody anything.",
                next_step="Enable it, and ask again.",
            )
        count, after = 0, ""
        while batch := await self._unheard(channel_id, after=after):
            count += await self._tell(channel_id, batch, now=now)
            after = max(batch)
        async with self._database.transaction() as tx:
            tx.record(
                Change(
                    kind="channel",
                    verb="caught_up",
                    id=channel_id,
                    name=channel.name,
                    groups=tuple(channel.groups),
                    after={"count": count},
                )
            )
        log.info("channel.caught_up", channel=channel_id, by=caller.id, count=count)
        return count

    async def _unheard(self, channel_id: str, *, after: str) -> dict[str, str]:
        async with self._database.read() as session:
            return dict(await store.unheard(session, channel_id, after=after, limit=BATCH))

    async def _tell(self, channel_id: str, batch: dict[str, str], *, now: datetime) -> int:
        async with self._database.transaction() as tx:
            await store.lock_subjects(tx, dict.fromkeys(batch.values()), now=now)
            alerts = await store.unheard_of(tx.session, channel_id, list(batch))
            return await turns.tell_newcomer(tx, alerts, channel_id, now=now)
