"""The baseline: the same requests, signed, by httpx and nothing else. `bare COUNT FOLDER PORT` prints what they took."""

import asyncio
import sys
from collections.abc import Iterator

import anyio
import httpx

from bench.alerts.telling import KEY, PARALLEL, content_of
from bench.issue.clock import timed
from shared.clock import utc_now
from shared.ids import new_id
from shared.webhooks import signed


async def main() -> None:
    """Send so many, as many at a time as the notifier does."""
    count, port = int(sys.argv[1]), int(sys.argv[3])
    numbers = iter(range(count))
    with timed(count):
        async with httpx.AsyncClient() as client, asyncio.TaskGroup() as tasks:
            for _ in range(PARALLEL):
                tasks.create_task(_send(client, numbers, port))


async def _send(client: httpx.AsyncClient, numbers: Iterator[int], port: int) -> None:
    for number in numbers:
        content = content_of(number)
        headers = signed(content, message_id=new_id(), key=KEY, now=utc_now())
        headers |= {"Content-Type": "application/json"}
        answer = await client.post(f"http://127.0.0.1:{port}/", content=content, headers=headers)
        answer.raise_for_status()


if __name__ == "__main__":
    anyio.run(main, backend_options={"use_uvloop": True})
