"""Takes in what is new altogether, many at a time: endpoints never seen, with certificates that nobody knew.

A first scan finds little else, and one by one each would cost some forty statements. What has a history or is configured,
urgent or unreadable is left to be taken in alone: the outcome is the same either way.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from services.inventory.actions.assessing import Assessing
from services.inventory.actions.certificates import Chain, certificate_row, chain_of
from services.inventory.actions.crossings import Crossings
from services.inventory.actions.organising import settle
from services.inventory.actions.timeline import Entry, note
from services.inventory.domain.assessment import digests
from services.inventory.domain.certificates import Reading, read
from services.inventory.domain.timeline import Happening
from services.inventory.store import arrivals, associations, certificates, chains
from services.inventory.store.arrivals import Look
from services.inventory.store.locks import hold
from services.inventory.store.places import place_id
from services.inventory.store.tables import Certificate, Lineage
from shared.errors import Invalid
from shared.events import Event
from shared.events.discovery import CertificateFound
from shared.ids import new_id
from shared.store import Transaction

Found = Event[CertificateFound]


class Arrivals:
    """What nobody knew, worked into the inventory."""

    def __init__(self, *, crossings: Crossings, assessing: Assessing) -> None:
        self._crossings = crossings
        self._assessing = assessing

    async def take_in(self, tx: Transaction, events: Sequence[Found], *, now: datetime) -> set[str]:
        """Take in what is new altogether; return the ids of those events."""
        looks = _plain(events)
        if not looks:
            return set()
        await _hold(tx, looks)
        looks = await self._unknown(tx, looks)
        rows, readings = self._certificates(looks, now=now)
        taken = {event_id: look for event_id, look in looks.items() if look.seen.fingerprint in rows}
        if taken:
            await self._keep(tx, taken, rows, readings, now=now)
        return set(taken)

    async def _unknown(self, tx: Transaction, looks: Mapping[str, Look]) -> dict[str, Look]:
        """Return those that are new altogether; a certificate that is not so at one place is left out at all."""
        known = await arrivals.known(
            tx,
            places=[look.place_id for look in looks.values()],
            fingerprints=sorted({look.seen.fingerprint for look in looks.values()}),
            addresses=sorted({look.seen.place.address for look in looks.values()}),
        )
        others = known.fingerprints | {
            look.seen.fingerprint
            for look in looks.values()
            if look.place_id in known.places or look.seen.place.address in known.addresses
        }
        return {event_id: look for event_id, look in looks.items() if look.seen.fingerprint not in others}

    def _certificates(
        self, looks: Mapping[str, Look], *, now: datetime
    ) -> tuple[dict[str, Certificate], dict[str, Reading]]:
        """Return rows and readings, by fingerprint, of certificates that are readable and not urgent."""
        latest: dict[str, Look] = {}
        for look in sorted(looks.values(), key=lambda look: look.seen.observed_at):
            latest[look.seen.fingerprint] = look
        rows, readings = {}, {}
        for fingerprint, look in latest.items():
            reading = read(fingerprint, look.seen.chain[0])
            chain = Chain(fingerprint=fingerprint, ders=look.seen.chain)
            row = certificate_row(reading, chain, lineage_id=new_id(), now=now)
            if reading.finding is None and self._crossings.begin(row, now=now):
                rows[fingerprint], readings[fingerprint] = row, reading
        # Ids are in the order of time, but not of one and the same millisecond: lists go by them.
        for row, in_order in zip(rows.values(), sorted(row.id for row in rows.values()), strict=True):
            row.id = in_order
        return rows, readings

    async def _keep(
        self,
        tx: Transaction,
        taken: Mapping[str, Look],
        rows: Mapping[str, Certificate],
        readings: Mapping[str, Reading],
        *,
        now: datetime,
    ) -> None:
        looks = list(taken.values())
        ders = {name: der for look in looks for name, der in zip(look.chain, look.seen.chain, strict=True)}
        await certificates.keep_ders(tx, ders)
        await chains.keep_chains(tx, {look.chain for look in looks}, now=now)
        lineages = [
            Lineage(id=row.lineage_id, title=readings[fingerprint].title, created_at=now)
            for fingerprint, row in rows.items()
        ]
        odd = {fingerprint: reading.oddities for fingerprint, reading in readings.items()}
        await arrivals.keep_certificates(tx, lineages, list(rows.values()), odd)
        await arrivals.keep_places(tx, looks)
        for event_id, look in taken.items():
            note(tx, rows[look.seen.fingerprint].lineage_id, found_entry(look.seen, event_id=event_id))
        await settle(tx, sorted(rows), now=now)
        await associations.mark(tx, fingerprints=rows)
        await self._assessing.changed(tx, [look.place_id for look in looks], now=now)


def found_entry(seen: CertificateFound, *, event_id: str) -> Entry:
    """Return what a lineage's timeline says of a certificate that was found at a place."""
    return Entry(
        kind=Happening.FOUND,
        text=f"Found at {seen.place.key}.",
        at=seen.observed_at,
        fingerprint=seen.fingerprint,
        place_key=seen.place.key,
        event_id=event_id,
    )


def _plain(events: Sequence[Found]) -> dict[str, Look]:
    """Return looks, by the id of their event, at endpoints of which the batch says one thing only."""
    said = Counter(event.data.place.key for event in events)
    by_print: defaultdict[str, dict[str, Look | None]] = defaultdict(dict)
    for event in events:
        is_alone = said[event.data.place.key] == 1
        by_print[event.data.fingerprint][event.id] = _look(event.data) if is_alone else None
    return {
        event_id: look
        for looks in by_print.values()
        if all(look is not None for look in looks.values())
        for event_id, look in looks.items()
        if look is not None
    }


def _look(seen: CertificateFound) -> Look | None:
    if seen.place.kind != "endpoint" or seen.tls is not None or not seen.chain:
        return None
    try:
        chain = chain_of(seen.fingerprint, seen.chain)
    except Invalid:  # said of it where it is taken in alone
        return None
    return Look(
        place_id=place_id(seen.place.key),
        seen=seen,
        chain=tuple(chain.fingerprints),
        negotiated=digests.negotiated(seen),
    )


async def _hold(tx: Transaction, looks: Mapping[str, Look]) -> None:
    await hold(
        tx,
        *(look.place_id for look in looks.values()),
        *(look.seen.fingerprint for look in looks.values()),
        *(f"address {look.seen.place.address}" for look in looks.values()),
    )
