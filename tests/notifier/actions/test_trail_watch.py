"""The watch over the trail: what is missing, refused or changed is an alert, which ends when it is seen to be whole."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.notifier import store
from services.notifier.actions.trail_watch import TrailWatch
from services.notifier.domain.trails import PATIENCE
from services.notifier.store.trail import TrailEntry
from shared.events import Event
from shared.events.audit import CheckpointRefused
from tests.notifier.actions.test_trail import Archive, archive, edit, small

__all__ = ["archive", "small"]


class Watched:
    """A trail that is watched over."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.watch = TrailWatch(archive.database, archive.keys)

    async def look(self, after: timedelta = timedelta()) -> dict[str, str]:
        """Let time pass and the watch look; return problem and state of all alerts, by what they are about."""
        self.archive.clock.passes(after)
        await self.watch.look(self.archive.clock())
        async with self.archive.database.read() as session:
            rows = (await session.scalars(sa.select(store.Alert))).all()
        assert {row.severity for row in rows} <= {"critical"}
        return {row.subject: f"{row.problem} {row.state}" for row in rows}


async def test_a_change_that_does_not_come_is_an_alert_until_it_has_come(archive: Archive):
    watched = Watched(archive)
    one, two, three = (archive.told("renewal") for _ in range(3))
    await archive.append(one, three)
    assert await watched.look() == {}, "it may be on its way"
    assert await watched.look(PATIENCE) == {"audit-gap/renewal": "audit-incomplete open"}
    await archive.append(two)
    assert await watched.look(timedelta(minutes=1)) == {"audit-gap/renewal": "audit-incomplete resolved"}


async def test_a_service_that_stops_co_signing_is_an_alert_until_it_co_signs(archive: Archive):
    watched = Watched(archive)
    await archive.grow()
    assert await watched.look(PATIENCE) == {}
    away = archive.witnesses.pop("renewal")
    await archive.grow()
    assert await watched.look() == {}
    assert await watched.look(PATIENCE) == {"audit-witness/renewal": "audit-broken open"}
    archive.witnesses["renewal"] = away
    archive.clock.passes(timedelta(minutes=1))
    await archive.witness()
    assert await watched.look() == {"audit-witness/renewal": "audit-broken resolved"}


async def test_a_checkpoint_that_is_refused_is_an_alert_until_one_is_co_signed_after_it(small: Archive):
    watched = Watched(small)
    await small.grow()
    small.clock.passes(timedelta(minutes=1))
    said = CheckpointRefused(number=1, known=1, reason="It is another.", refused_at=small.clock())
    async with small.database.transaction() as tx:
        event = Event.of(said, source="inventory", now=small.clock())
        await watched.watch.refused(tx, event, now=small.clock())
    assert await watched.look() == {"audit-witness/inventory": "audit-broken open"}
    small.clock.passes(timedelta(minutes=1))
    await small.grow()
    assert await watched.look() == {"audit-witness/inventory": "audit-broken resolved"}


@pytest.mark.parametrize("crime", ["edited", "deleted"])
async def test_an_entry_that_was_changed_is_an_alert_until_it_is_as_it_was(small: Archive, crime: str):
    watched = Watched(small)
    await small.grow()
    await small.grow()
    assert await watched.look() == {}
    async with small.database.read() as session:
        row = (await session.get_one(TrailEntry, 3)).model_dump()
    mine = sa.column("number") == 3
    if crime == "edited":
        await edit(small)
    else:
        async with small.database.transaction() as tx:
            await tx.session.execute(sa.delete(TrailEntry).where(mine))
    assert await watched.look() == {"audit-chain": "audit-broken open"}
    async with small.database.transaction() as tx:
        await tx.session.execute(sa.delete(TrailEntry).where(mine))
        await tx.session.execute(sa.insert(TrailEntry).values(row))
    assert await watched.look(timedelta(minutes=1)) == {"audit-chain": "audit-broken resolved"}
