"""The reading of logs over a database of the test's; `python -m tests.discovery.logreader URL` reads until killed."""

import asyncio
import ssl
import sys
from datetime import datetime, timedelta

from services.discovery import store
from services.discovery.actions.log_reads import LogNetwork, LogReads, ReadingPace
from services.discovery.actions.transparency import CtLogs, NewLog
from shared.access import Principal
from shared.clock import utc_now
from shared.outbound import Policy
from shared.store import Database
from tests.builders import LOOPBACK
from tests.servers.ct_log import CtLog

CALLER = Principal(id="tester", name="tester")
POLL = timedelta(minutes=1)


def reads_on(database: Database, *, requests_per_second: float = 10_000) -> LogReads:
    """Return the work on logs; they are at loopback."""
    network = LogNetwork(policy=Policy(allow=LOOPBACK), tls=ssl.create_default_context())
    pace = ReadingPace(requests_per_second=requests_per_second, poll=POLL)
    return LogReads(database, network=network, pace=pace, clock=utc_now)


async def configured(
    database: Database, log: CtLog, *suffixes: str, start: int | str = "beginning", key: bool = True
) -> store.CtLog:
    """Let a log be read for these suffixes."""
    new = NewLog(
        url=log.url,
        public_key=log.public_key if key else None,
        suffixes=suffixes or ["example.com"],
        start=start,
    )
    return await CtLogs(database).create(new, caller=CALLER, now=utc_now())


async def read_once(reads: LogReads, *, at: datetime | None = None) -> bool:
    """Read on in the log that is due, a turn long; return whether there was one."""
    claim = await reads.claim(now=at or utc_now())
    if claim is not None:
        await reads.run(claim)
    return claim is not None


async def main(url: str) -> None:
    """Read a log slowly, saying so as it begins."""
    database = Database(url, source="discovery")
    reads = reads_on(database, requests_per_second=50)
    while await read_once(reads):
        pass
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
