"""`python -m bench.sources.fleet COUNT GROUP.json`: so many SSH servers on loopback; says in a file how they are reached."""

import asyncio
import json
import resource
import sys
from pathlib import Path

from tests.servers.processes import free_port
from tests.servers.ssh_fleet import Fleet
from tests.servers.tls import CertificateAuthority


async def main(count: int, group: Path) -> None:
    """Listen until the process is ended."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    pem = CertificateAuthority().issue("fleet.test").chain_pem.decode()
    fleet = Fleet(port=free_port(), count=count, certificate=pem)
    async with fleet.running():
        partial = group.with_suffix(".part")
        partial.write_text(json.dumps(fleet.group()))
        partial.rename(group)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
