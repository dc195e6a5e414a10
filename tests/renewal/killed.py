"""A renewal service that kills itself: `python -m tests.renewal.killed FOLDER PORT STEP`; `-` is no step."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from services.renewal.actions.attempt import Attempt
from services.renewal.connectors import Issued, Pending
from services.renewal.service import build
from tests.builders import surroundings


def kill_after(step: str) -> None:
    """Die when the step is done at the authority and nothing of it is kept here."""
    advance = Attempt._advance

    async def deadly(attempt: Attempt, *args: Any, **kwargs: Any) -> Any:
        told = await advance(attempt, *args, **kwargs)
        if done(told) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return told

    Attempt._advance = deadly  # type: ignore[method-assign,assignment] # dies where the real one returns


def done(told: Pending | Issued) -> str:
    return "download" if isinstance(told, Issued) else told.step


async def main(folder: Path, *, port: str) -> None:
    environ = {
        "EVERLEAF_RENEWAL_HTTP01_LISTEN": f"127.0.0.1:{port}",
        "EVERLEAF_RENEWAL_RETRY_AFTER": "0.2",
    }
    around = surroundings(folder, environ=environ)
    async with build(around) as service:
        await around.bus.declare(service.queues)
        await service.work()


if __name__ == "__main__":
    kill_after(sys.argv[3])
    asyncio.run(main(Path(sys.argv[1]), port=sys.argv[2]))
