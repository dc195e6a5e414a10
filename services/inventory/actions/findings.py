"""What is wrong with a store, found by setting it beside what is served and what other hosts hold."""

from collections.abc import Collection, Sequence

from services.inventory.actions.flaws import MOST_BESIDE, Finding
from services.inventory.domain.holdings import flaws
from services.inventory.domain.slots import Endpoints, Seen, Slot, Stored, names_of, slots
from services.inventory.store import holdings, joins, places
from shared.events.discovery import Held, Place
from shared.events.inventory import Flaw
from shared.store import Transaction

MOST_SLOTS = 10_000
"""Kept of one store."""
OF_STORES = tuple(flaw for flaw in Flaw if flaw is not Flaw.NOT_CONFIGURED)
BY_SERVING = (Flaw.NOT_SERVED, Flaw.UNUSED)
"""What depends on what is served at the addresses of the host."""
BY_KEY = (Flaw.KEY_SHARED,)
"""What depends on what other hosts hold."""


async def findings(tx: Transaction, held: Stored, *, of: Collection[Flaw]) -> list[Finding]:
    """Return which of these flaws a store has, and mark what must be looked at before it is known."""
    different = await _served_instead(tx, held) if Flaw.NOT_SERVED in of else []
    shared = await _shared_with(tx, held) if Flaw.KEY_SHARED in of else ()
    is_served = Flaw.UNUSED in of and held.held.in_use is False and await _is_served(tx, held)
    found = flaws(held.held, is_key_shared=bool(shared), is_not_served=bool(different), is_served=is_served)
    beside = {
        Flaw.KEY_SHARED: shared,
        Flaw.NOT_SERVED: await _as_places(tx, different) if different else (),
    }
    return [Finding(flaw=flaw, beside=beside.get(flaw, ())) for flaw in found if flaw in of]


def ports_and_names(held: Held) -> list[tuple[int, str]]:
    """Return the ports and names that a store is configured for, `""` for where no name is asked for."""
    pairs = {
        (listener.port, name or "")
        for use in held.uses
        for listener in use.listeners
        for name in names_of(use)
    }
    return sorted(pairs)[:MOST_SLOTS]


async def _served_instead(tx: Transaction, held: Stored) -> list[Seen]:
    beside = await _slots(tx, held)
    await joins.await_look(tx, {place for slot in beside for place in slot.to_look_at})
    if any(slot.is_waiting for slot in beside):
        await joins.wait_for_reading(tx, held.place_id)
    return [
        seen
        for slot in beside
        if slot.is_served is False
        for seen in slot.served
        if seen.fingerprint != held.fingerprint
    ]


async def _slots(tx: Transaction, held: Stored) -> list[Slot]:
    pairs = ports_and_names(held.held)
    if not pairs or not held.held.addresses:
        return []
    seen = await holdings.endpoints(
        tx.session,
        addresses=held.held.addresses,
        ports={port for port, _ in pairs},
        names={name or None for _, name in pairs},
        scope=None,
    )
    return list(slots(held, Endpoints(seen)))


async def _shared_with(tx: Transaction, held: Stored) -> tuple[Place, ...]:
    key = held.held.key.fingerprint if held.held.key else None
    if key is None:
        return ()
    rows = await holdings.places_of_key(tx.session, key, not_at=[held.host], limit=MOST_BESIDE)
    return tuple(places.as_place(row) for row in rows)


async def _is_served(tx: Transaction, held: Stored) -> bool:
    return await holdings.is_served_at(tx.session, held.fingerprint, addresses=held.held.addresses)


async def _as_places(tx: Transaction, seen: Sequence[Seen]) -> tuple[Place, ...]:
    ids = list(dict.fromkeys(each.place_id for each in seen))[:MOST_BESIDE]
    return tuple(places.as_place(row) for row in await places.rows_of(tx.session, ids))
