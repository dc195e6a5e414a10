"""`python -m bench.sources.bare GROUP.json`: logs into each host and runs what the platform runs there; keeps nothing."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncssh

from services.discovery.connectors.linux_files import find_files, find_keys, show_files
from tests.servers.ssh_fleet import PATH

AT_ONCE = 16
"""As many as one process of discovery reads at a time."""
COMMAND = "/bin/sh -s"
SCRIPTS = (
    find_files(["/etc/ssl"], most=5001),
    find_keys(["/etc/ssl"]),
    "hostname -I 2>/dev/null; exit 0\n",
    show_files([PATH], passwords=()),
)


async def main(group: Mapping[str, Any]) -> int:
    """Read every host; return how many have shown a certificate."""
    settings, hosts = group["settings"], [each["settings"]["host"] for each in group["sources"]]
    key = asyncssh.import_private_key(group["credential"]["private_key"])
    host_key = asyncssh.import_public_key(settings["host_key"])
    room = asyncio.Semaphore(AT_ONCE)

    async def read(host: str) -> bool:
        async with (
            room,
            asyncssh.connect(
                host,
                settings["port"],
                username=settings["username"],
                client_keys=[key],
                known_hosts=([host_key], [], []),
                config=None,
                agent_path=None,
            ) as connection,
        ):
            said = b""
            for script in SCRIPTS:
                done = await connection.run(COMMAND, input=script.encode(), encoding=None)
                said = bytes(done.stdout or b"")  # type: ignore[arg-type]  # bytes, without an encoding
            return b"-----BEGIN CERTIFICATE-----" in said

    return sum(await asyncio.gather(*map(read, hosts)))


if __name__ == "__main__":
    print(asyncio.run(main(json.loads(Path(sys.argv[1]).read_text()))))
