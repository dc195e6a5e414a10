"""One service in a process of its own: `python -m tests.journeys.alone NAME FOLDER PORT`, with `SIGNING_KEY` set.

`BUS` is RabbitMQ's address; without it the bus is the embedded one, in the folder.
"""

import asyncio
import os
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.program import service_module
from services.run import front_door, listen, serve
from shared.access import SigningKey
from shared.bus.rabbitmq import RabbitBus
from shared.bus.sqlite import SqliteBus
from tests import builders


async def main(name: str, folder: Path, port: int) -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(os.environ["SIGNING_KEY"]))
    builders.SIGNING_KEY = SigningKey(id="test", private=private)
    bus = RabbitBus(os.environ["BUS"]) if "BUS" in os.environ else SqliteBus(folder / "bus.db")
    around = builders.surroundings(folder, bus=bus)
    module = service_module(name)
    database = around.open_database(name, around.settings.load(module.SETTINGS, section=name))
    await module.SCHEMA.upgrade(database)
    await database.close()
    async with module.build(around) as service:
        await bus.declare(service.queues)
        await serve(front_door([service], bus), [service], listen("127.0.0.1", port))
    await bus.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
