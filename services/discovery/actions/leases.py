"""How a piece of work is held while it is done, and let go of when its process is asked to end."""

from collections.abc import Awaitable, Callable

import anyio
import structlog

from shared.errors import Unavailable
from shared.store import is_away

log = structlog.get_logger(__name__)


async def while_held(
    work: Callable[[], Awaitable[object]],
    *,
    keep: Callable[[], Awaitable[bool]],
    let_go: Callable[[], Awaitable[None]],
    every: float,
) -> None:
    """Do the work, and stop in the middle as soon as it is no longer ours to do.

    `keep` prolongs the lease `every` so many seconds and returns whether it is still held; `let_go` gives it
    back, so that whoever goes on need not wait for it to run out. Where the database is away, the work is taken
    up again after its lease.
    """
    try:
        await _hold_and_work(work, keep=keep, let_go=let_go, every=every)
    except* (Unavailable, OSError) as group:
        log.warning("scan.interrupted", error=str(group.exceptions[0]))
    except* Exception as group:
        if not all(is_away(error) for error in group.exceptions):
            raise
        log.warning("scan.interrupted", error=str(group.exceptions[0]))


async def _hold_and_work(
    work: Callable[[], Awaitable[object]],
    *,
    keep: Callable[[], Awaitable[bool]],
    let_go: Callable[[], Awaitable[None]],
    every: float,
) -> None:
    async def hold() -> None:
        while True:
            await anyio.sleep(every)
            if not await keep():
                tasks.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hold)
            await work()
            tasks.cancel_scope.cancel()
    except anyio.get_cancelled_exc_class():
        with anyio.move_on_after(5, shield=True):
            await _unless_away(let_go)
        raise
    await _unless_away(let_go)


async def _unless_away(let_go: Callable[[], Awaitable[None]]) -> None:
    try:
        await let_go()
    except Exception as error:
        if not is_away(error):
            raise
