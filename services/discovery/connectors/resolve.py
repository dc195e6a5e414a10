"""Host names to addresses, by the system's own resolver."""

import asyncio
import socket
from collections.abc import Iterable


async def resolve(hosts: Iterable[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return the addresses of each host, and the reasons of those that have none."""
    names = list(dict.fromkeys(hosts))
    answers = await asyncio.gather(*(_one(name) for name in names))
    found = {name: answer for name, answer in zip(names, answers, strict=True) if isinstance(answer, list)}
    failed = {name: answer for name, answer in zip(names, answers, strict=True) if isinstance(answer, str)}
    return found, failed


async def _one(name: str) -> list[str] | str:
    loop = asyncio.get_running_loop()
    try:
        entries = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as error:
        return error.strerror or str(error)
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))
