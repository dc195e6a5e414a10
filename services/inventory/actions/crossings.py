"""Notices when a certificate crosses a threshold, and tells it once."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from services.inventory.actions.holding import hold_certificates
from services.inventory.actions.organising import settle
from services.inventory.actions.timeline import Entry, note_all
from services.inventory.domain import thresholds
from services.inventory.domain.thresholds import Crossing, Limit
from services.inventory.domain.timeline import Happening
from services.inventory.store import associations, certificates, places, replacements, teams, whereabouts
from services.inventory.store.arrivals import NewCertificate
from services.inventory.store.organised import TeamRow
from services.inventory.store.tables import Certificate
from shared.events.inventory import CertificateAging, CertificateExpiring, Contact, Owner, Urgency
from shared.store import Database, Transaction

BATCH = 100
PLACES_TOLD = 50
CONTACTS_TOLD = 10


class Crossings:
    """The thresholds, and which certificates have crossed them."""

    def __init__(self, database: Database, *, limits: Mapping[Urgency, Limit]) -> None:
        self._database = database
        self._limits = limits

    async def cross_due(self, now: datetime) -> bool:
        """Look at certificates that have come to a threshold; return whether there may be more."""
        async with self._database.read() as session:
            due = await certificates.due_crossings(session, now=now, limit=BATCH)
        if due:
            async with self._database.transaction() as tx:
                await hold_certificates(tx, due)
                await self.assess(tx, due, now=now)
        return len(due) == BATCH

    async def assess(
        self, tx: Transaction, fingerprints: Sequence[str], *, beside: Collection[str] = (), now: datetime
    ) -> None:
        """Bring the urgency of these certificates, which are held, up to date, and what rules say of them; tell what is news.

        What rules say is made true of those `beside` too, whose urgency is as it should be.
        """
        rows = await certificates.fresh(tx.session, fingerprints)
        current = await _current(tx, rows)
        turned = [row.fingerprint for row in rows if row.is_current != (row.fingerprint in current)]
        passed: dict[str, Sequence[Crossing]] = {}
        aging = []
        for row in rows:
            row.is_current = row.fingerprint in current
            ahead = self._crossings(row.not_before, row.not_after) if row.is_current else ()
            passed[row.fingerprint] = [crossing for crossing in ahead if crossing.at <= now]
            since = row.next_crossing_at
            is_new = row.fingerprint in turned or row.first_known_at == now
            row.urgency, row.next_crossing_at = _standing(ahead, half=_half_life(row), now=now)
            if row.is_current and _is_news(row, since=since, is_new=is_new, now=now):
                aging.append(row)
        await associations.mark(tx, fingerprints=turned)
        # Before it is told: a certificate that is told to expire is told with its owner.
        await settle(tx, [*(row.fingerprint for row in rows), *beside], now=now)
        await record(tx, rows, passed, now=now)
        await tell_aging(tx, aging, now=now)

    def begin(self, new: NewCertificate, *, now: datetime) -> Sequence[Crossing]:
        """Make a new certificate that is in use current; return the thresholds that it has crossed already."""
        fields = new.reading.fields
        ahead = self._crossings(fields.not_before, fields.not_after)
        new.urgency, new.next_crossing_at = _standing(ahead, half=_half_life(fields), now=now)
        new.is_aging = new.urgency is None and is_past_half(fields, now=now)
        return [crossing for crossing in ahead if crossing.at <= now]

    def _crossings(self, not_before: datetime | None, not_after: datetime | None) -> tuple[Crossing, ...]:
        if not_before is None or not_after is None:
            return ()
        return thresholds.crossings(not_before=not_before, not_after=not_after, limits=self._limits)


class _Lifetime(Protocol):
    @property
    def not_before(self) -> datetime | None: ...
    @property
    def not_after(self) -> datetime | None: ...


def _half_life(of: _Lifetime) -> datetime | None:
    if of.not_before is None or of.not_after is None:
        return None
    return thresholds.half_life(not_before=of.not_before, not_after=of.not_after)


def is_past_half(of: _Lifetime, *, now: datetime) -> bool:
    """Return whether half of its life is over."""
    half = _half_life(of)
    return half is not None and half <= now


def _is_news(row: Certificate, *, since: datetime | None, is_new: bool, now: datetime) -> bool:
    """Return whether half of its life has come to be over, and nothing more urgent is told instead.

    `since` is when its standing was to change next: it had been over before where that is later.
    """
    half = _half_life(row)
    if half is None or half > now or row.urgency is not None:
        return False
    return is_new or (since is not None and since <= half)


def _standing(
    ahead: Sequence[Crossing], *, half: datetime | None, now: datetime
) -> tuple[Urgency | None, datetime | None]:
    """Return how urgent it is now, and when to look again."""
    urgency = thresholds.most_urgent([crossing.urgency for crossing in ahead if crossing.at <= now])
    looks = [crossing.at for crossing in ahead]
    if half is not None and ahead:
        looks.append(half)
    return urgency, min((at for at in looks if at > now), default=None)


async def _current(tx: Transaction, rows: Sequence[Certificate]) -> set[str]:
    """Return those whose expiry matters.

    One that renewal has replaced does not count, even where it is still served: that is told as
    stale. One that somebody else replaced counts as long as it is anywhere.
    """
    names = [row.fingerprint for row in rows]
    by_order: dict[str, bool] = {}
    for old, is_by_order in await replacements.are_replaced(tx, names):
        by_order[old] = by_order.get(old, False) or is_by_order
    served = await whereabouts.served(tx, names)
    return {
        row.fingerprint
        for row in rows
        if not by_order.get(row.fingerprint, False)
        and (row.fingerprint in served or (row.is_from_renewal and row.fingerprint not in by_order))
    }


async def record(
    tx: Transaction,
    rows: Sequence[Certificate],
    passed: Mapping[str, Sequence[Crossing]],
    *,
    now: datetime,
) -> None:
    """Put what was passed on record, by fingerprint; of several at once only the most urgent is told."""
    values = [
        (row.lineage_id, row.fingerprint, crossing.urgency, crossing.at, crossing.urgency == row.urgency)
        for row in rows
        for crossing in passed[row.fingerprint]
    ]
    news = await certificates.keep_crossed(tx, values) if values else set()
    told = [row for row in rows if row.urgency and (row.fingerprint, row.urgency) in news]
    if told:
        await _tell(tx, told, now=now)


async def tell_aging(tx: Transaction, rows: Sequence[Certificate], *, now: datetime) -> None:
    """Tell that half of the life of these certificates is over."""
    for row, told in zip(rows, await _told(tx, rows), strict=True):
        if row.not_before is not None and row.not_after is not None:
            tx.emit(CertificateAging.model_validate(told), now=now)


async def _tell(tx: Transaction, rows: Sequence[Certificate], *, now: datetime) -> None:
    entries = []
    for row, told in zip(rows, await _told(tx, rows), strict=True):
        entry = _tell_one(tx, row, told, now=now)
        if entry is not None:
            entries.append((row.lineage_id, entry))
    await note_all(tx, entries)


async def _told(tx: Transaction, rows: Sequence[Certificate]) -> list[dict[str, Any]]:
    """Return what is told of certificates: what they are, where they are and whose."""
    if not rows:
        return []
    names = [row.fingerprint for row in rows]
    seen_at = await whereabouts.serving_each(tx, names, limit=PLACES_TOLD)
    counts = await whereabouts.count_each(tx, names)
    owners = await teams.with_deputies(tx.session, {row.owner_id for row in rows if row.owner_id is not None})
    return [
        {
            "lineage_id": row.lineage_id,
            "fingerprint": row.fingerprint,
            "not_before": row.not_before,
            "not_after": row.not_after,
            "subject_name": row.subject or "",
            "issuer_name": row.issuer or "",
            "names": row.names,
            "places": [places.as_place(place) for place in seen_at.get(row.fingerprint, ())],
            "place_count": counts.get(row.fingerprint, 0),
            "owner": _owner(row.owner_id, owners),
        }
        for row in rows
    ]


def _tell_one(tx: Transaction, row: Certificate, told: Mapping[str, Any], *, now: datetime) -> Entry | None:
    if row.not_before is None or row.not_after is None or row.urgency is None:
        return None
    urgency = Urgency(row.urgency)
    expiring = CertificateExpiring.model_validate({**told, "urgency": urgency})
    return Entry(
        kind=Happening.EXPIRING,
        text=f"{urgency.capitalize()}: it ends at {row.not_after:%Y-%m-%d %H:%M} UTC.",
        at=now,
        fingerprint=row.fingerprint,
        event_id=tx.emit(expiring, now=now),
    )


def _owner(owner_id: str | None, teams_: Mapping[str, TeamRow]) -> Owner | None:
    team = teams_.get(owner_id or "")
    if team is None:
        return None
    deputy = teams_.get(team.deputy_id or "")
    deputies = deputy.contacts if deputy else [team.deputy_contact] if team.deputy_contact else []
    return Owner(id=team.id, name=team.name, contacts=_contacts(team.contacts), deputies=_contacts(deputies))


def _contacts(contacts: Sequence[Mapping[str, Any]]) -> list[Contact]:
    return [Contact.model_validate(each) for each in contacts[:CONTACTS_TOLD]]
