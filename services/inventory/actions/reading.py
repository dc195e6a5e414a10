"""Answers questions: certificates, lineages, places, replacements, and how many there are of what."""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from services.inventory.domain.holdings import Flaw, flaws
from services.inventory.domain.replacements import State
from services.inventory.domain.servings import Serving
from services.inventory.domain.slots import Slot, ports, slots
from services.inventory.store import certificates, holdings, lineages, places, replacements
from services.inventory.store.certificates import CertificateFilter
from services.inventory.store.tables import (
    Certificate,
    Crossed,
    Lineage,
    PlaceRow,
    Replacement,
    Sighting,
    TimelineRow,
)
from shared.errors import NotFound
from shared.events.discovery import Held
from shared.events.inventory import Urgency
from shared.store import Database

PLACES_SHOWN = 1000
HISTORY_SHOWN = 1000

Placed = tuple[PlaceRow, Sighting]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class CertificateReport:
    """A certificate, where it is, and what it has crossed."""

    row: Certificate
    places: Sequence[Placed]
    place_count: int
    crossed: Sequence[Crossed]


@dataclass(frozen=True, kw_only=True)
class Pem:
    """A certificate and those served after it, as far as their bytes are kept."""

    fingerprint: str
    pem: str
    chain: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class PlaceHistory:
    """What a place served, the latest first."""

    place: PlaceRow
    servings: Sequence[Serving]


@dataclass(frozen=True, kw_only=True)
class HoldingReport:
    """A certificate in a store, how it is kept, and what is wrong with that."""

    place: PlaceRow
    fingerprint: str
    held: Held
    flaws: tuple[Flaw, ...]
    key_shared_with: Sequence[str]
    slots: Sequence[Slot]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """How many there are of what."""

    certificates: int
    current: int
    unreadable: int
    places: int
    places_lost: int
    by_urgency: dict[Urgency, int]
    replacements: dict[State, int]


class Reading:
    """The questions that can be asked; none of them changes anything."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def certificates(
        self, wanted: CertificateFilter, *, after: str | None, limit: int
    ) -> Sequence[Certificate]:
        """Return `limit + 1` certificates."""
        async with self._database.read() as session:
            return await certificates.page(session, wanted, after=after, limit=limit)

    async def certificate(self, fingerprint: str) -> CertificateReport:
        """Return all about a certificate. Raises `NotFound`."""
        async with self._database.read() as session:
            row = _known(await certificates.certificate(session, fingerprint), "certificate", fingerprint)
            return CertificateReport(
                row=row,
                places=await places.places_serving(session, fingerprint, limit=PLACES_SHOWN),
                place_count=await places.count_serving(session, fingerprint),
                crossed=await certificates.crossed(
                    session, lineage_id=row.lineage_id, fingerprint=fingerprint
                ),
            )

    async def pem(self, fingerprint: str) -> Pem:
        """Return a certificate and its chain as PEM. Raises `NotFound`."""
        async with self._database.read() as session:
            row = _known(await certificates.certificate(session, fingerprint), "certificate", fingerprint)
            ders = await certificates.ders(session, [fingerprint, *row.chain])
        if fingerprint not in ders:
            raise NotFound("No bytes came with this certificate.", next_step="Scan its place again.")
        chain = [_pem(ders[above]) for above in row.chain if above in ders]
        return Pem(fingerprint=fingerprint, pem=_pem(ders[fingerprint]), chain=chain)

    async def lineages(self, *, after: str | None, limit: int) -> Sequence[Lineage]:
        """Return `limit + 1` lineages."""
        async with self._database.read() as session:
            return await lineages.page(session, after=after, limit=limit)

    async def lineage(self, lineage_id: str) -> tuple[Lineage, Sequence[Certificate]]:
        """Return a lineage and its certificates. Raises `NotFound`."""
        async with self._database.read() as session:
            row = _known(await lineages.lineage(session, lineage_id), "lineage", lineage_id)
            return row, await lineages.members(session, lineage_id)

    async def timeline(
        self, lineage_id: str, *, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[TimelineRow]:
        """Return `limit + 1` things that happened to a lineage. Raises `NotFound`."""
        async with self._database.read() as session:
            _known(await lineages.lineage(session, lineage_id), "lineage", lineage_id)
            return await lineages.timeline(session, lineage_id, after=after, limit=limit)

    async def places(
        self,
        *,
        after: str | None,
        limit: int,
        address: str | None,
        port: int | None,
        fingerprint: str | None,
    ) -> Sequence[Placed]:
        """Return `limit + 1` places and what they serve."""
        async with self._database.read() as session:
            return await places.page(
                session, after=after, limit=limit, address=address, port=port, fingerprint=fingerprint
            )

    async def holdings(
        self,
        *,
        after: str | None,
        limit: int,
        address: str | None,
        fingerprint: str | None,
        flaw: Flaw | None,
    ) -> list[HoldingReport]:
        """Return `limit + 1` certificates in stores."""
        async with self._database.read() as session:
            rows = await holdings.page(
                session, after=after, limit=limit, address=address, fingerprint=fingerprint, flaw=flaw
            )
            keys = sorted({held.key_fingerprint for *_, held in rows if held.key_fingerprint})
            hosts = await holdings.hosts_of_keys(session, keys)
            each = [
                (place, seen.fingerprint or "", Held.model_validate(row.details)) for place, seen, row in rows
            ]
            kinds = {
                row.fingerprint: row.key_type
                for row in await certificates.certificates(session, sorted({found for _, found, _ in each}))
            }
            endpoints = await holdings.endpoints(
                session,
                addresses=sorted({address for *_, held in each for address in held.addresses}),
                ports=sorted({port for *_, held in each for port in ports(held)}),
            )
        return [
            _holding(
                place,
                held,
                hosts=hosts,
                slots=list(slots(held, fingerprint=found, key_type=kinds.get(found), endpoints=endpoints)),
                fingerprint=found,
            )
            for place, found, held in each
        ]

    async def history(self, key: str, *, at: datetime | None) -> PlaceHistory:
        """Return what a place served, or what it served at one instant. Raises `NotFound`."""
        place_id = places.place_id(key)
        async with self._database.read() as session:
            found = await places.rows_of(session, [place_id])
            place = _known(found[0] if found else None, "place", key)
            servings = await places.history(session, place_id, at=at, limit=HISTORY_SHOWN)
        return PlaceHistory(place=place, servings=servings)

    async def replacements(
        self, *, after: str | None, limit: int, lineage_id: str | None, state: State | None
    ) -> list[tuple[Replacement, Sequence[PlaceRow]]]:
        """Return `limit + 1` replacements, each with the places that are stale."""
        async with self._database.read() as session:
            rows = await replacements.page(
                session, after=after, limit=limit, lineage_id=lineage_id, state=state
            )
            named = {place_id for row in rows for place_id in row.stale_places}
            by_id = {place.id: place for place in await places.rows_of(session, sorted(named))}
        return [(row, [by_id[each] for each in row.stale_places if each in by_id]) for row in rows]

    async def summary(self) -> Summary:
        """Count."""
        async with self._database.read() as session:
            known, current, unreadable = await certificates.counts(session)
            seen, lost = await places.counts(session)
            return Summary(
                certificates=known,
                current=current,
                unreadable=unreadable,
                places=seen,
                places_lost=lost,
                by_urgency=await certificates.counts_by_urgency(session),
                replacements=await replacements.counts(session),
            )


def _known(row: T | None, what: str, name: str) -> T:
    if row is None:
        raise NotFound(f"There is no {what} {name}.", next_step=f"List what there is with GET /v1/{what}s.")
    return row


def _holding(
    place: PlaceRow,
    held: Held,
    *,
    fingerprint: str,
    hosts: Mapping[str, Sequence[str]],
    slots: Sequence[Slot],
) -> HoldingReport:
    key = (held.key.fingerprint if held.key else None) or ""
    others = [host for host in hosts.get(key, ()) if host != place.address]
    is_served = [slot.is_served for slot in slots]
    return HoldingReport(
        place=place,
        fingerprint=fingerprint,
        held=held,
        flaws=flaws(held, shared_with=others, is_not_served=False in is_served),
        key_shared_with=others[: holdings.MOST_SHARED],
        slots=slots,
    )


def _pem(der: bytes) -> str:
    return ssl.DER_cert_to_PEM_cert(der)
