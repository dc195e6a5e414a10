"""Takes in what discovery has seen: which certificate is where, and what does not answer any more."""

from collections.abc import Sequence
from datetime import datetime

import anyio.lowlevel

from services.inventory.actions.arrivals import Arrivals, found_entry
from services.inventory.actions.assessing import Assessing
from services.inventory.actions.certificates import Chain, chain_of, know
from services.inventory.actions.changes import Changes
from services.inventory.actions.comparisons import Comparisons
from services.inventory.actions.crossings import Crossings
from services.inventory.actions.looks import Telling, Told, latest_of_each, plain
from services.inventory.actions.losses import Losses, lost_entry
from services.inventory.actions.replacements import Replacements, Succession
from services.inventory.actions.timeline import note
from services.inventory.domain.certificates import chain_digest, have_same_names
from services.inventory.domain.holdings import is_proof
from services.inventory.domain.servings import Serving, observe
from services.inventory.store import (
    arrivals,
    associations,
    certificates,
    holdings,
    places,
    replacements,
)
from services.inventory.store.tables import Certificate
from shared.events import Event
from shared.events.discovery import CertificateFound, PlaceLost, SourceRead
from shared.store import Transaction


class Observations:
    """What was seen, worked into the inventory. What the events bear upon is held (`actions/holding.py`)."""

    def __init__(
        self,
        *,
        replacements: Replacements,
        crossings: Crossings,
        comparisons: Comparisons,
        assessing: Assessing,
    ) -> None:
        self._replacements = replacements
        self._crossings = crossings
        self._comparisons = comparisons
        self._assessing = assessing
        self._told = Telling()
        self._arrivals = Arrivals(crossings=crossings, assessing=assessing)
        self._changes = Changes(replacements=replacements, crossings=crossings, assessing=assessing)
        self._losses = Losses(replacements=replacements, crossings=crossings, assessing=assessing)

    async def found(self, tx: Transaction, event: Event[CertificateFound], *, now: datetime) -> None:
        """Take in that a place has a certificate."""
        if event.data.place.kind == "store":
            await self._held(tx, event, now=now)
        else:
            await self._served(tx, event, now=now)

    def hear(self, event: Event[CertificateFound]) -> None:
        """Work out what an event says, while the database is busy with those before it."""
        self._told.hear(event)

    async def unchanged(
        self, tx: Transaction, events: Sequence[Event[CertificateFound]]
    ) -> list[Event[CertificateFound]]:
        """Take in, with one UPDATE, what endpoints served before and serve still; return what else was found.

        However often such an event comes, it comes to the same: a time that is there already, or later.
        """
        every = self._told.of(events)
        latest: dict[str, Told] = {}
        for each in every:
            if each.event.data.place.kind == "endpoint":
                known = latest.get(each.key)
                latest[each.key] = each if known is None else max(known, each, key=_when)
        looks = {each.look.place_id: each for each in latest.values() if each.look is not None}
        left = await places.touch_all(tx, [each.look for each in looks.values() if each.look is not None])
        settled = {each.event.id for at, each in looks.items() if at not in left}
        self._told.forget(settled)
        return [each.event for each in every if each.event.id not in settled]

    async def foresee(self, events: Sequence[Event[CertificateFound]]) -> None:
        """Read the certificates that have come with these events, each once, and let others go on in between."""
        looks = [each.look for each in self._told.of(events) if each.look is not None and each.look.has_bytes]
        for look in latest_of_each(looks):
            look.reading()
            await anyio.lowlevel.checkpoint()

    async def usual(
        self, tx: Transaction, events: Sequence[Event[CertificateFound]], *, now: datetime
    ) -> list[Event[CertificateFound]]:
        """Take in sets what is new and what has changed plainly; return what else was found."""
        looks = plain(self._told.of(events))
        self._told.forget(event.id for event in events)
        taken = set[str]()
        if looks:
            known = await arrivals.known(tx, list(looks.values()))
            for sets in (self._arrivals, self._changes):
                left = {event_id: look for event_id, look in looks.items() if event_id not in taken}
                taken |= await sets.take_in(tx, left, known, now=now)
        return [event for event in events if event.id not in taken]

    async def usually_lost(
        self, tx: Transaction, events: Sequence[Event[PlaceLost]], *, now: datetime
    ) -> list[Event[PlaceLost]]:
        """Take in sets what does not answer any more and bears upon nothing else; return the rest."""
        taken = await self._losses.take_in(tx, events, now=now)
        return [event for event in events if event.id not in taken]

    async def _served(self, tx: Transaction, event: Event[CertificateFound], *, now: datetime) -> None:
        """Take in what an endpoint serves; mostly it did so before, and that costs one UPDATE."""
        seen = event.data
        chain = chain_of(seen.fingerprint, seen.chain)
        touched = await _touch(tx, event, chain)
        was: str | None = seen.fingerprint
        if touched is None:
            was = await self._changed(tx, event, chain, now=now)
        elif touched.is_watched:
            await self._replacements.settle(tx, [seen.fingerprint], now=now)
        if touched is None or touched.is_awaited:
            await self._comparisons.endpoint_changed(tx, seen.place, was=was, now=now)
        await self._assessing.seen(tx, seen, touched=touched, now=now)

    async def _held(self, tx: Transaction, event: Event[CertificateFound], *, now: datetime) -> None:
        """Take in what a store holds, and how."""
        seen = event.data
        chain = chain_of(seen.fingerprint, seen.chain)
        place = places.place_id(seen.place.key)
        before = await holdings.before(tx, place)
        is_news = seen.held is not None and await holdings.keep_held(
            tx, place, seen.held, at=seen.observed_at
        )
        touched = await _touch(tx, event, chain)
        if touched is None:
            await self._changed(tx, event, chain, now=now)
        elif touched.is_watched:
            await self._replacements.settle(tx, [seen.fingerprint], now=now)
        if is_news and await places.set_proof(tx, place, is_proof=is_proof(seen.held)):
            await self._replacements.settle(tx, [seen.fingerprint], now=now)
        if is_news:
            key = seen.held.key.fingerprint if seen.held and seen.held.key else None
            await associations.mark(tx, keys=[before.key_fingerprint, key])
        if touched is None or is_news:
            await self._assessing.changed(tx, [place], now=now)
            await self._comparisons.store_changed(tx, place, before=before, at=seen.observed_at, now=now)
        await self._comparisons.store_told(tx, place, run_id=seen.scan_id, at=seen.observed_at, now=now)

    async def _changed(
        self, tx: Transaction, event: Event[CertificateFound], chain: Chain, *, now: datetime
    ) -> str | None:
        """Work in what was not known before; return what was there until now."""
        seen = event.data
        place = await places.keep_place(tx, seen.place)
        known = await places.sighting(tx, place)
        was = known.fingerprint if known is not None else None
        before, after = await places.neighbours(tx, place, at=seen.observed_at)
        beside = [fingerprint for fingerprint in (before, after) if fingerprint is not None]
        row = await know(tx, chain, lineage_id=None, beside=beside, now=now)
        old = await places.window(tx, place, at=seen.observed_at)
        new = observe(old, fingerprint=seen.fingerprint, at=seen.observed_at)
        proves = seen.place.kind == "endpoint" or is_proof(seen.held)
        await _keep(tx, place, old=old, new=new, chain=chain, proves=proves)
        if new[-1].until is None and new[-1].last_seen == seen.observed_at:
            row.chain = chain.fingerprints[1:]
        if _is_one_more(old, new, seen.fingerprint):
            note(tx, row.lineage_id, found_entry(seen, event_id=event.id))
            await self._succeed(tx, before, row, at=seen.observed_at)
            await self._precede(tx, row, after, servings=new)
        await self._reconsider(tx, [*beside, seen.fingerprint], now=now)
        return was

    async def _succeed(self, tx: Transaction, before: str | None, row: Certificate, *, at: datetime) -> None:
        """Where a place went over to a newer certificate for the same names, that is a replacement."""
        old = await certificates.certificate(tx.session, before) if before else None
        if old is not None and _is_newer(row, old):
            await self._replacements.open(tx, _noticed(old, row, at=at))

    async def _precede(
        self, tx: Transaction, row: Certificate, after: str | None, *, servings: Sequence[Serving]
    ) -> None:
        new = await certificates.certificate(tx.session, after) if after else None
        if new is not None and _is_newer(new, row):
            at = next((serving.since for serving in servings if serving.fingerprint == after), None)
            await self._replacements.open(tx, _noticed(row, new, at=at or servings[-1].since))

    async def lost(self, tx: Transaction, event: Event[PlaceLost], *, now: datetime) -> None:
        """Take in that a place does not answer any more."""
        said = event.data
        place = await places.keep_place(tx, said.place)
        stored, known = await holdings.before(tx, place), await places.sighting(tx, place)
        was = known.fingerprint if known is not None else None
        old = await places.window(tx, place, at=said.observed_at)
        new = observe(old, fingerprint=None, at=said.observed_at)
        proves = known is None or known.is_proof
        await _keep(tx, place, old=old, new=new, chain=None, proves=proves)
        before, _after = await places.neighbours(tx, place, at=said.observed_at)
        fingerprint = before or said.fingerprint
        row = await certificates.certificate(tx.session, fingerprint)
        if row is not None and _is_one_more(old, new, None):
            note(tx, row.lineage_id, lost_entry(event, fingerprint))
        await self._reconsider(tx, [fingerprint], now=now)
        await self._assessing.changed(tx, [place], now=now)
        if said.place.kind == "store":
            await self._comparisons.store_changed(tx, place, before=stored, at=said.observed_at, now=now)
        else:
            await self._comparisons.endpoint_changed(tx, said.place, was=was, now=now)

    async def read(self, tx: Transaction, event: Event[SourceRead], *, now: datetime) -> None:
        """Take in that a source was read to its end."""
        await self._comparisons.source_read(tx, event, now=now)

    async def _reconsider(self, tx: Transaction, fingerprints: Sequence[str], *, now: datetime) -> None:
        await self._replacements.settle(tx, fingerprints, now=now)
        await self._crossings.assess(tx, fingerprints, now=now)
        await associations.mark(tx, fingerprints=fingerprints)


def _when(each: Told) -> datetime:
    return each.event.data.observed_at


async def _touch(tx: Transaction, event: Event[CertificateFound], chain: Chain) -> places.Touched | None:
    seen = event.data
    return await places.touch(
        tx,
        places.place_id(seen.place.key),
        fingerprint=seen.fingerprint,
        chain_digest=chain_digest(chain.fingerprints),
        at=seen.observed_at,
    )


async def _keep(
    tx: Transaction,
    place: str,
    *,
    old: Sequence[Serving],
    new: Sequence[Serving],
    chain: Chain | None,
    proves: bool,
) -> None:
    await places.rewrite(tx, place, old=old, new=new)
    latest = new[-1]
    if latest.until is not None or latest in old:
        return
    is_ours = chain is not None and latest.fingerprint == chain.fingerprint
    digest = chain_digest(chain.fingerprints) if chain is not None and is_ours else None
    watched = latest.fingerprint is not None and bool(
        await replacements.successors(tx.session, latest.fingerprint)
    )
    await places.set_sighting(
        tx, place, serving=latest, chain_digest=digest, is_watched=watched, is_proof=proves
    )


def _is_one_more(old: Sequence[Serving], new: Sequence[Serving], fingerprint: str | None) -> bool:
    def count(servings: Sequence[Serving]) -> int:
        return sum(serving.fingerprint == fingerprint for serving in servings)

    return count(new) > count(old)


def _is_newer(one: Certificate, other: Certificate) -> bool:
    if one.not_before is None or other.not_before is None or one.fingerprint == other.fingerprint:
        return False
    return one.not_before > other.not_before and have_same_names(one.names, other.names)


def _noticed(old: Certificate, new: Certificate, *, at: datetime) -> Succession:
    return Succession(
        lineage_id=old.lineage_id,
        old_fingerprint=old.fingerprint,
        fingerprint=new.fingerprint,
        order_id=None,
        at=at,
    )
