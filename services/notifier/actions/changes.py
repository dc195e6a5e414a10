"""Tells whoever looks on that something has changed, as it happens; what has, they ask for where it is."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta

import anyio

from services.notifier.actions.logs import Logs
from services.notifier.connectors.consumers import Item
from shared.access import Principal
from shared.clock import Clock

_AT_ONCE = 100


@dataclass(frozen=True, kw_only=True)
class Heard:
    """That something has happened: of which kind and about what, and no more than that."""

    type: str
    subject: str | None
    lineage_id: str | None


@dataclass(frozen=True, kw_only=True)
class Passed:
    """Up to which number all was looked at, and what was heard there, if anything."""

    number: int
    heard: Heard | None = None


class Changes:
    """What is kept for consumers, told to those who look on."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs

    async def listen(
        self, *, after: int | None, wait: timedelta, caller: Principal, clock: Clock
    ) -> AsyncGenerator[Passed]:
        """Yield what comes after a number, from now on where none is said, and end when it was waited for so long.

        First comes where that begins: who goes on from there later misses nothing. One who lags behind what is kept
        is told what is still there.
        """
        start = await self._logs.kept_until() if after is None else after
        yield Passed(number=start)
        # Without a scope of cancellation: none may be open where a generator yields (PEP 789).
        deadline = anyio.current_time() + wait.total_seconds()
        while True:
            items, start = await self._logs.heard(caller.scope, after=start, limit=_AT_ONCE, now=clock())
            for item in items:
                yield Passed(number=item.number, heard=_heard(item))
            if not items:
                if anyio.current_time() >= deadline:
                    return
                await self._logs.news()


def _heard(item: Item) -> Heard:
    event = json.loads(item.body)
    return Heard(type=item.type, subject=event.get("subject"), lineage_id=event["data"].get("lineage_id"))
