"""What the rows `ingest.*` need: a broker, a PostgreSQL, inventories and queues in them, and what they all take."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from bench.ingest import bare
from bench.ingest.telling import told
from bench.measure import NotMeasured, cpu_of, measure
from bench.rows import Sample
from services.inventory.service import SCHEMA
from shared.bus import Message, Queue
from shared.bus.rabbitmq import RabbitBus
from shared.events.discovery import CertificateFound
from shared.store import Database
from tests.servers.postgres import OwnDatabase, Postgres
from tests.servers.processes import MissingServer
from tests.servers.rabbitmq import RabbitMQ

LIMIT = timedelta(minutes=10)
QUEUE = Queue(name="inventory.events", types=(CertificateFound.type,))
_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True)
class Servers:
    """What runs, and where files go."""

    postgres: Postgres
    rabbitmq: RabbitMQ
    folder: Path

    def run(self, module: str, *arguments: object, count: int) -> Sample:
        """Let a program do its work, and return what it took."""
        before = self._cpu()
        sample = ran(self.folder, module, *arguments, count=count)
        return replace(sample, server_cpu=self._cpu() - before)

    def _cpu(self) -> float:
        return sum(cpu_of(server.pid) for server in (self.postgres, self.rabbitmq) if server.pid)

    def queue(self, looked: Sequence[Message]) -> str:
        """Return a bus on which these events wait."""
        url = self.rabbitmq.vhost("ingest").url
        asyncio.run(_publish(url, looked))
        return url

    def database(self) -> OwnDatabase:
        """Return an empty inventory, with the tables of the baseline beside its own."""
        made = self.postgres.database("ingest")
        asyncio.run(_migrate(made.url))
        self.postgres.sql(f"SET ROLE {made.user}; {bare.TABLES}", database=made.name)
        return made


def ran(folder: Path, module: str, *arguments: object, count: int) -> Sample:
    """Let a program do its work, and return what it took, as it tells it. Raises NotMeasured where it fails."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    usage = measure(command, folder=folder, limit=LIMIT)
    if usage.exit_code:
        raise NotMeasured(f"{module} ended with {usage.exit_code}: {usage.said[-300:]}")
    wall, cpu = told(usage.said)
    return Sample(usage=replace(usage, wall=wall, cpu=cpu), asked=count, found=count)


@contextmanager
def running() -> Iterator[Servers]:
    """Start a broker and a PostgreSQL; raises NotMeasured where one is missing."""
    # Not below the bench's folder: PostgreSQL runs as an account of its own, which could not get there.
    folder = Path(tempfile.mkdtemp(prefix="everleaf-bench-"))
    folder.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        try:
            postgres, rabbitmq = Postgres(folder / "cluster"), RabbitMQ(folder / "node")
            postgres.create()
            for server in (postgres, rabbitmq):
                stack.callback(server.stop)
                server.start()
        except MissingServer as error:
            raise NotMeasured(str(error)) from error
        files = folder / "files"
        files.mkdir()
        yield Servers(postgres=postgres, rabbitmq=rabbitmq, folder=files)


async def _publish(url: str, looked: Sequence[Message]) -> None:
    bus = RabbitBus(url)
    await bus.declare([QUEUE])
    for start in range(0, len(looked), _AT_ONCE):
        await bus.publish(looked[start : start + _AT_ONCE])
    await bus.close()


async def _migrate(url: str) -> None:
    database = Database(url, source="inventory")
    await SCHEMA.upgrade(database)
    await database.close()
