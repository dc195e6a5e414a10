"""Host names to addresses, and back, by the system's own resolver."""

import asyncio
import socket
from collections.abc import Iterable
from datetime import timedelta

import anyio

AT_ONCE = 32
MOST_ADDRESSES = 64
"""Of one name; what has more is not a server that anybody could look at one by one."""
PATIENCE = timedelta(seconds=10)


async def resolve(
    hosts: Iterable[str], *, patience: timedelta = PATIENCE
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return the addresses of each host, and the reasons of those that have none within `patience`."""
    found: dict[str, list[str]] = {}
    failed: dict[str, str] = {}
    waiting = iter(dict.fromkeys(hosts))
    # Threads of its own: a resolver that hangs must not hold up anything else of the process.
    threads = anyio.CapacityLimiter(AT_ONCE)

    async def lane() -> None:
        for host in waiting:
            answer = await _one(host, threads=threads, patience=patience)
            if isinstance(answer, str):
                failed[host] = answer
            else:
                found[host] = answer

    await asyncio.gather(*(lane() for _ in range(AT_ONCE)))
    return found, failed


async def _one(host: str, *, threads: anyio.CapacityLimiter, patience: timedelta) -> list[str] | str:
    try:
        with anyio.fail_after(patience.total_seconds()):
            entries = await anyio.to_thread.run_sync(
                _ask_system, host, limiter=threads, abandon_on_cancel=True
            )
    except TimeoutError:
        return "no answer from the resolver in time"
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error)
    return entries[:MOST_ADDRESSES] or "the name has no address"


def _ask_system(host: str) -> list[str]:
    entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


PATIENCE_BACK = timedelta(seconds=2)
"""Nobody has asked for these names: they are only one more way to know of them."""


async def resolve_back(
    addresses: Iterable[str], *, patience: timedelta = PATIENCE_BACK
) -> tuple[dict[str, str], bool]:
    """Return the name that reverse DNS has for each address that has one, and whether anybody answered at all."""
    found: dict[str, str] = {}
    waiting = iter(list(addresses))
    answers: list[bool] = []
    threads = anyio.CapacityLimiter(AT_ONCE)

    async def lane() -> None:
        for address in waiting:
            try:
                with anyio.fail_after(patience.total_seconds()):
                    found[address] = await anyio.to_thread.run_sync(
                        _ask_back, address, limiter=threads, abandon_on_cancel=True
                    )
                answers.append(True)
            except TimeoutError:
                answers.append(False)
            except OSError:
                answers.append(True)

    await asyncio.gather(*(lane() for _ in range(AT_ONCE)))
    return found, any(answers)


def _ask_back(address: str) -> str:
    return socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0]
