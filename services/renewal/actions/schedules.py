"""When each enrolled lineage is renewed: looked at, brought forward by people and by events, and ordered when due."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from services.renewal import store
from services.renewal.actions.orders import Orders
from services.renewal.actions.scopes import sees_lineage
from services.renewal.actions.timing import force, retime
from services.renewal.domain.orders import State, needs_order
from services.renewal.domain.schedule import Reason, spread
from shared.access import Principal
from shared.errors import NotFound
from shared.events.inventory import (
    CertificateCompliant,
    CertificateNoncompliant,
    CertificateRevocationSeen,
    RuleSeverity,
)
from shared.store import Database, Transaction

log = structlog.get_logger(__name__)
OURSELVES = "renewal"
BATCH = 100
"""Lineages that are ordered in one transaction."""
STORM = timedelta(days=1)
"""A policy that is switched on finds very many certificates at once: what is not of high severity is spread over this."""
_SEVERITIES = list(RuleSeverity)


class Schedules:
    """The schedules of enrolled lineages."""

    def __init__(self, database: Database, orders: Orders) -> None:
        self._database = database
        self._orders = orders

    async def page(
        self,
        *,
        after: tuple[datetime, str] | None,
        limit: int,
        caller: Principal,
        reason: Reason | None = None,
        due_before: datetime | None = None,
    ) -> Sequence[store.Schedule]:
        """Return schedules that the caller sees, due first first, one more than `limit` where there are more."""
        async with self._database.read() as session:
            return await store.schedules(
                session, after=after, limit=limit, scope=caller.scope, reason=reason, due_before=due_before
            )

    async def get(self, lineage_id: str, *, caller: Principal) -> store.Schedule:
        """Return a lineage's schedule. Raises `NotFound`."""
        async with self._database.read() as session:
            is_seen = await sees_lineage(session, lineage_id, caller=caller)
            return _found(await session.get(store.Schedule, lineage_id) if is_seen else None, lineage_id)

    async def renew_now(self, lineage_id: str, *, caller: Principal, now: datetime) -> store.Order:
        """Renew an enrolled lineage now; return its order, which is the open one where it has one. Raises `NotFound`."""
        async with self._database.transaction() as tx:
            is_seen = await sees_lineage(tx.session, lineage_id, caller=caller)
            await store.lock_lineage(tx, lineage_id)
            row = await tx.session.get(store.Schedule, lineage_id, with_for_update=True) if is_seen else None
            row = _found(row, lineage_id)
            open_order = await store.open_order(tx.session, lineage_id)
            if open_order is not None:
                return open_order
            force(row, Reason.ASKED, at=now, because=f"{caller.name} asked for it.")
            enrolment = await tx.session.get_one(store.Enrolment, lineage_id)
            return await self._orders.renew(
                tx, enrolment, row, reason=Reason.ASKED, by=caller.id, is_by_hand=True, now=now
            )

    async def order_due(self, now: datetime) -> bool:
        """Order for what is due; return whether there may be more."""
        async with self._database.transaction() as tx:
            due = await store.due_schedules(tx, now=now, limit=BATCH)
            for row in due:
                # Somebody who decides on the lineage just now has its lock, and waits for the row that is held here.
                if await store.try_lock_lineage(tx, row.lineage_id):
                    await self.order(tx, row, now=now)
        return len(due) == BATCH

    async def order(self, tx: Transaction, row: store.Schedule, *, now: datetime) -> store.Order | None:
        """Order for a lineage whose lock is held, if it is due, not ordered yet, and has no open order."""
        if row.ordered_at is not None or row.renew_at > now:
            return None
        enrolment = await tx.session.get(store.Enrolment, row.lineage_id)
        if enrolment is None:
            await tx.session.delete(row)
            return None
        if not await _is_wanted(tx, row):
            row.ordered_at, row.look_at = now, None
            return None
        return await self._orders.renew(tx, enrolment, row, reason=Reason(row.reason), by=OURSELVES, now=now)

    async def retime(self, now: datetime) -> bool:
        """Work out anew what profiles have changed; return whether there may be more."""
        async with self._database.transaction() as tx:
            rows = await store.untimed_schedules(tx, limit=BATCH)
            for row in rows:
                enrolment = await tx.session.get(store.Enrolment, row.lineage_id)
                if enrolment is None:
                    await tx.session.delete(row)
                else:
                    retime(row, await tx.session.get_one(store.Profile, enrolment.profile_id), now=now)
        return len(rows) == BATCH

    async def revocation_seen(
        self, tx: Transaction, told: CertificateRevocationSeen, *, now: datetime
    ) -> None:
        """Renew at once what its authority has revoked, if it is what the lineage has now."""
        because = f"It was seen to be revoked ({told.reason}) by {told.means}."
        row = await self._affected(tx, told.lineage_id, told.fingerprint, names=told.names)
        if row is not None:
            force(row, Reason.REVOKED, at=now, because=because)
            await self.order(tx, row, now=now)

    async def noncompliant(self, tx: Transaction, told: CertificateNoncompliant, *, now: datetime) -> None:
        """Renew what breaks a policy, where its profile says so; once, for what is renewed for it and breaks it still
        would be renewed for ever.
        """
        row = await self._affected(tx, told.lineage_id, told.fingerprint, names=told.names)
        if row is None or not await _renews_at(tx, told):
            return
        came_by = await store.certificate_of(
            tx.session, lineage_id=told.lineage_id, fingerprint=told.fingerprint
        )
        if came_by is not None and came_by.reason == Reason.NONCOMPLIANT:
            log.warning("schedule.still_noncompliant", lineage_id=told.lineage_id, policy=told.policy)
            return
        is_bad = told.severity is RuleSeverity.HIGH
        at = now if is_bad else spread(told.fingerprint, over=STORM, now=now)
        force(row, Reason.NONCOMPLIANT, at=at, because=f"It breaks the policy {told.policy_title}.")
        await self.order(tx, row, now=now)

    async def compliant(self, tx: Transaction, told: CertificateCompliant, *, now: datetime) -> None:
        """Leave a lineage to its own time where what it broke is over, and its renewal was not ordered for it yet."""
        await store.lock_lineage(tx, told.lineage_id)
        row = await tx.session.get(store.Schedule, told.lineage_id, with_for_update=True)
        enrolment = await tx.session.get(store.Enrolment, told.lineage_id)
        if row is None or enrolment is None or row.ordered_at is not None:
            return
        if row.forced == Reason.NONCOMPLIANT:
            row.forced = row.forced_at = row.because = None
            retime(row, await tx.session.get_one(store.Profile, enrolment.profile_id), now=now)

    async def _affected(
        self, tx: Transaction, lineage_id: str, fingerprint: str, *, names: Sequence[str]
    ) -> store.Schedule | None:
        """Return the schedule that something said of a certificate is about; none where the lineage has another one."""
        await store.lock_lineage(tx, lineage_id)
        row = await tx.session.get(store.Schedule, lineage_id, with_for_update=True)
        if row is None or row.ordered_at is not None or row.fingerprint not in (None, fingerprint):
            return None
        if row.fingerprint is None:
            row.fingerprint, row.names = fingerprint, list(names)
        return row


async def _renews_at(tx: Transaction, told: CertificateNoncompliant) -> bool:
    enrolment = await tx.session.get(store.Enrolment, told.lineage_id)
    if enrolment is None:
        return False
    least = (await tx.session.get_one(store.Profile, enrolment.profile_id)).renew_noncompliant
    return least is not None and _SEVERITIES.index(told.severity) >= _SEVERITIES.index(RuleSeverity(least))


async def _is_wanted(tx: Transaction, row: store.Schedule) -> bool:
    if await store.open_order(tx.session, row.lineage_id) is not None:
        return False
    if row.fingerprint is None:
        return True
    latest = await store.latest_order(tx.session, lineage_id=row.lineage_id, old_fingerprint=row.fingerprint)
    return needs_order(State(latest.state) if latest is not None else None)


def _found(row: store.Schedule | None, lineage_id: str) -> store.Schedule:
    if row is None:
        raise NotFound(
            f"The lineage {lineage_id} has no schedule.",
            next_step=f"Enrol it with PUT /v1/enrolments/{lineage_id}.",
        )
    return row
