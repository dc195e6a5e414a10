"""A simulated Windows host with a CA, whose database may be closed to the account."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from tests.discovery.workshops import Workshop
from tests.discovery.workshops.windows_ssh import Host
from tests.servers.windows import Request, WindowsHost


class Authority(Host):
    """One CA; `put` issues, and leaves gaps in the numbers as failed requests do."""

    kind = "adcs"

    def put(self, count: int) -> Mapping[str, str]:
        """Issue so many."""
        put, requests = {}, self._host.state.requests
        for _ in range(count):
            number = requests[-1].id + 2 if requests else 2
            issued = self._host.authority.issue(f"issued{number}.test")
            requests.append(Request(id=number, der=issued.certificate.public_bytes(Encoding.DER)))
            put[f"issued/{number}"] = issued.fingerprint
        return put

    def forbid(self) -> frozenset[str]:
        """Close the database."""
        self._host.state.refuses_database = True
        return frozenset(f"issued/{each.id}" for each in self._host.state.requests)


@asynccontextmanager
async def workshop(_directory: Path) -> AsyncIterator[Workshop]:
    """Start one."""
    host = WindowsHost()
    await host.start()
    try:
        yield Authority(host)
    finally:
        await host.close()
