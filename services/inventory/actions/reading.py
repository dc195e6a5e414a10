"""Answers questions: certificates, lineages, places, replacements, and how many there are of what."""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.inventory.actions.labels import Labels, labels_of, read
from services.inventory.domain.query import FIRST_SEEN, Asked, Order, Position
from services.inventory.domain.replacements import State
from services.inventory.domain.servings import Serving
from services.inventory.domain.slots import Endpoints, Seen, Slot, Stored, names_of, slots, wanted_names
from services.inventory.store import (
    certificates,
    flaws,
    holdings,
    joins,
    lineages,
    places,
    replacements,
    reports,
)
from services.inventory.store.certificates import CertificateFilter
from services.inventory.store.patience import given_up, longest, patience
from services.inventory.store.reports import Facts
from services.inventory.store.tables import (
    Certificate,
    HeldRow,
    Lineage,
    PlaceRow,
    Replacement,
    Sighting,
    TimelineRow,
)
from services.inventory.store.visibility import Scope
from shared.access import known
from shared.errors import NotFound
from shared.events.discovery import Held
from shared.events.inventory import Flaw
from shared.store import Database
from shared.store.reader import Found

PLACES_SHOWN = 1000
SLOTS_SHOWN = 100
"""Of one place in a list of places; all of them are with its holding."""
HISTORY_SHOWN = 1000

Placed = tuple[PlaceRow, Sighting]


@dataclass(frozen=True, kw_only=True)
class CertificateReport:
    """A certificate, where it is, and what it has crossed."""

    row: Found
    """What lists show, and its `chain`."""
    facts: Facts
    labels: Labels


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


class Reading:
    """The questions that can be asked; none of them changes anything."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def certificates(
        self,
        wanted: CertificateFilter,
        *,
        order: Order = FIRST_SEEN,
        after: Position | None = None,
        limit: int,
    ) -> Sequence[Found]:
        """Return `limit + 1` certificates, as rows that have what lists show."""
        with given_up():
            async with self._database.reader(longest=longest(wanted.asked)) as reader:
                return await certificates.page(reader, wanted, order=order, after=after, limit=limit)

    async def certificate(self, fingerprint: str, *, scope: Scope) -> CertificateReport:
        """Return all about a certificate. Raises `NotFound`."""
        async with self._database.reader() as reader:
            found = await reports.certificate(reader, fingerprint, scope=scope)
            row = known(found, what="certificate", name=fingerprint)
            facts = await reports.facts(reader, row, places=PLACES_SHOWN)
        return CertificateReport(
            row=row, facts=facts, labels=read([row], facts.labelled, scope=scope)[fingerprint]
        )

    async def labels(self, rows: Sequence[Any], *, scope: Scope) -> dict[str, Labels]:
        """Return how certificates are organised, by fingerprint, as far as the scope goes."""
        async with self._database.reader() as reader:
            return await labels_of(reader, rows, scope=scope)

    async def pem(self, fingerprint: str, *, scope: Scope) -> Pem:
        """Return a certificate and its chain as PEM. Raises `NotFound`."""
        async with self._database.read() as session:
            row = known(
                await certificates.visible(session, fingerprint, scope=scope),
                what="certificate",
                name=fingerprint,
            )
            ders = await certificates.ders(session, [fingerprint, *row.chain])
        if fingerprint not in ders:
            raise NotFound("No bytes came with this certificate.", next_step="Scan its place again.")
        chain = [_pem(ders[above]) for above in row.chain if above in ders]
        return Pem(fingerprint=fingerprint, pem=_pem(ders[fingerprint]), chain=chain)

    async def lineages(self, *, scope: Scope, after: str | None, limit: int) -> Sequence[Lineage]:
        """Return `limit + 1` lineages."""
        async with self._database.read() as session:
            return await lineages.page(session, scope=scope, after=after, limit=limit)

    async def lineage(self, lineage_id: str, *, scope: Scope) -> tuple[Lineage, Sequence[Certificate]]:
        """Return a lineage and its certificates. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await _lineage(session, lineage_id, scope)
            return row, await lineages.members(session, lineage_id, scope=scope)

    async def timeline(
        self, lineage_id: str, *, scope: Scope, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[TimelineRow]:
        """Return `limit + 1` things that happened to a lineage. Raises `NotFound`."""
        async with self._database.read() as session:
            await _lineage(session, lineage_id, scope)
            return await lineages.timeline(session, lineage_id, scope=scope, after=after, limit=limit)

    async def places(
        self,
        *,
        scope: Scope,
        after: str | None,
        limit: int,
        address: str | None,
        port: int | None,
        fingerprint: str | None,
        flaw: Flaw | None = None,
        asked: Asked | None = None,
    ) -> list[PlaceReport]:
        """Return `limit + 1` places, what they serve, and what is configured for them."""
        async with self._database.read() as session, patience(session, asked):
            rows = await places.page(
                session,
                scope=scope,
                after=after,
                limit=limit,
                address=address,
                port=port,
                fingerprint=fingerprint,
                flaw=flaw,
                asked=asked,
            )
            wrong = await flaws.open_flaws(session, [place.id for place, _ in rows])
            beside = _Beside(session, scope)
            slots_of = await beside.stores([place.id for place, _ in rows if place.kind == "store"])
            slots_of |= await beside.endpoints([place for place, _ in rows if place.kind == "endpoint"])
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
        scope: Scope,
        after: str | None,
        limit: int,
        address: str | None,
        fingerprint: str | None,
        flaw: Flaw | None,
    ) -> list[HoldingReport]:
        """Return `limit + 1` certificates in stores."""
        async with self._database.read() as session:
            rows = await holdings.page(
                session,
                scope=scope,
                after=after,
                limit=limit,
                address=address,
                fingerprint=fingerprint,
                flaw=flaw,
            )
            keys = sorted({held.key_fingerprint for *_, held in rows if held.key_fingerprint})
            hosts = await holdings.hosts_of_keys(session, keys, scope=scope)
            ids = [place.id for place, *_ in rows]
            wrong = await flaws.open_flaws(session, ids)
            slots_of = await _Beside(session, scope).stores(ids)
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

    async def history(
        self,
        key: str,
        *,
        scope: Scope,
        at: datetime | None,
        during: tuple[datetime, datetime] | None = None,
    ) -> PlaceHistory:
        """Return what a place served, or what it served at one instant or in a period. Raises `NotFound`."""
        place_id = places.place_id(key)
        async with self._database.read() as session:
            found = await places.rows_of(session, [place_id])
            servings = await places.history(
                session, place_id, scope=scope, at=at, during=during, limit=HISTORY_SHOWN
            )
            # Who may see one thing of what it served may know of it, whatever else it serves now.
            is_seen = scope is None or await places.history(session, place_id, scope=scope, at=None, limit=1)
        place = known(found[0] if found and is_seen else None, what="place", name=key)
        return PlaceHistory(place=place, servings=servings)

    async def replacements(
        self,
        *,
        scope: Scope,
        after: str | None,
        limit: int,
        lineage_id: str | None,
        state: State | None,
    ) -> list[tuple[Replacement, Sequence[PlaceRow]]]:
        """Return `limit + 1` replacements, each with the places that are stale."""
        async with self._database.read() as session:
            rows = await replacements.page(
                session, scope=scope, after=after, limit=limit, lineage_id=lineage_id, state=state
            )
            named = {place_id for row in rows for place_id in row.stale_places}
            shown = await places.visible(session, sorted(named), scope=scope)
            by_id = {place.id: place for place in shown}
        return [(row, [by_id[each] for each in row.stale_places if each in by_id]) for row in rows]


async def _lineage(session: AsyncSession, lineage_id: str, scope: Scope) -> Lineage:
    row = await lineages.visible(session, lineage_id, scope=scope)
    return known(row, what="lineage", name=lineage_id)


def _others(place: PlaceRow, held: HeldRow, *, hosts: Mapping[str, Sequence[str]]) -> Sequence[str]:
    others = [host for host in hosts.get(held.key_fingerprint or "", ()) if host != place.address]
    return others[: holdings.MOST_SHARED]


class _Beside:
    """What is configured beside what is served, as far as it may be seen."""

    def __init__(self, session: AsyncSession, scope: Scope) -> None:
        self._session = session
        self._scope = scope

    async def stores(self, ids: Sequence[str]) -> dict[str, list[Slot]]:
        """Return the slots of stores, each beside what is served there."""
        stored = await holdings.stored(self._session, ids, scope=self._scope)
        uses = [(each.held, use) for each in stored.values() for use in each.held.uses]
        if not uses:
            return {}
        seen = await holdings.endpoints(
            self._session,
            addresses={address for held, _ in uses for address in held.addresses},
            ports={listener.port for _, use in uses for listener in use.listeners},
            names={name for _, use in uses for name in names_of(use)},
            scope=self._scope,
        )
        endpoints = Endpoints(seen)
        return {place: list(slots(each, endpoints)) for place, each in stored.items()}

    async def endpoints(self, rows: Sequence[PlaceRow]) -> dict[str, list[Slot]]:
        """Return the slots that are configured for endpoints, each beside what the endpoint serves."""
        fronts = await joins.fronts_at(self._session, sorted({row.address for row in rows}))
        if not fronts:
            return {}
        candidates = await joins.configured_at(
            self._session,
            {front.id for beside in fronts.values() for front in beside},
            ports={row.port for row in rows if row.port is not None},
            names={name for row in rows for name in wanted_names(row.server_name)},
        )
        stored = await holdings.stored(
            self._session, {each.place_id for each in candidates}, scope=self._scope
        )
        seen = {each.place_id: each for each in await holdings.seen(self._session, [row.id for row in rows])}
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
