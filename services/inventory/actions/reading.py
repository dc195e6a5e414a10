"""Answers questions: certificates, lineages, places, replacements, and how many there are of what."""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from services.inventory.domain.replacements import State
from services.inventory.domain.servings import Serving
from services.inventory.domain.slots import Endpoints, Seen, Slot, Stored, names_of, slots, wanted_names
from services.inventory.store import certificates, flaws, holdings, joins, lineages, places, replacements
from services.inventory.store.certificates import CertificateFilter
from services.inventory.store.tables import (
    Certificate,
    Crossed,
    HeldRow,
    Lineage,
    PlaceRow,
    Replacement,
    Sighting,
    TimelineRow,
)
from shared.errors import NotFound
from shared.events.discovery import Held
from shared.events.inventory import Flaw, Urgency
from shared.store import Database

PLACES_SHOWN = 1000
SLOTS_SHOWN = 100
"""Of one place in a list of places; all of them are with its holding."""
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
class PlaceReport:
    """A place, what it serves or holds, what is configured for that, and what is wrong."""

    place: PlaceRow
    seen: Sighting
    configured: Sequence[Slot]
    configured_count: int
    flaws: tuple[Flaw, ...]


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
        flaw: Flaw | None = None,
    ) -> list[PlaceReport]:
        """Return `limit + 1` places, what they serve, and what is configured for them."""
        async with self._database.read() as session:
            rows = await places.page(
                session,
                after=after,
                limit=limit,
                address=address,
                port=port,
                fingerprint=fingerprint,
                flaw=flaw,
            )
            wrong = await flaws.open_flaws(session, [place.id for place, _ in rows])
            slots_of = await _of_stores(session, [place.id for place, _ in rows if place.kind == "store"])
            slots_of |= await _for_endpoints(
                session, [place for place, _ in rows if place.kind == "endpoint"]
            )
        return [
            PlaceReport(
                place=place,
                seen=seen,
                configured=slots_of.get(place.id, [])[:SLOTS_SHOWN],
                configured_count=len(slots_of.get(place.id, [])),
                flaws=wrong.get(place.id, ()),
            )
            for place, seen in rows
        ]

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
            ids = [place.id for place, *_ in rows]
            wrong, slots_of = await flaws.open_flaws(session, ids), await _of_stores(session, ids)
        return [
            HoldingReport(
                place=place,
                fingerprint=seen.fingerprint or "",
                held=Held.model_validate(held.details),
                flaws=wrong.get(place.id, ()),
                key_shared_with=_others(place, held, hosts=hosts),
                slots=slots_of.get(place.id, []),
            )
            for place, seen, held in rows
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


def _others(place: PlaceRow, held: HeldRow, *, hosts: Mapping[str, Sequence[str]]) -> Sequence[str]:
    others = [host for host in hosts.get(held.key_fingerprint or "", ()) if host != place.address]
    return others[: holdings.MOST_SHARED]


async def _of_stores(session: AsyncSession, ids: Sequence[str]) -> dict[str, list[Slot]]:
    """Return the slots of stores, each beside what is served there."""
    stored = await holdings.stored(session, ids)
    uses = [(each.held, use) for each in stored.values() for use in each.held.uses]
    if not uses:
        return {}
    seen = await holdings.endpoints(
        session,
        addresses={address for held, _ in uses for address in held.addresses},
        ports={listener.port for _, use in uses for listener in use.listeners},
        names={name for _, use in uses for name in names_of(use)},
    )
    endpoints = Endpoints(seen)
    return {place: list(slots(each, endpoints)) for place, each in stored.items()}


async def _for_endpoints(session: AsyncSession, rows: Sequence[PlaceRow]) -> dict[str, list[Slot]]:
    """Return the slots that are configured for endpoints, each beside what the endpoint serves."""
    fronts = await joins.fronts_at(session, sorted({row.address for row in rows}))
    if not fronts:
        return {}
    candidates = await joins.configured_at(
        session,
        {front.id for beside in fronts.values() for front in beside},
        ports={row.port for row in rows if row.port is not None},
        names={name for row in rows for name in wanted_names(row.server_name)},
    )
    stored = await holdings.stored(session, {each.place_id for each in candidates})
    seen = {each.place_id: each for each in await holdings.seen(session, [row.id for row in rows])}
    found: dict[str, list[Slot]] = {}
    for row in rows:
        ours = {front.id for front in fronts.get(row.address, ())}
        wanted = set(wanted_names(row.server_name))
        ids = {
            each.place_id
            for each in candidates
            if each.front_id in ours and each.port == row.port and each.server_name in wanted
        }
        if row.id in seen:
            found[row.id] = _at_endpoint(
                seen[row.id], [stored[each] for each in sorted(ids) if each in stored]
            )
    return found


def _at_endpoint(seen: Seen, stored: Sequence[Stored]) -> list[Slot]:
    endpoint = Endpoints([seen])
    return [slot for each in stored for slot in slots(each, endpoint) if slot.served]


def _pem(der: bytes) -> str:
    return ssl.DER_cert_to_PEM_cert(der)
