"""Which endpoints of a batch can be taken in together: of which it says one thing only, in a form that needs no care."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from services.inventory.actions.certificates import chain_of
from services.inventory.domain.assessment import digests
from services.inventory.store.arrivals import Look
from services.inventory.store.locks import hold
from services.inventory.store.places import place_id
from shared.errors import Invalid
from shared.events import Event
from shared.events.discovery import CertificateFound
from shared.store import Transaction

Found = Event[CertificateFound]


def plain(events: Sequence[Found]) -> dict[str, Look]:
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


async def hold_all(tx: Transaction, looks: Mapping[str, Look]) -> None:
    """Hold the places, certificates and addresses of looks."""
    await hold(
        tx,
        *(look.place_id for look in looks.values()),
        *(look.seen.fingerprint for look in looks.values()),
        *(f"address {look.seen.place.address}" for look in looks.values()),
    )
