"""A simulated Windows host; one of its stores may be closed to the account."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from tests.discovery.workshops import Workshop
from tests.servers.windows import PASSWORD, USER, WindowsHost

STORES = ("My", "WebHosting", "Remote Desktop")


class Host:
    """One host; `put` fills its stores in turn."""

    kind = "windows-ssh"

    def __init__(self, host: WindowsHost) -> None:
        self._host = host
        self._put: list[str] = []
        self.settings: Mapping[str, Any] = {
            "host": "127.0.0.1",
            "port": host.port,
            "username": USER,
            "host_key": host.host_key,
        }
        self.credential: Mapping[str, Any] = {"password": PASSWORD}
        self.wrong_credential: Mapping[str, Any] = {"password": "Wrong-Pass-word-1"}

    def put(self, count: int) -> Mapping[str, str]:
        """Add so many."""
        put = {}
        for _ in range(count):
            store = STORES[len(self._put) % 3]
            issued = self._host.authority.issue(f"w{len(self._put)}.test")
            path = f"LocalMachine/{store}/{self._host.hold(store, issued)}"
            put[path] = issued.fingerprint
            self._put.append(path)
        return put

    def forbid(self) -> frozenset[str]:
        """Close one store."""
        self._host.state.forbidden.add("WebHosting")
        return frozenset(path for path in self._put if "/WebHosting/" in path)

    def state(self) -> object:
        """Return all that it holds, and how often it was told something else than to read."""
        return deepcopy(self._host.state), self._host.writes

    def stall(self) -> None:
        """Say nothing any more."""
        self._host.stall()

    def stop(self) -> None:
        """Refuse connections."""
        self._host.stop()


@asynccontextmanager
async def workshop(_directory: Path) -> AsyncIterator[Workshop]:
    """Start one."""
    host = WindowsHost()
    await host.start()
    try:
        yield Host(host)
    finally:
        await host.close()
