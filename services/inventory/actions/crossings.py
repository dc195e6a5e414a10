"""Notices when a certificate crosses a threshold, and tells it once."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from services.inventory.actions.organising import settle
from services.inventory.actions.timeline import Entry, note
from services.inventory.domain import thresholds
from services.inventory.domain.thresholds import Crossing, Limit
from services.inventory.domain.timeline import Happening
from services.inventory.store import associations, certificates, places, replacements, teams
from services.inventory.store.locks import hold
from services.inventory.store.tables import Certificate, Crossed
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
        found = [await certificates.certificate(tx.session, fingerprint) for fingerprint in fingerprints]
        rows = [row for row in found if row is not None]
        passed = [await self._assess(tx, row, now=now) for row in rows]
        # Before it is told: a certificate that is told to expire is told with its owner.
        await settle(tx, [row.fingerprint for row in rows], now=now)
        for row, crossings in zip(rows, passed, strict=True):
            if crossings and row.urgency is not None:
                await self._record(tx, row, crossings, now=now)

    async def _assess(self, tx: Transaction, row: Certificate, *, now: datetime) -> list[Crossing]:
        was_current, row.is_current = row.is_current, await _is_current(tx, row)
        if row.is_current != was_current:
            await associations.mark(tx, fingerprints=[row.fingerprint])
        ahead = self._crossings(row) if row.is_current else ()
        passed = [crossing for crossing in ahead if crossing.at <= now]
        row.next_crossing_at = min((crossing.at for crossing in ahead if crossing.at > now), default=None)
        row.urgency = thresholds.most_urgent([crossing.urgency for crossing in passed])
        return passed

    def begin(self, row: Certificate, *, now: datetime) -> bool:
        """Make a new certificate that is in use current; return False where it is urgent already, which is to be told."""
        ahead = self._crossings(row)
        if any(crossing.at <= now for crossing in ahead):
            return False
        row.is_current = True
        row.next_crossing_at = min((crossing.at for crossing in ahead), default=None)
        return True

    def _crossings(self, row: Certificate) -> tuple[Crossing, ...]:
        if row.not_before is None or row.not_after is None:
            return ()
        return thresholds.crossings(not_before=row.not_before, not_after=row.not_after, limits=self._limits)

    async def _record(
        self, tx: Transaction, row: Certificate, passed: Sequence[Crossing], *, now: datetime
    ) -> None:
        """Put what was passed on record; where several were passed at once, only the most urgent is told."""
        rows = [
            Crossed(
                lineage_id=row.lineage_id,
                fingerprint=row.fingerprint,
                urgency=crossing.urgency,
                at=crossing.at,
                is_told=crossing.urgency == row.urgency,
            )
            for crossing in passed
        ]
        if row.urgency in await certificates.keep_crossed(tx, rows):
            await _tell(tx, row, Urgency(row.urgency), now=now)


async def _is_current(tx: Transaction, row: Certificate) -> bool:
    """Return whether the expiry of a certificate matters.

    One that renewal has replaced does not count, even where it is still served: that is told as
    stale. One that somebody else replaced counts as long as it is anywhere.
    """
    successors = await replacements.successors(tx.session, row.fingerprint)
    if any(successor.order_id is not None for successor in successors):
        return False
    if await places.is_served(tx.session, row.fingerprint):
        return True
    return row.is_from_renewal and not successors


async def _tell(tx: Transaction, row: Certificate, urgency: Urgency, *, now: datetime) -> None:
    if row.not_before is None or row.not_after is None:
        return
    seen_at = await places.places_serving(tx.session, row.fingerprint, limit=PLACES_TOLD)
    expiring = CertificateExpiring(
        lineage_id=row.lineage_id,
        fingerprint=row.fingerprint,
        urgency=urgency,
        not_before=row.not_before,
        not_after=row.not_after,
        subject_name=row.subject or "",
        issuer_name=row.issuer or "",
        names=row.names,
        places=[places.as_place(place) for place, _seen in seen_at],
        place_count=await places.count_serving(tx.session, row.fingerprint),
        owner=await _owner(tx, row),
    )
    entry = Entry(
        kind=Happening.EXPIRING,
        text=f"{urgency.capitalize()}: it ends at {row.not_after:%Y-%m-%d %H:%M} UTC.",
        at=now,
        fingerprint=row.fingerprint,
        event_id=tx.emit(expiring, now=now),
    )
    note(tx, row.lineage_id, entry)


async def _owner(tx: Transaction, row: Certificate) -> Owner | None:
    team = await teams.team(tx.session, row.owner_id) if row.owner_id is not None else None
    if team is None:
        return None
    contacts = [Contact.model_validate(each) for each in team.contacts[:CONTACTS_TOLD]]
    return Owner(id=team.id, name=team.name, contacts=contacts)
