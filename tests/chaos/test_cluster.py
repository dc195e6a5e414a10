"""A cluster of three nodes loses one under load, the one that everything is connected to and that leads the queue."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio

from shared.bus.rabbitmq import RabbitBus
from shared.store import Database
from shared.store.outbox import Relay
from tests.chaos.wires import Wire
from tests.conformance.ticks import QUEUE, Ticks, create_tables, effects, emit
from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import SETTLED
from tests.servers.rabbitmq_cluster import NAMES, Cluster

TICKS, AT_ONCE = 3_000, 20


@contextmanager
def running_cluster(folder: Path) -> Iterator[tuple[Cluster, Wire]]:
    """Start three nodes, and what stands before them and leads to the first."""
    with ExitStack() as running:
        cluster = Cluster(folder)
        running.callback(cluster.stop)
        cluster.start()
        wire = Wire(cluster.nodes[0].port)
        running.callback(wire.close)
        yield cluster, wire


async def test_a_cluster_that_loses_a_node_under_load_loses_and_doubles_nothing(
    postgres: Postgres, tmp_path: Path
) -> None:
    database = Database(postgres.database("ticks").url, source="ticks")
    await create_tables(database)
    with running_cluster(tmp_path) as (cluster, wire):
        first, second = cluster.nodes[:2]
        vhost = first.vhost("cluster")
        bus = RabbitBus(vhost.url.replace(f":{first.port}/", f":{wire.port}/"))
        await bus.declare([QUEUE])
        assert _members(cluster, vhost.name) == len(NAMES)
        await anyio.sleep(SETTLED)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Relay(database, bus).run)
            tasks.start_soon(Ticks().reactor(database, bus).run)
            tasks.start_soon(_emit_all, database)
            await _until_effects(database, TICKS // 4)
            await anyio.to_thread.run_sync(first.kill)
            wire.lead_to(second.port)  # as what stands before a cluster does when it sees that a node is away
            await _until_effects(database, TICKS // 2)
            await anyio.to_thread.run_sync(first.start)
            await _until_effects(database, TICKS)
            tasks.cancel_scope.cancel()
        assert await effects(database) == dict.fromkeys(range(TICKS), 1)
        depth = await bus.depth(QUEUE)
        assert (depth.retrying, depth.dead) == (0, 0)
        assert cluster.size() == len(NAMES)
        await bus.close()
    await database.close()


def _members(cluster: Cluster, vhost: str) -> int:
    return len(cluster.nodes[0].api("GET", f"queues/{vhost}/{QUEUE.name}").json()["members"])


async def _emit_all(database: Database) -> None:
    for start in range(0, TICKS, AT_ONCE):
        await emit(database, range(start, start + AT_ONCE))
        await anyio.sleep(0.05)


async def _until_effects(database: Database, count: int) -> None:
    with anyio.fail_after(300):
        while sum((await effects(database)).values()) < count:
            await anyio.sleep(0.2)
