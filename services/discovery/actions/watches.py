"""Watches: places of a certificate that was renewed are looked at until they serve another one."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

from services.discovery import store
from services.discovery.actions.sightings import fingerprint_of, keep, place_asked
from services.discovery.connectors import Prober
from services.discovery.domain.answers import Outcome
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked, is_address, is_port
from services.discovery.domain.watches import AFTER_DEPLOYMENT, AFTER_RENEWAL, next_look
from shared.clock import Clock
from shared.events import Event
from shared.events.discovery import Place
from shared.events.provisioner import CertificateDeployed
from shared.events.renewal import CertificateRenewed
from shared.store import Database, Transaction
from shared.store.traces import remember, remembered
from shared.trace import Kind, following_each

AT_ONCE = 500
LEASE = timedelta(minutes=1)


class Watches:
    """Everything there is to do with watches."""

    def __init__(
        self,
        database: Database,
        *,
        source: Prober,
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
        at = now + AFTER_DEPLOYMENT
        if old is not None:
            await store.watch_places_serving(tx, old, at=at)
        places = {place.key: place for place in event.data.places if _can_be_looked_at(place)}
        names = [(place.server_name, place.address) for place in places.values() if place.server_name]
        await store.remember_names(tx, names, origin="event", now=now)
        await store.watch_places(tx, [_row(place, old=old, at=at) for place in places.values()])
        await remember(tx, *([old] if old else []), *places, now=now)

    async def renewed(self, tx: Transaction, event: Event[CertificateRenewed], *, now: datetime) -> None:
        """Look in a while: something else than the provisioner may put it in place."""
        old = event.data.old_fingerprint
        if old is not None:
            await store.watch_places_serving(tx, old, at=now + AFTER_RENEWAL, sooner_only=True)

    async def work(self, now: datetime) -> bool:
        """Look at the places that are due; return whether there were any."""
        async with self._database.transaction() as tx:
            due = await store.claim_watches(tx, now=now, lease=LEASE, limit=AT_ONCE)
        if not due:
            return False
        async with aclosing(self._source.look([_asked(watch) for watch in due])) as seen:
            sightings = [sighting async for sighting in seen]
        await self._keep(due, sightings)
        return True

    async def _keep(self, due: Sequence[store.Watch], sightings: Sequence[Sighting]) -> None:
        now = self._clock()
        by_place = {place_asked(sighting.asked).key: sighting for sighting in sightings}
        begun = await remembered(
            self._database,
            [each for watch in due for each in (watch.place_key, watch.old_fingerprint) if each],
        )
        traces = {
            seen: begun.get(watch.place_key) or begun.get(watch.old_fingerprint or "")
            for watch in due
            if (seen := fingerprint_of(by_place[watch.place_key])) is not None
        }
        with following_each(traces, name="look", kind=Kind.INTERNAL):
            await self._keep_seen(due, sightings, by_place, now=now)

    async def _keep_seen(
        self,
        due: Sequence[store.Watch],
        sightings: Sequence[Sighting],
        by_place: Mapping[str, Sighting],
        *,
        now: datetime,
    ) -> None:
        async with self._database.transaction() as tx:
            await keep(tx, sightings, now=now, misses_until_lost=self._misses_until_lost)
            # A watch that an event has renewed meanwhile is due again: this look came before that.
            for watch in await store.watches_as_claimed(tx, due):
                await _after_look(tx, watch, by_place[watch.place_key], now=now)


async def _after_look(tx: Transaction, watch: store.Watch, sighting: Sighting, *, now: datetime) -> None:
    watch.looks += 1
    seen = fingerprint_of(sighting)
    again = next_look(watch.looks, now=now)
    has_changed = seen is not None and seen != watch.old_fingerprint
    if again is None or has_changed or sighting.outcome is Outcome.EXCLUDED:
        await tx.session.delete(watch)
    else:
        watch.next_look_at = again


def _can_be_looked_at(place: Place) -> bool:
    """Return whether it is an endpoint, named as we name places."""
    if place.kind != "endpoint" or not is_port(place.port):
        return False
    return is_address(place.address)


def _asked(watch: store.Watch) -> Asked:
    return Asked(
        address=watch.address,
        port=watch.port,
        server_name=watch.server_name,
        starttls=watch.starttls,
        key_type=watch.key_type,
    )


def _row(place: Place, *, old: str | None, at: datetime) -> dict[str, object]:
    return {
        "place_key": place.key,
        "address": place.address,
        "port": place.port,
        "server_name": place.server_name,
        "starttls": place.starttls,
        "key_type": place.key_type,
        "old_fingerprint": old,
        "looks": 0,
        "next_look_at": at,
    }
