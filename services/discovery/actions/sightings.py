"""Keeps what was seen: places, and the events that tell of them. Both scans and watches use it."""

from collections.abc import Sequence
from datetime import datetime

from services.discovery import store
from services.discovery.domain.answers import Outcome
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked
from services.discovery.domain.watches import is_another_miss
from shared import x509
from shared.events.discovery import CertificateFound, Place, PlaceLost
from shared.store import Transaction


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
    """Write places and emit `certificate.found` for each certificate seen, `place.lost` for the lost.

    `scan_id` is empty where a watched place was looked at: looks may follow closely on one another.
    """
    found = {place_of(s.asked).key: s for s in sightings if s.chain}
    for sighting in found.values():
        tx.emit(_found(sighting, now=now, scan_id=scan_id), now=now)
    # In the order of the keys, as everybody locks them: so nobody waits for one another for ever.
    await store.see_places(tx, [_row(key, found[key], now=now) for key in sorted(found)])
    missed = {place_of(s.asked).key: s for s in sightings if _is_miss(s)}
    keys = [key for key in missed if key not in found]
    for known in await store.missed_places(tx, keys) if keys else ():
        if scan_id is not None or is_another_miss(known.missed_at, now=now):
            _miss(tx, known, missed[known.key], now=now, misses_until_lost=misses_until_lost)


def _is_miss(sighting: Sighting) -> bool:
    return not sighting.chain and sighting.outcome is not Outcome.EXCLUDED


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
        "missed_at": None,
    }


def _miss(
    tx: Transaction, known: store.KnownPlace, sighting: Sighting, *, now: datetime, misses_until_lost: int
) -> None:
    known.misses += 1
    known.missed_at = now
    # Said once, at the miss that makes it lost: never on a single failure.
    if known.misses == misses_until_lost:
        lost = PlaceLost(
            place=place_of(sighting.asked),
            fingerprint=known.fingerprint,
            observed_at=now,
            reason=sighting.reason or sighting.outcome.value,
        )
        tx.emit(lost, now=now)
