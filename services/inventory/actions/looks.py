"""What a batch of events says of endpoints, and which of them can be taken in together: of which it says one thing only."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from services.inventory.actions.certificates import chain_of
from services.inventory.domain.assessment import digests
from services.inventory.domain.certificates import chain_digest
from services.inventory.store.arrivals import Look
from services.inventory.store.places import place_id
from shared.errors import Invalid
from shared.events import Event
from shared.events.discovery import CertificateFound

Found = Event[CertificateFound]


class Told(NamedTuple):
    """An event, the key of its place, and what it says of an endpoint in the forms that are kept."""

    event: Found
    key: str
    look: Look | None
    """None for a store, and where the chain is not of the certificate that is named: that is said where it is taken in alone."""


MOST_HEARD = 5_000
"""Remembered of what was heard; what comes again to another replica is never asked for here."""


class Telling:
    """Works out what events say, once, and remembers it until they are taken in."""

    def __init__(self) -> None:
        self._heard: dict[str, Told] = {}

    def hear(self, event: Found) -> None:
        """Work out what an event says."""
        if len(self._heard) >= MOST_HEARD:
            self._heard.clear()
        self._heard[event.id] = _told(event, event.data.place.key)

    def of(self, events: Sequence[Found]) -> list[Told]:
        """Return events with what they say."""
        return [self._of(event) for event in events]

    def forget(self, ids: Iterable[str]) -> None:
        """Forget what events say that nobody will ask about again."""
        for id_ in ids:
            self._heard.pop(id_, None)

    def _of(self, event: Found) -> Told:
        known = self._heard.get(event.id)
        if known is None or known.event is not event:
            self.hear(event)
        return self._heard[event.id]


def _told(event: Found, key: str) -> Told:
    seen = event.data
    if seen.place.kind != "endpoint":
        return Told(event, key, None)
    try:
        chain = chain_of(seen.fingerprint, seen.chain).fingerprints
    except Invalid:
        return Told(event, key, None)
    look = Look(
        place_id=place_id(key),
        key=key,
        seen=seen,
        chain=tuple(chain),
        digest=chain_digest(chain),
        has_bytes=bool(seen.chain),
        negotiated=digests.negotiated(seen),
        looked=digests.looked(seen.tls) if seen.tls is not None else None,
    )
    return Told(event, key, look)


def plain(every: Sequence[Told]) -> dict[str, Look]:
    """Return looks, by the id of their event, at endpoints of which the batch says one thing only, and that alone."""
    said = Counter(each.key for each in every)
    careful = {
        each.event.data.fingerprint
        for each in every
        if each.look is None
        or not each.look.has_bytes
        or said[each.key] > 1
        or each.event.data.tls is not None
    }
    return {
        each.event.id: each.look
        for each in every
        if each.look is not None and each.event.data.fingerprint not in careful
    }


def latest_of_each(looks: Iterable[Look]) -> Collection[Look]:
    """Return one look for each certificate, the latest that has found it."""
    return {
        look.seen.fingerprint: look for look in sorted(looks, key=lambda look: look.seen.observed_at)
    }.values()
