"""Keeps what was seen: places, and the events that tell of them. Both scans and watches use it."""

from collections.abc import Sequence
from datetime import datetime

from services.discovery import store
from services.discovery.connectors import Sighting
from services.discovery.domain.answers import Outcome
from services.discovery.domain.targets import Asked
from shared import x509
from shared.events.discovery import CertificateFound, Place, PlaceLost
from shared.store import Transaction

MISSES = (Outcome.REFUSED, Outcome.SILENT, Outcome.NO_TLS, Outcome.FAILED)


def place_of(asked: Asked) -> Place:
    """Return the place as events name it."""
    return Place(address=asked.address, port=asked.port, server_name=asked.server_name)


def fingerprint_of(sighting: Sighting) -> str | None:
    """Return the identity of the leaf, where one was shown."""
    return x509.fingerprint(sighting.chain[0]) if sighting.chain else None


async def keep(
    tx: Transaction,
    sightings: Sequence[Sighting],
    *,
    now: datetime,
    misses_until_lost: int,
    scan_id: str | None = None,
) -> None:
    """Write places and emit `certificate.found` for each certificate seen, `place.lost` for the lost."""
    found = {place_of(s.asked).key: s for s in sightings if s.chain}
    for sighting in found.values():
        tx.emit(_found(sighting, now=now, scan_id=scan_id), now=now)
    await store.see_places(tx, [_row(key, sighting, now=now) for key, sighting in found.items()])
    missed = {place_of(s.asked).key: s for s in sightings if s.outcome in MISSES}
    if missed:
        await _miss(tx, missed, now=now, misses_until_lost=misses_until_lost)


def _found(sighting: Sighting, *, now: datetime, scan_id: str | None) -> CertificateFound:
    return CertificateFound(
        place=place_of(sighting.asked),
        fingerprint=fingerprint_of(sighting) or "",
        chain=list(sighting.chain),
        observed_at=now,
        scan_id=scan_id,
        tls_version=sighting.tls_version,
        cipher_suite=sighting.cipher_suite,
    )


def _row(key: str, sighting: Sighting, *, now: datetime) -> dict[str, object]:
    asked = sighting.asked
    return {
        "key": key,
        "address": asked.address,
        "port": asked.port,
        "server_name": asked.server_name,
        "fingerprint": fingerprint_of(sighting),
        "first_seen": now,
        "last_seen": now,
        "misses": 0,
    }


async def _miss(
    tx: Transaction, missed: dict[str, Sighting], *, now: datetime, misses_until_lost: int
) -> None:
    for known in await store.missed_places(tx, list(missed)):
        known.misses += 1
        # Said once, at the miss that makes it lost: never on a single failure.
        if known.misses == misses_until_lost:
            lost = PlaceLost(
                place=place_of(missed[known.key].asked),
                fingerprint=known.fingerprint,
                observed_at=now,
                reason=missed[known.key].reason or missed[known.key].outcome.value,
            )
            tx.emit(lost, now=now)
