"""What Prometheus is told of the state of things."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access import Verifier
from shared.bus.sqlite import SqliteBus
from shared.clock import utc_now
from shared.errors import Unavailable
from shared.http import create_api
from shared.measures import FRESH, Measures
from shared.service import Service
from shared.store import Database
from shared.store.measured import Family, Reading
from shared.store.plumbing import OUTBOX, PLUMBING
from tests.builders import ISSUER, KnownKey

TREES = Family("everleaf_trees", "Trees.", ("kind",))


class Garden:
    """A service that tells how many trees it has, and counts how often it is asked."""

    def __init__(self, database: Database, bus: SqliteBus) -> None:
        self.now = utc_now()
        self.asked = 0
        self.is_away = False
        api = create_api(
            name="garden", summary="T.", routers=[], verifier=Verifier(KnownKey(), issuer=ISSUER)
        )
        service = Service(
            name="garden",
            api=api,
            database=database,
            queues=[],
            emits=[],
            receives=[],
            jobs=[],
            measured=self.measured,
        )
        self.measures = Measures([service], bus, clock=lambda: self.now)

    async def measured(self, _session: AsyncSession, _now: datetime) -> list[Reading]:
        self.asked += 1
        if self.is_away:
            raise Unavailable("The garden is closed.", next_step="Come again.")
        return [TREES.of("oak", value=self.asked), TREES.of("elm", value=0)]

    async def told(self) -> dict[str, float]:
        """Return the readings, by name and labels."""
        text = (await self.measures.text()).decode()
        return {
            " ".join((sample.name, *sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture
async def garden(tmp_path: Path) -> AsyncIterator[Garden]:
    """A service with an event in its outbox that has waited for an hour."""
    bus, database = SqliteBus(tmp_path / "bus.db"), Database(f"sqlite:///{tmp_path}/g.db", source="garden")
    async with database.engine.begin() as connection:
        await connection.run_sync(PLUMBING.create_all)
    made = Garden(database, bus)
    row = {"event_id": "e", "type": "t", "body": b"{}", "created_at": made.now - timedelta(hours=1)}
    async with database.transaction() as tx:
        await tx.session.execute(OUTBOX.insert(), [row])
    yield made
    await bus.close()
    await database.close()


async def test_what_a_store_holds_is_read_anew_after_a_while_and_not_before(garden: Garden) -> None:
    first = await garden.told()
    assert (first["everleaf_trees oak"], first["everleaf_trees elm"]) == (1, 0)
    assert (first["everleaf_outbox_events garden"], first["everleaf_outbox_oldest_seconds garden"]) == (
        1,
        3600,
    )
    assert (first["everleaf_ready garden"], first["everleaf_measures_failed garden"]) == (1, 0)
    garden.now += FRESH - timedelta(seconds=1)
    assert (await garden.told())["everleaf_trees oak"] == 1
    garden.now += timedelta(seconds=2)
    assert (await garden.told())["everleaf_trees oak"] == 2
    assert garden.asked == 2


async def test_a_store_that_cannot_be_read_is_told_as_such_and_hides_nothing_else(garden: Garden) -> None:
    garden.is_away = True
    told = await garden.told()
    assert told["everleaf_measures_failed garden"] == 1
    assert told["everleaf_ready bus"] == 1
    assert "everleaf_trees oak" not in told
    assert told["process_cpu_seconds_total"] > 0
