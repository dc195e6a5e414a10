"""Takes in what is new altogether, many at a time: endpoints never seen, with certificates that nobody knew.

A first scan finds little else, and one by one each would cost some forty statements. What has a history or is configured
or unreadable is left to be taken in alone: the outcome is the same either way.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from services.inventory.actions.assessing import Assessing
from services.inventory.actions.crossings import Crossings, record, tell_aging
from services.inventory.actions.looks import latest_of_each
from services.inventory.actions.organising import settle
from services.inventory.actions.timeline import Entry, note_all
from services.inventory.domain.thresholds import Crossing
from services.inventory.domain.timeline import Happening
from services.inventory.store import arrivals, associations, certificates, chains
from services.inventory.store.arrivals import Known, Look, NewCertificate
from shared.events.discovery import CertificateFound
from shared.events.inventory import CertificatesArrived
from shared.ids import new_id
from shared.store import Transaction


class Arrivals:
    """What nobody knew, worked into the inventory."""

    def __init__(self, *, crossings: Crossings, assessing: Assessing) -> None:
        self._crossings = crossings
        self._assessing = assessing

    async def take_in(
        self, tx: Transaction, looks: Mapping[str, Look], known: Known, *, now: datetime
    ) -> set[str]:
        """Take in what is new altogether of these looks, by event; return the ids of those events. What they name is held."""
        looks = _unknown(looks, known)
        new, passed = self._certificates(looks, now=now)
        taken = {event_id: look for event_id, look in looks.items() if look.seen.fingerprint in new}
        if taken:
            await self._keep(tx, taken, new, now=now)
            tx.emit(CertificatesArrived(fingerprints=list(new)), now=now)
            await tell_begun(tx, new.values(), passed, now=now)
        return set(taken)

    def _certificates(
        self, looks: Mapping[str, Look], *, now: datetime
    ) -> tuple[dict[str, NewCertificate], dict[str, Sequence[Crossing]]]:
        """Return the certificates that can be read, and what they have crossed, by fingerprint."""
        new, passed = {}, dict[str, Sequence[Crossing]]()
        for look in latest_of_each(looks.values()):
            fingerprint = look.seen.fingerprint
            reading = look.reading()
            if reading.finding is not None:
                continue
            new[fingerprint] = NewCertificate(
                id=new_id(), lineage_id=new_id(), reading=reading, chain=look.chain[1:], first_known_at=now
            )
            passed[fingerprint] = self._crossings.begin(new[fingerprint], now=now)
        in_order(new.values())
        return new, passed

    async def _keep(
        self, tx: Transaction, taken: Mapping[str, Look], new: Mapping[str, NewCertificate], *, now: datetime
    ) -> None:
        looks = list(taken.values())
        await keep_bytes(tx, {look.chain: look.seen.chain for look in looks}, now=now)
        begins = {each.lineage_id for each in new.values()}
        await arrivals.keep_certificates(tx, list(new.values()), begins=begins)
        await arrivals.keep_places(tx, looks)
        entries = [
            (new[look.seen.fingerprint].lineage_id, found_entry(look.seen, event_id=event_id))
            for event_id, look in taken.items()
        ]
        await note_all(tx, entries)
        await settle(tx, sorted(new), now=now)
        await associations.mark(tx, fingerprints=new)
        await self._assessing.begun(tx, [look.place_id for look in looks], now=now)


def _unknown(looks: Mapping[str, Look], known: Known) -> dict[str, Look]:
    """Return those that are new altogether; a certificate that is not so at one place is left out at all."""
    others = known.fingerprints | {
        look.seen.fingerprint
        for look in looks.values()
        if look.place_id in known.places or look.seen.place.address in known.addresses
    }
    return {event_id: look for event_id, look in looks.items() if look.seen.fingerprint not in others}


async def tell_begun(
    tx: Transaction,
    new: Iterable[NewCertificate],
    passed: Mapping[str, Sequence[Crossing]],
    *,
    now: datetime,
) -> None:
    """Tell of new certificates that are urgent, or of which half of the life is over, from the start; `passed` is what they have crossed."""
    urgent = [fingerprint for fingerprint, crossed in passed.items() if crossed]
    if urgent:
        await record(tx, await certificates.fresh(tx.session, urgent), passed, now=now)
    aging = [each.fingerprint for each in new if each.is_aging]
    if aging:
        await tell_aging(tx, await certificates.fresh(tx.session, aging), now=now)


def in_order(new: Iterable[NewCertificate]) -> None:
    """Give certificates ids in the order in which they came: those of one and the same millisecond are in none."""
    every = list(new)
    for each, id_ in zip(every, sorted(each.id for each in every), strict=True):
        each.id = id_


async def keep_bytes(
    tx: Transaction, kept: Mapping[tuple[str, ...], Sequence[bytes]], *, now: datetime
) -> None:
    """Keep certificates that nobody knew: chains of bytes by their fingerprints, leaf first; those above are kept already."""
    await certificates.keep_new_ders(tx, {names[0]: ders[0] for names, ders in kept.items()})
    await chains.keep_new_chains(tx, {tuple(names) for names in kept}, now=now)


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
