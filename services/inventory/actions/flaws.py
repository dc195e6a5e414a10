"""Tells when something begins to be wrong with a place, and when it is over: each once."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from services.inventory.store import certificates, flaws, places
from shared.events.discovery import Place
from shared.events.inventory import Flaw, PlaceFlawed, PlaceMended
from shared.store import Transaction

MOST_BESIDE = 20
MOST_NAMES = 50


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is wrong, and the other places that it concerns."""

    flaw: Flaw
    beside: tuple[Place, ...] = ()


async def tell(
    tx: Transaction, place: str, found: Iterable[Finding], *, of: Collection[Flaw], now: datetime
) -> None:
    """Tell what has begun and what is over, of these flaws."""
    known = (await flaws.open_flaws(tx.session, [place])).get(place, ())
    findings = {finding.flaw: finding for finding in found}
    for flaw in of:
        if flaw in findings and flaw not in known:
            await _began(tx, place, findings[flaw], now=now)
        elif flaw in known and flaw not in findings:
            await _ended(tx, place, flaw, now=now)


async def _began(tx: Transaction, place: str, finding: Finding, *, now: datetime) -> None:
    began_at = await flaws.begin(tx, place, finding.flaw, now=now)
    [row] = await places.rows_of(tx.session, [place])
    seen = await places.sighting(tx, place)
    known = await certificates.certificate(tx.session, (seen.fingerprint if seen else None) or "")
    if began_at is None or known is None:
        return
    told = PlaceFlawed(
        place=places.as_place(row),
        flaw=finding.flaw,
        fingerprint=known.fingerprint,
        lineage_id=known.lineage_id,
        names=known.names[:MOST_NAMES],
        beside=list(finding.beside),
        began_at=began_at,
    )
    tx.emit(told, now=now)


async def _ended(tx: Transaction, place: str, flaw: Flaw, *, now: datetime) -> None:
    ended_at = await flaws.end(tx, place, flaw, now=now)
    [row] = await places.rows_of(tx.session, [place])
    seen = await places.sighting(tx, place)
    if ended_at is not None:
        told = PlaceMended(
            place=places.as_place(row),
            flaw=flaw,
            fingerprint=seen.fingerprint if seen is not None else None,
            ended_at=ended_at,
        )
        tx.emit(told, now=now)
