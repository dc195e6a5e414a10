"""Sets what is configured beside what is served, and tells what begins and ends to be wrong.

Each event leads by indexed rows to the few stores and endpoints that it may say something of, and those are judged
anew from what is kept: so neither the order of events nor their repetition matters. Replicas keep out of each other's
way by the address of an endpoint, the front of a store and the private key, all of which are held before (`actions/holding.py`):
who holds one sees what was written under it before.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from services.inventory.actions.findings import BY_KEY, BY_SERVING, OF_STORES, findings, ports_and_names
from services.inventory.actions.flaws import Finding, tell
from services.inventory.domain.configured import Front, judge
from services.inventory.domain.slots import Stored, wanted_names
from services.inventory.store import holdings, joins, places
from services.inventory.store.holdings import Before
from services.inventory.store.tables import HeldRow, PlaceRow
from shared.events import Event
from shared.events.discovery import Place, SourceRead
from shared.events.inventory import Flaw
from shared.store import Transaction

MOST_ON_ONE_HOST = 1_000
"""Places of one key on one host."""


class Comparisons:
    """Configured and served, judged together."""

    async def store_told(
        self, tx: Transaction, place: str, *, run_id: str | None, at: datetime, now: datetime
    ) -> None:
        """Take in that a run has shown a store: that the run was complete may be known already."""
        front = await joins.front_of(tx, place) if run_id is not None else None
        if front is not None and await joins.show_front(tx, front, run_id=run_id or "", at=at):
            await self._endpoints(tx, await joins.unexplained(tx.session, front), now=now)

    async def store_changed(
        self, tx: Transaction, place: str, *, before: Before, at: datetime, now: datetime
    ) -> None:
        """Judge anew what a store's change bears upon."""
        row = await holdings.held_row(tx, place)
        if row is None:
            return
        held = (await holdings.stored(tx.session, [place], scope=None)).get(place)
        front = _front(held)
        if row.front_id is not None and before.is_named and _is_named_no_more(held, before):
            await joins.change_front(tx, row.front_id, at=at)
        concerned = await _rejoin(tx, row, held, front=front)
        await self._store(tx, place, held, now=now, of=OF_STORES)
        for key in {before.key_fingerprint, row.key_fingerprint} - {None}:
            await self._others_with(tx, key or "", place, now=now)
        prints = [print_ for print_ in (before.fingerprint, held.fingerprint if held else None) if print_]
        for each in {row.front_id, front} - {None}:
            concerned.update(await joins.serving(tx.session, prints, front=each or ""))
        await self._endpoints(tx, sorted(concerned), now=now)

    async def endpoint_changed(
        self, tx: Transaction, place: Place, *, was: str | None, now: datetime
    ) -> None:
        """Judge an endpoint anew, and what is configured for it; `was` is what it served before."""
        place_id = places.place_id(place.key)
        fronts = (await joins.fronts_at(tx.session, [place.address])).get(place.address, ())
        if not fronts:
            return
        ids = [front.id for front in fronts]
        await joins.await_look(tx, [place_id], is_awaited=False)
        slots = await joins.configured_at(
            tx.session, ids, ports=[place.port or 0], names=wanted_names(place.server_name)
        )
        seen = await places.sighting(tx, place_id)
        prints = [print_ for print_ in (was, seen.fingerprint if seen else None) if print_]
        stores = {slot.place_id for slot in slots} | set(await joins.holding(tx.session, prints, fronts=ids))
        await self._stores(tx, stores, now=now, of=BY_SERVING)
        await self._endpoints(tx, [place_id], now=now)

    async def source_read(self, tx: Transaction, event: Event[SourceRead], *, now: datetime) -> None:
        """Take in that what a run has not shown is not there: what is served all the same is configured nowhere."""
        said = event.data
        if said.is_complete:
            found = await joins.keep_read(tx, said.source_id, run_id=said.run_id, read_at=said.started_at)
            await self._endpoints(tx, found, now=now)

    async def _others_with(self, tx: Transaction, key: str, place: str, *, now: datetime) -> None:
        """Judge the places of a key on another host anew, where one host more or less makes the difference there."""
        [own] = await places.rows_of(tx.session, [place])
        others = await holdings.places_of_key(tx.session, key, not_at=[own.address], limit=1)
        if not others:
            return
        host = others[0].address
        if await holdings.places_of_key(tx.session, key, not_at=[own.address, host], limit=1):
            return
        rows = await holdings.places_of_key(tx.session, key, at=host, limit=MOST_ON_ONE_HOST)
        await self._stores(tx, [row.id for row in rows], now=now, of=BY_KEY)

    async def _stores(
        self, tx: Transaction, ids: Collection[str], *, now: datetime, of: Collection[Flaw]
    ) -> None:
        for place, held in (await holdings.stored(tx.session, ids, scope=None)).items():
            await self._store(tx, place, held, now=now, of=of)

    async def _store(
        self, tx: Transaction, place: str, held: Stored | None, *, now: datetime, of: Collection[Flaw]
    ) -> None:
        found = await findings(tx, held, of=of) if held is not None else []
        await tell(tx, place, found, of=of, now=now)

    async def _endpoints(self, tx: Transaction, ids: Sequence[str], *, now: datetime) -> None:
        rows = await places.rows_of(tx.session, ids)
        fronts = await joins.fronts_at(tx.session, sorted({row.address for row in rows}))
        for row in rows:
            found = await _endpoint(tx, row, fronts.get(row.address, ()))
            await tell(tx, row.id, found, of=(Flaw.NOT_CONFIGURED,), now=now)


async def _endpoint(tx: Transaction, row: PlaceRow, fronts: Sequence[Front]) -> Iterable[Finding]:
    seen = await places.sighting(tx, row.id)
    if seen is None or seen.fingerprint is None:
        return ()
    is_named = await joins.is_named(tx.session, seen.fingerprint, fronts=[front.id for front in fronts])
    verdict = judge(fronts, is_named=is_named, first_seen=seen.first_seen, last_seen=seen.last_seen)
    if verdict.is_awaited:
        await joins.await_look(tx, [row.id])
    return (Finding(flaw=Flaw.NOT_CONFIGURED),) if verdict.is_foreign else ()


def _front(held: Stored | None) -> str | None:
    return joins.front_id(held.held.addresses) if held is not None and held.held.addresses else None


def _is_named_no_more(held: Stored | None, before: Before) -> bool:
    return held is None or held.fingerprint != before.fingerprint or not held.is_named


async def _rejoin(tx: Transaction, row: HeldRow, held: Stored | None, *, front: str | None) -> set[str]:
    """Keep the rows that lead here as they should be; return the endpoints that nothing leads to any more."""
    if held is None:
        await joins.part(tx, row.place_id)
    elif not row.is_joined:
        if front is not None:
            await joins.keep_front(tx, front, held.held.addresses, at=row.observed_at)
        await joins.join(tx, row.place_id, front=front, slots=ports_and_names(held.held))
    gone = row.front_id if row.front_id != front else None
    return set(await joins.forget_front(tx, gone)) if gone is not None else set()
