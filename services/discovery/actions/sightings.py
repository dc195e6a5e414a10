"""Keeps what was seen: places, and the events that tell of them. Both scans and watches use it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import Literal, cast

from services.discovery import store
from services.discovery.domain.answers import Outcome
from services.discovery.domain.sightings import Depth, Sighting
from services.discovery.domain.targets import AUTO, Asked, parse_server_name
from services.discovery.domain.watches import is_another_miss
from shared import partial, x509
from shared.errors import Invalid
from shared.events.discovery import CertificateFound, Place, PlaceLost, ScanCounts, TlsFacts
from shared.store import Transaction

MOST_NAMES = 100
"""Names of one certificate that are remembered: those of a content network have hundreds that are not its users'."""
KeyType = Literal["rsa", "ecdsa"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """A chain at a place."""

    place: Place
    chain: tuple[bytes, ...]
    sighting: Sighting

    @property
    def fingerprint(self) -> str:
        """Return the identity of the leaf."""
        return x509.fingerprint(self.chain[0])


def place_asked(asked: Asked) -> Place:
    """Return the place that was asked, as events name it."""
    return Place(
        address=asked.address,
        port=asked.port,
        server_name=asked.server_name,
        starttls=None if asked.starttls == AUTO else asked.starttls,
        key_type=cast("KeyType | None", asked.key_type),
    )


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
    by_known_name: bool = False,
) -> ScanCounts:
    """Write places and emit `certificate.found` for each certificate seen, `place.lost` for the lost.

    Returns how many were found, and of them new, known and changed. `scan_id` is empty where a watched
    place was looked at: looks may follow closely on one another. `by_known_name` is for names that nobody
    has wished for: where one shows what is shown without it, it is no place of its own.
    """
    found = {each.place.key: each for sighting in sightings for each in _found(sighting)}
    if by_known_name:
        found = await _places_of_their_own(tx, found)
    before = await store.fingerprints_at(tx, sorted(found))
    for each in found.values():
        tx.emit(_event(each, now=now, scan_id=scan_id), now=now)
    # In the order of the keys, as everybody locks them: so nobody waits for one another for ever.
    await store.see_places(tx, [_row(found[key], now=now) for key in sorted(found)])
    news = [each for key, each in found.items() if before.get(key) != each.fingerprint]
    names = [(name, each.place.address) for each in news for name in host_names(each.chain[0])]
    await store.remember_names(tx, names, origin="certificate", now=now)
    for known, sighting in await _missed(tx, sightings):
        if known.key not in found and (scan_id is not None or is_another_miss(known.missed_at, now=now)):
            _miss(tx, known, sighting, now=now, misses_until_lost=misses_until_lost)
    same = sum(before.get(key) == each.fingerprint for key, each in found.items())
    return ScanCounts(found=len(found), new=len(found) - len(before), known=same, changed=len(before) - same)


def _found(sighting: Sighting) -> Iterator[Found]:
    """Return the place of each certificate: an endpoint may have one for each kind of key."""
    if not sighting.chain:
        return
    place = place_asked(sighting.asked).model_copy(update={"starttls": sighting.starttls})
    yield Found(place=place, chain=sighting.chain, sighting=sighting)
    for kind, chain in sighting.other_chains.items():
        yield Found(place=place.model_copy(update={"key_type": kind}), chain=chain, sighting=sighting)


async def _places_of_their_own(tx: Transaction, found: Mapping[str, Found]) -> dict[str, Found]:
    nameless = {key: each.place.model_copy(update={"server_name": None}).key for key, each in found.items()}
    known = await store.fingerprints_at(tx, sorted({*found, *nameless.values()}))
    return {
        key: each
        for key, each in found.items()
        if key in known or known.get(nameless[key]) != each.fingerprint
    }


@lru_cache(maxsize=4096)
def host_names(der: bytes) -> tuple[str, ...]:
    """Return the names that a server with this certificate may be asked for; none where it cannot be read."""
    return tuple(islice(filter(None, map(_host_name, partial.read(der).fields.names)), MOST_NAMES))


def _host_name(name: str) -> str | None:
    try:
        return parse_server_name(name, pointer="")
    except Invalid:
        return None


async def _missed(
    tx: Transaction, sightings: Sequence[Sighting]
) -> Sequence[tuple[store.KnownPlace, Sighting]]:
    """Return the known places that were asked in vain, whichever STARTTLS they had when they were seen."""
    missed = {
        (asked.address, asked.port, asked.server_name, asked.key_type): sighting
        for sighting in sightings
        if not sighting.chain and sighting.outcome is not Outcome.EXCLUDED
        for asked in (sighting.asked,)
    }
    places = await store.places_at(tx, {address for address, *_ in missed}) if missed else ()
    pairs = []
    for known in places:
        sighting = missed.get((known.address, known.port, known.server_name, known.key_type))
        if sighting is not None and sighting.asked.starttls in (AUTO, known.starttls):
            pairs.append((known, sighting))
    return pairs


def _event(each: Found, *, now: datetime, scan_id: str | None) -> CertificateFound:
    return CertificateFound(
        place=each.place,
        fingerprint=each.fingerprint,
        chain=list(each.chain),
        observed_at=now,
        scan_id=scan_id,
        tls_version=each.sighting.tls_version,
        cipher_suite=each.sighting.cipher_suite,
        group=each.sighting.group,
        wants_client_certificate=each.sighting.wants_client_certificate,
        tls=_facts(each.sighting.depth) if each.sighting.depth is not None else None,
    )


def _facts(depth: Depth) -> TlsFacts:
    return TlsFacts.model_validate({**asdict(depth), "is_complete": depth.unreached == 0})


def _row(each: Found, *, now: datetime) -> dict[str, object]:
    place = each.place
    return {
        "key": place.key,
        "address": place.address,
        "port": place.port,
        "server_name": place.server_name,
        "starttls": place.starttls,
        "key_type": place.key_type,
        "fingerprint": each.fingerprint,
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
        place = place_asked(sighting.asked).model_copy(
            update={"starttls": known.starttls, "key_type": known.key_type}
        )
        lost = PlaceLost(
            place=place,
            fingerprint=known.fingerprint,
            observed_at=now,
            reason=sighting.reason or sighting.outcome.value,
        )
        tx.emit(lost, now=now)
