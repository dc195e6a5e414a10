"""A provisioner that kills itself: `python -m tests.provisioner.killed DATABASE N`, a private key on stdin."""

import asyncio
import os
import signal
import sys

from shared.store import Database
from tests.provisioner.test_crashes import Countdown, counting
from tests.provisioner.workshop import workshop


class Killing(Countdown):
    """Kills the process before the nth thing that is done."""

    def __call__(self) -> None:
        try:
            super().__call__()
        except BaseException:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(path: str, kill_at: int) -> None:
    database = Database(f"sqlite:///{path}", source="provisioner")
    async with workshop(database) as shop:
        shop.vault.keys["order-1"] = sys.stdin.buffer.read()
        with counting(kill_at, Killing):
            await shop.work_off()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
