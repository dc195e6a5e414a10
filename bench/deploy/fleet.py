"""`python -m bench.deploy.fleet COUNT FOLDER`: so many hosts on loopback, each with SSH and a TLS server; says in a file how they are reached."""

import asyncio
import json
import resource
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.provisioner.ssh_host import SshHost
from tests.servers.tls import CertificateAuthority

TOLD = "fleet.json"


class Host(SshHost):
    """One at an address of its own."""

    def __init__(self, certificate: Path, key: Path, *, address: str) -> None:
        super().__init__(certificate, key)
        self.host = address

    def told(self) -> dict[str, Any]:
        """Say how it is reached."""
        return {
            "host": self.host,
            "port": self.port,
            "tls_port": self.tls_port,
            "username": self.username,
            "host_key": self.host_key,
            "private_key": self.client_key,
            "certificate_path": str(self.certificate),
            "key_path": str(self.key),
        }


async def main(count: int, folder: Path) -> None:
    """Listen until the process is ended."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    ca = CertificateAuthority()
    async with AsyncExitStack() as running:
        hosts = []
        for number in range(count):
            address = f"127.2.{number // 250}.{number % 250 + 1}"
            files = ca.issue("shop.test").write(folder / address)
            hosts.append(Host(*files, address=address))
            await running.enter_async_context(hosts[-1].running())
        partial = folder / f"{TOLD}.part"
        partial.write_text(json.dumps([host.told() for host in hosts]))
        partial.rename(folder / TOLD)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
