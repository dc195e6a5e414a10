"""`python -m tests.provisioner.chaos.nursery DATABASE KEYS`: provisioners that are forked from one that has loaded everything.

Each line on stdin is a number: a provisioner is started that kills itself before the so-manieth thing it does, or never
where that is 0. Its process id is said, and after it has ended, by which signal or with which status.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from shared.store import Database
from tests.provisioner.chaos.settings import BRISK, CHAOS_SCHEDULE, VERIFY_FOR
from tests.provisioner.killed import Killing
from tests.provisioner.test_crashes import counting
from tests.provisioner.workshop import workshop


async def provision(path: str, keys: Path, kill_at: int) -> None:
    """Work off what is due, until SIGTERM, or SIGKILL."""
    is_told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, is_told.set)
    database = Database(f"sqlite:///{path}", source="provisioner")
    async with workshop(database, verify_for=VERIFY_FOR, schedule=CHAOS_SCHEDULE) as shop:
        shop.vault.keys_in = keys
        await shop.work.forget_leases()
        with counting(kill_at or None, Killing):
            while not is_told.is_set():
                claim = await shop.work.claim(now=shop.time())
                if claim is None:
                    await asyncio.sleep(BRISK)
                else:
                    await shop.work.run(claim)
    await database.close()


def main(path: str, keys: Path) -> None:
    """Start one provisioner after the other."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(provision(path, keys, int(line)))
            os._exit(0)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
