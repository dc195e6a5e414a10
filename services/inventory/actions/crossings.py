"""Notices when a certificate crosses a threshold, and tells it once."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from services.inventory.actions.organising import settle
from services.inventory.actions.timeline import Entry, note
from services.inventory.domain import thresholds
from services.inventory.domain.thresholds import Crossing, Limit
from services.inventory.domain.timeline import Happening
from services.inventory.store import associations, certificates, places, replacements, teams, whereabouts
from services.inventory.store.arrivals import NewCertificate
from services.inventory.store.locks import hold
from services.inventory.store.organised import TeamRow
from services.inventory.store.tables import Certificate
from shared.events.discovery import Place
from shared.events.inventory import CertificateExpiring, Contact, Owner, Urgency
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
                await self.assess(tx, due, now=now)
        return len(due) == BATCH

    async def assess(self, tx: Transaction, fingerprints: Sequence[str], *, now: datetime) -> None:
        """Bring the urgency of these certificates up to date, and what rules say of them; tell what is news."""
        await hold(tx, *fingerprints)
        rows = await certificates.fresh(tx.session, fingerprints)
        current = await _current(tx, rows)
        turned = [row.fingerprint for row in rows if row.is_current != (row.fingerprint in current)]
        passed: dict[str, Sequence[Crossing]] = {}
        for row in rows:
            row.is_current = row.fingerprint in current
            ahead = self._crossings(row.not_before, row.not_after) if row.is_current else ()
            passed[row.fingerprint] = [crossing for crossing in ahead if crossing.at <= now]
            row.urgency, row.next_crossing_at = _standing(ahead, now=now)
        await associations.mark(tx, fingerprints=turned)
        # Before it is told: a certificate that is told to expire is told with its owner.
        await settle(tx, [row.fingerprint for row in rows], now=now)
        await record(tx, rows, passed, now=now)

    def begin(self, new: NewCertificate, *, now: datetime) -> Sequence[Crossing]:
        """Make a new certificate that is in use current; return the thresholds that it has crossed already."""
        ahead = self._crossings(new.reading.fields.not_before, new.reading.fields.not_after)
        new.urgency, new.next_crossing_at = _standing(ahead, now=now)
        return [crossing for crossing in ahead if crossing.at <= now]

    def _crossings(self, not_before: datetime | None, not_after: datetime | None) -> tuple[Crossing, ...]:
        if not_before is None or not_after is None:
            return ()
        return thresholds.crossings(not_before=not_before, not_after=not_after, limits=self._limits)


def _standing(ahead: Sequence[Crossing], *, now: datetime) -> tuple[Urgency | None, datetime | None]:
    """Return how urgent it is now, and when that changes."""
    urgency = thresholds.most_urgent([crossing.urgency for crossing in ahead if crossing.at <= now])
    return urgency, min((crossing.at for crossing in ahead if crossing.at > now), default=None)


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


async def _tell(tx: Transaction, rows: Sequence[Certificate], *, now: datetime) -> None:
    names = [row.fingerprint for row in rows]
    seen_at = await whereabouts.serving_each(tx, names, limit=PLACES_TOLD)
    counts = await whereabouts.count_each(tx, names)
    owners = await teams.teams(tx.session, {row.owner_id for row in rows if row.owner_id is not None})
    for row in rows:
        where = [places.as_place(place) for place in seen_at.get(row.fingerprint, ())]
        count = counts.get(row.fingerprint, 0)
        _tell_one(tx, row, where, place_count=count, owner=owners.get(row.owner_id or ""), now=now)


def _tell_one(
    tx: Transaction,
    row: Certificate,
    where: list[Place],
    *,
    place_count: int,
    owner: TeamRow | None,
    now: datetime,
) -> None:
    if row.not_before is None or row.not_after is None or row.urgency is None:
        return
    urgency = Urgency(row.urgency)
    expiring = CertificateExpiring(
        lineage_id=row.lineage_id,
        fingerprint=row.fingerprint,
        urgency=urgency,
        not_before=row.not_before,
        not_after=row.not_after,
        subject_name=row.subject or "",
        issuer_name=row.issuer or "",
        names=row.names,
        places=where,
        place_count=place_count,
        owner=_owner(owner),
    )
    entry = Entry(
        kind=Happening.EXPIRING,
        text=f"{urgency.capitalize()}: it ends at {row.not_after:%Y-%m-%d %H:%M} UTC.",
        at=now,
        fingerprint=row.fingerprint,
        event_id=tx.emit(expiring, now=now),
    )
    note(tx, row.lineage_id, entry)


def _owner(team: TeamRow | None) -> Owner | None:
    if team is None:
        return None
    contacts = [Contact.model_validate(each) for each in team.contacts[:CONTACTS_TOLD]]
    return Owner(id=team.id, name=team.name, contacts=contacts)
