"""Takes in, many at a time, that endpoints serve a certificate that nobody knew in the place of one that is known.

That is what renewal looks like from outside. What comes close to a threshold or is replaced already, and what more than one
certificate of the batch bears upon, is left to be taken in alone: the outcome is the same either way.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.inventory.actions.arrivals import found_entry, in_order, keep_bytes, tell_begun
from services.inventory.actions.assessing import Assessing
from services.inventory.actions.crossings import Crossings
from services.inventory.actions.organising import inherit_all
from services.inventory.actions.replacements import Replacements, Succession
from services.inventory.actions.timeline import note_all
from services.inventory.domain.certificates import Reading, have_same_names
from services.inventory.domain.thresholds import Crossing
from services.inventory.store import arrivals, associations, changes, labels, replacements
from services.inventory.store.arrivals import Known, Look, NewCertificate
from services.inventory.store.changes import Now, Old, Turn
from shared.events.inventory import CertificatesArrived
from shared.ids import new_id
from shared.store import Transaction


@dataclass(kw_only=True)
class _Change:
    """A new certificate, the one that it is found in the place of, and the looks that found it, by event."""

    old: Old
    reading: Reading
    chain: Sequence[str]
    looks: dict[str, Look] = field(default_factory=dict)

    @property
    def is_of_lineage(self) -> bool:
        """Whether it is for the same names, and so in the same lineage."""
        return have_same_names(self.old.names, list(self.reading.fields.names))

    @property
    def is_newer(self) -> bool:
        """Whether it takes the place of the old one."""
        begins = self.reading.fields.not_before
        return (
            self.is_of_lineage
            and begins is not None
            and self.old.not_before is not None
            and begins > self.old.not_before
        )


class Changes:
    """What has changed, worked into the inventory."""

    def __init__(self, *, replacements: Replacements, crossings: Crossings, assessing: Assessing) -> None:
        self._replacements = replacements
        self._crossings = crossings
        self._assessing = assessing

    async def take_in(
        self, tx: Transaction, looks: Mapping[str, Look], known: Known, *, now: datetime
    ) -> set[str]:
        """Take in what is a plain change of these looks, by event; return the ids of those events. What they name is held."""
        if known.places.isdisjoint(look.place_id for look in looks.values()):
            return set()
        seen = await changes.sightings(tx, [look.place_id for look in looks.values()])
        looks = _where(looks, lambda look: _is_turn(look, seen.get(look.place_id)))
        found = await self._changes(tx, looks, known, seen, now=now)
        if found:
            await self._keep(tx, found, seen, now=now)
        return {event_id for each in found for event_id in each.looks}

    async def _changes(
        self,
        tx: Transaction,
        looks: Mapping[str, Look],
        known: Known,
        seen: Mapping[str, Now],
        *,
        now: datetime,
    ) -> list[_Change]:
        """Return the changes that bear upon nothing but one certificate that is known and one that is not."""
        before = {look.place_id: seen[look.place_id].fingerprint or "" for look in looks.values()}
        if not before:
            return []
        old = await changes.certificates(tx, before.values())
        replaced = {print_ for print_, _ in await replacements.are_replaced(tx, list(old))}
        pairs = {(before[look.place_id], look.seen.fingerprint) for look in looks.values()}
        once = Counter(print_ for pair in pairs for print_ in pair)
        found: dict[str, _Change] = {}
        left_out: set[str] = set()
        for event_id, look in looks.items():
            name, was = look.seen.fingerprint, before[look.place_id]
            is_plain = (
                name not in known.fingerprints
                and look.seen.place.address not in known.addresses
                and was in old
                and was not in replaced
                and once[name] == once[was] == 1
                and is_quiet(old[was], now=now)
                and not self._replacements.is_overdue(look.seen.observed_at, now=now)
            )
            if not is_plain:
                left_out.add(name)
            elif name not in left_out:
                if name not in found:
                    found[name] = _Change(old=old[was], reading=look.reading(), chain=look.chain[1:])
                found[name].looks[event_id] = look
        return _one_of_each_lineage(
            [each for name, each in found.items() if name not in left_out and each.reading.finding is None]
        )

    async def _keep(
        self, tx: Transaction, found: Sequence[_Change], seen: Mapping[str, Now], *, now: datetime
    ) -> None:
        new, passed = await self._certificates(tx, found, now=now)
        tx.emit(CertificatesArrived(fingerprints=list(new)), now=now)
        looks = {event_id: look for each in found for event_id, look in each.looks.items()}
        await changes.turn(tx, [_turn(look, seen[look.place_id]) for look in looks.values()])
        await changes.keep_negotiated(
            tx, [look for look in looks.values() if look.negotiated != seen[look.place_id].negotiated_digest]
        )
        entries = [
            (new[look.seen.fingerprint].lineage_id, found_entry(look.seen, event_id=event_id))
            for event_id, look in looks.items()
        ]
        await note_all(tx, entries)
        await self._replacements.begin(tx, [_succession(each) for each in found if each.is_newer])
        prints = [print_ for each in found for print_ in (each.old.fingerprint, each.reading.fingerprint)]
        await self._replacements.settle(tx, prints, now=now)
        await self._crossings.assess(tx, [each.old.fingerprint for each in found], beside=new, now=now)
        await tell_begun(tx, new.values(), passed, now=now)
        await associations.mark(tx, fingerprints=prints)
        await self._assessing.changed(tx, [look.place_id for look in looks.values()], now=now)

    async def _certificates(
        self, tx: Transaction, found: Sequence[_Change], *, now: datetime
    ) -> tuple[dict[str, NewCertificate], dict[str, Sequence[Crossing]]]:
        """Add the new certificates, each in its lineage and with what it inherits there; return also what they have crossed."""
        new = {
            each.reading.fingerprint: NewCertificate(
                id=new_id(),
                lineage_id=each.old.lineage_id if each.is_of_lineage else new_id(),
                reading=each.reading,
                chain=each.chain,
                first_known_at=now,
            )
            for each in found
        }
        in_order(new.values())
        passed = {name: self._crossings.begin(each, now=now) for name, each in new.items()}
        heirs = await inherit_all(tx, [new[each.reading.fingerprint] for each in found if each.is_of_lineage])
        kept = {look.chain: look.seen.chain for each in found for look in each.looks.values()}
        await keep_bytes(tx, kept, now=now)
        begins = {new[each.reading.fingerprint].lineage_id for each in found if not each.is_of_lineage}
        await arrivals.keep_certificates(tx, list(new.values()), begins=begins)
        await labels.inherit(tx, heirs)
        return new, passed


def _where(looks: Mapping[str, Look], is_so: Callable[[Look], bool]) -> dict[str, Look]:
    """Return the looks of which this is so; a certificate of which it is not at one place is left out at all."""
    others = {look.seen.fingerprint for look in looks.values() if not is_so(look)}
    return {event_id: look for event_id, look in looks.items() if look.seen.fingerprint not in others}


def _is_turn(look: Look, seen: Now | None) -> bool:
    """Return whether an endpoint has, after all that is known of it, another certificate."""
    return (
        seen is not None
        and seen.fingerprint not in (None, look.seen.fingerprint)
        and not seen.is_awaited
        and not seen.is_watched
        and look.seen.observed_at > seen.last_seen
    )


def is_quiet(row: Old, *, now: datetime) -> bool:
    """Return whether nothing is to be told of a certificate that has not been yet."""
    return row.next_crossing_at is None or row.next_crossing_at > now


def _one_of_each_lineage(found: Sequence[_Change]) -> list[_Change]:
    """Leave out lineages that several new certificates come to: one of them is before the other."""
    several = Counter(each.old.lineage_id for each in found)
    return [each for each in found if several[each.old.lineage_id] == 1]


def _turn(look: Look, seen: Now) -> Turn:
    return Turn(
        place_id=look.place_id,
        at=look.seen.observed_at,
        last_seen=seen.last_seen,
        fingerprint=look.seen.fingerprint,
        chain_digest=look.digest,
        negotiated=look.negotiated,
    )


def _succession(change: _Change) -> Succession:
    return Succession(
        lineage_id=change.old.lineage_id,
        old_fingerprint=change.old.fingerprint,
        fingerprint=change.reading.fingerprint,
        order_id=None,
        at=min(look.seen.observed_at for look in change.looks.values()),
    )
