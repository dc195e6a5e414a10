"""Watches: places of a certificate that was renewed are looked at until they serve another one."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from services.discovery import store
from services.discovery.actions.sightings import fingerprint_of, keep, place_of
from services.discovery.connectors import Sighting, Source
from services.discovery.domain.targets import Asked
from services.discovery.domain.watches import AFTER_DEPLOYMENT, AFTER_RENEWAL, next_look
from shared.clock import Clock
from shared.events import Event
from shared.events.discovery import Place
from shared.events.provisioner import CertificateDeployed
from shared.events.renewal import CertificateRenewed
from shared.store import Database, Transaction

AT_ONCE = 100
LEASE = timedelta(minutes=1)


class Watches:
    """Everything there is to do with watches."""

    def __init__(
        self,
        database: Database,
        *,
        source: Source,
        misses_until_lost: int,
        clock: Clock,
    ) -> None:
        self._database = database
        self._source = source
        self._misses_until_lost = misses_until_lost
        self._clock = clock

    async def deployed(self, tx: Transaction, event: Event[CertificateDeployed], *, now: datetime) -> None:
        """Look at every place of the old certificate, and where the new one should be."""
        old = event.data.old_fingerprint
        places = {place.key: place for place in event.data.places if place.kind == "endpoint"}
        if old is not None:
            places |= {known.key: _place(known) for known in await store.places_serving(tx, old)}
        rows = _rows(places.values(), old=old, at=now + AFTER_DEPLOYMENT)
        await store.write_watches(tx, rows, sooner_only=False)

    async def renewed(self, tx: Transaction, event: Event[CertificateRenewed], *, now: datetime) -> None:
        """Look in a while: something else than the provisioner may put it in place."""
        old = event.data.old_fingerprint
        if old is None:
            return
        places = [_place(known) for known in await store.places_serving(tx, old)]
        rows = _rows(places, old=old, at=now + AFTER_RENEWAL)
        await store.write_watches(tx, rows, sooner_only=True)

    async def work(self, now: datetime) -> bool:
        """Look at the places that are due; return whether there were any."""
        async with self._database.transaction() as tx:
            due = await store.claim_watches(tx, now=now, lease=LEASE, limit=AT_ONCE)
        if not due:
            return False
        asked = {_asked(watch): watch.place_key for watch in due}
        sightings = [sighting async for sighting in self._source.look(list(asked))]
        await self._keep(sightings)
        return True

    async def _keep(self, sightings: Sequence[Sighting]) -> None:
        now = self._clock()
        async with self._database.transaction() as tx:
            await keep(tx, sightings, now=now, misses_until_lost=self._misses_until_lost)
            for sighting in sightings:
                watch = await tx.session.get(store.Watch, place_of(sighting.asked).key)
                if watch is not None:
                    await _after_look(tx, watch, sighting, now=now)


async def _after_look(tx: Transaction, watch: store.Watch, sighting: Sighting, *, now: datetime) -> None:
    watch.looks += 1
    seen = fingerprint_of(sighting)
    again = next_look(watch.looks, now=now)
    if again is None or (seen is not None and seen != watch.old_fingerprint):
        await tx.session.delete(watch)
    else:
        watch.next_look_at = again


def _place(known: store.KnownPlace) -> Place:
    return Place(address=known.address, port=known.port, server_name=known.server_name)


def _asked(watch: store.Watch) -> Asked:
    return Asked(address=watch.address, port=watch.port, server_name=watch.server_name)


def _rows(places: Iterable[Place], *, old: str | None, at: datetime) -> list[dict[str, object]]:
    return [
        {
            "place_key": place.key,
            "address": place.address,
            "port": place.port,
            "server_name": place.server_name,
            "old_fingerprint": old,
            "looks": 0,
            "next_look_at": at,
        }
        for place in places
    ]
