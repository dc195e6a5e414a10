"""`python -m bench.deploy.bare FLEET.json NEW.pem NEW.key`: uploads two files to each host and runs what the platform runs there.

It looks at nothing that is there, keeps no way back, remembers nothing, and does not see what is served.
"""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncssh

AT_ONCE = 10
"""As many as one process of the provisioner deploys at a time."""
COMMANDS = ("true", "true", "reload")
"""The test before, the test after, the reload."""


async def main(fleet: Sequence[Mapping[str, Any]], certificate: bytes, private_key: bytes) -> int:
    """Deploy to every host; return to how many."""
    room = asyncio.Semaphore(AT_ONCE)

    async def deploy(host: Mapping[str, Any]) -> bool:
        async with (
            room,
            asyncssh.connect(
                host["host"],
                host["port"],
                username=host["username"],
                client_keys=[asyncssh.import_private_key(host["private_key"])],
                known_hosts=([asyncssh.import_public_key(host["host_key"])], [], []),
                config=None,
                agent_path=None,
            ) as connection,
            connection.start_sftp_client() as sftp,
        ):
            files = {host["certificate_path"]: certificate, host["key_path"]: private_key}
            for path, content in files.items():
                async with sftp.open(f"{path}.new", "wb") as file:
                    await file.write(content)
            first, *others = COMMANDS
            done = [await connection.run(first)]
            for path in files:
                await sftp.posix_rename(f"{path}.new", path)
            done += [await connection.run(command) for command in others]
            return all(each.exit_status == 0 for each in done)

    return sum(await asyncio.gather(*map(deploy, fleet)))


if __name__ == "__main__":
    told, new, key = map(Path, sys.argv[1:4])
    print(asyncio.run(main(json.loads(told.read_text()), new.read_bytes(), key.read_bytes())))
