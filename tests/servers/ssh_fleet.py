"""Many SSH servers on loopback in one process: they take one login, and answer what a Linux host is asked by rule."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncssh

USERNAME = "reader"
PATH = "/etc/ssl/fleet.pem"


@dataclass(kw_only=True)
class Fleet:
    """Hosts at 127.1.0.1 and following; the last of them hang, and those before refuse the login."""

    port: int
    count: int
    hanging: int = 0
    refusing: int = 0
    certificate: str = field(repr=False)
    """The PEM that each of them holds."""
    client_key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    host_keys: Sequence[asyncssh.SSHKey] = field(
        default_factory=lambda: [asyncssh.generate_private_key("ssh-ed25519")]
    )
    at_once: int = 0
    most_at_once: int = 0
    most_in_a_network: int = 0
    in_network: dict[str, int] = field(default_factory=dict)

    @property
    def addresses(self) -> list[str]:
        """Every host's address, about 250 in each /24."""
        return [f"127.1.{number // 250}.{number % 250 + 1}" for number in range(self.count)]

    @property
    def good(self) -> int:
        """How many of them can be read."""
        return self.count - self.hanging - self.refusing

    def group(self) -> dict[str, Any]:
        """Return them as the body of PUT /v1/source-groups/{group}."""
        host_key = self.host_keys[0].export_public_key().decode()
        settings = {
            "username": USERNAME,
            "port": self.port,
            "host_key": host_key,
            "folders": ["/etc/ssl"],
            "configurations": {},
        }
        sources = [{"name": f"fleet-{address}", "settings": {"host": address}} for address in self.addresses]
        credential = {"private_key": self.client_key.export_private_key().decode()}
        return {"kind": "linux-ssh", "settings": settings, "credential": credential, "sources": sources}

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Fleet"]:
        """Listen on all addresses."""
        async with AsyncExitStack() as opened:
            for number, address in enumerate(self.addresses):
                await self._start(opened, address, number=number)
            yield self

    async def _start(self, opened: AsyncExitStack, address: str, *, number: int) -> None:
        if number >= self.count - self.hanging:
            silent = await asyncio.start_server(_say_nothing, address, self.port)
            opened.callback(silent.close)
            return
        takes = number < self.good
        server = await asyncssh.listen(
            address,
            self.port,
            server_factory=lambda: _Host(self, address, takes_login=takes),
            server_host_keys=list(self.host_keys),
            process_factory=self._answer,
            encoding=None,
        )
        opened.callback(server.close)

    async def _answer(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        script = (await process.stdin.read()).decode()
        answer = ""
        if "show()" in script:
            answer = f"#F 644 root root 755 no pem {PATH}\n{self.certificate}\n"
        elif "head -n 5001" in script:
            answer = f"{PATH}\n"
        process.stdout.write(answer.encode())
        process.exit(0)


class _Host(asyncssh.SSHServer):
    def __init__(self, fleet: Fleet, address: str, *, takes_login: bool) -> None:
        self._fleet = fleet
        self._network = address.rpartition(".")[0]
        self._takes_login = takes_login

    def connection_made(self, _connection: asyncssh.SSHServerConnection) -> None:
        self._count(1)

    def connection_lost(self, _error: Exception | None) -> None:
        self._count(-1)

    def _count(self, change: int) -> None:
        fleet = self._fleet
        fleet.at_once += change
        fleet.in_network[self._network] = fleet.in_network.get(self._network, 0) + change
        fleet.most_at_once = max(fleet.most_at_once, fleet.at_once)
        fleet.most_in_a_network = max(fleet.most_in_a_network, fleet.in_network[self._network])

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        is_ours = key.public_data == self._fleet.client_key.public_data
        return self._takes_login and username == USERNAME and is_ours


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    while not reader.at_eof():
        await reader.read()
    writer.close()
