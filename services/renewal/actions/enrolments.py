"""Which lineages are renewed by themselves: enrolled by people, due when inventory says so, in either order."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from services.renewal import store
from services.renewal.actions.orders import Orders, is_open
from services.renewal.actions.outcomes import add_step, end_without
from services.renewal.actions.placing import judged
from services.renewal.actions.profiles import profile_named
from services.renewal.actions.schedules import OURSELVES, Schedules
from services.renewal.actions.scopes import require_lineage, sees_lineage
from services.renewal.actions.timing import forget, known_by_notice, learn, present, retime, schedule_for
from services.renewal.domain.names import canonical
from services.renewal.domain.orders import NoticeFacts, State, is_urgent, needs_order, supersedes
from services.renewal.domain.schedule import Reason
from shared.access import Principal
from shared.errors import NotFound
from shared.events.inventory import CertificateExpiring, CertificateReplaced, LineagesGrouped, Urgency
from shared.events.renewal import LineageEnrolled, LineageWithdrawn, RequestWithdrawn
from shared.store import Database, Transaction
from shared.telemetry import CERTIFICATES_OBSERVED


class Enrolments:
    """Lineages that are renewed by themselves."""

    def __init__(self, database: Database, orders: Orders, schedules: Schedules) -> None:
        self._database = database
        self._orders = orders
        self._schedules = schedules

    async def enrol(
        self,
        lineage_id: str,
        *,
        profile: str,
        names: Sequence[str] | None,
        caller: Principal,
        now: datetime,
    ) -> tuple[store.Enrolment, str]:
        """Enrol a lineage, or change how; return it and its profile's name.

        Where the lineage is due already it is ordered at once. Raises `Invalid` where the names
        (or, with none, those inventory has told) are not allowed by the profile, and `NotFound` where the caller does not see the lineage.
        """
        async with self._database.transaction() as tx:
            await store.lock_lineage(tx, lineage_id)
            await require_lineage(tx.session, lineage_id, caller=caller)
            row = await profile_named(tx.session, profile, caller=caller)
            written = canonical(names) if names is not None else None
            notice = await tx.session.get(store.Notice, lineage_id)
            told = canonical(notice.names) if notice is not None and notice.is_open and notice.names else ()
            authority = await tx.session.get_one(store.Authority, row.authority_id)
            await judged(tx.session, row, authority, written or told, lineage_id=lineage_id, now=now)
            enrolment = await self._keep(tx, lineage_id, profile=row, names=written, by=caller.id, now=now)
            if not await self._schedule(tx, enrolment, row, now=now):
                await self._order(tx, enrolment, notice, now=now)
            tx.emit(LineageEnrolled(lineage_id=lineage_id, profile=row.name, enrolled_at=now), now=now)
        return enrolment, row.name

    async def _keep(
        self,
        tx: Transaction,
        lineage_id: str,
        *,
        profile: store.Profile,
        names: Sequence[str] | None,
        by: str,
        now: datetime,
    ) -> store.Enrolment:
        enrolment = await tx.session.get(store.Enrolment, lineage_id)
        if enrolment is None:
            enrolment = store.Enrolment(
                lineage_id=lineage_id, profile_id=profile.id, created_at=now, created_by=by, updated_at=now
            )
            tx.session.add(enrolment)
        enrolment.profile_id, enrolment.updated_at, enrolment.updated_by = profile.id, now, by
        enrolment.names = list(names) if names is not None else None
        await tx.session.flush()
        return enrolment

    async def _schedule(
        self, tx: Transaction, enrolment: store.Enrolment, profile: store.Profile, *, now: datetime
    ) -> bool:
        """Have it known when the lineage is due, without asking anybody; return whether that is now, and it is ordered."""
        schedule = await schedule_for(tx, enrolment.lineage_id, now=now)
        known = await present(tx, enrolment.lineage_id)
        if known is not None and (schedule.not_after is None or known.fingerprint == schedule.fingerprint):
            await learn(tx, schedule, known, profile=profile, now=now)
        else:
            retime(schedule, profile, now=now)
        return await self._schedules.order(tx, schedule, now=now) is not None

    async def page(
        self, *, after: str | None, limit: int, caller: Principal
    ) -> list[tuple[store.Enrolment, str]]:
        """Return enrolments that the caller sees with their profiles' names, one more than `limit` where there are more."""
        async with self._database.read() as session:
            rows = await store.enrolments(session, after=after, limit=limit, scope=caller.scope)
            names = await store.names_of(session, store.Profile, {row.profile_id for row in rows})
        return [(row, names[row.profile_id]) for row in rows]

    async def get(self, lineage_id: str, *, caller: Principal) -> tuple[store.Enrolment, str]:
        """Return an enrolment and its profile's name. Raises `NotFound`."""
        async with self._database.read() as session:
            is_seen = await sees_lineage(session, lineage_id, caller=caller)
            row = _found(await session.get(store.Enrolment, lineage_id) if is_seen else None, lineage_id)
            return row, (await session.get_one(store.Profile, row.profile_id)).name

    async def withdraw(self, lineage_id: str, *, caller: Principal, now: datetime) -> None:
        """Renew a lineage by itself no more; an order that is open goes on. Raises `NotFound`."""
        async with self._database.transaction() as tx:
            is_seen = await sees_lineage(tx.session, lineage_id, caller=caller)
            row = await tx.session.get(store.Enrolment, lineage_id, with_for_update=True)
            await tx.session.delete(_found(row if is_seen else None, lineage_id))
            schedule = await tx.session.get(store.Schedule, lineage_id)
            if schedule is not None:
                await tx.session.delete(schedule)
            tx.emit(LineageWithdrawn(lineage_id=lineage_id, withdrawn_at=now), now=now)

    async def grouped(self, tx: Transaction, told: LineagesGrouped, *, at: datetime) -> None:
        """Remember which groups lineages are in: who may see what hangs on them."""
        await store.LINEAGES.tell(tx, told.group_id, joined=told.joined, left=told.left, at=at)

    async def expiring(self, tx: Transaction, told: CertificateExpiring, *, now: datetime) -> None:
        """Remember that a lineage runs out; order where it is enrolled."""
        await store.lock_lineage(tx, told.lineage_id)
        notice = await tx.session.get(store.Notice, told.lineage_id)
        if not supersedes(_facts(told), _kept_facts(notice)):
            return
        if notice is not None:
            await tx.session.delete(notice)
            await tx.session.flush()
        notice = _notice(told, now=now)
        tx.session.add(notice)
        enrolment = await tx.session.get(store.Enrolment, told.lineage_id)
        if enrolment is not None and not await self._time(tx, enrolment, notice, now=now):
            await self._order(tx, enrolment, notice, now=now)

    async def _time(
        self, tx: Transaction, enrolment: store.Enrolment, notice: store.Notice, *, now: datetime
    ) -> bool:
        """Take in what a notice says of the certificate, unless the schedule is for one that lasts longer.

        Return whether it is due by that, and ordered.
        """
        schedule = await schedule_for(tx, enrolment.lineage_id, now=now)
        known = known_by_notice(notice)
        is_newer = schedule.not_after is None or notice.not_after > schedule.not_after
        if known is not None and (is_newer or known.fingerprint == schedule.fingerprint):
            profile = await tx.session.get_one(store.Profile, enrolment.profile_id)
            await learn(tx, schedule, known, profile=profile, now=now)
        return await self._schedules.order(tx, schedule, now=now) is not None

    async def _order(
        self, tx: Transaction, enrolment: store.Enrolment, notice: store.Notice | None, *, now: datetime
    ) -> None:
        """Order for what runs out, if the schedule has not: the net below it.

        It is there for what the schedule does not know yet, for an order that has failed for good meanwhile, and for a
        certificate that inventory finds urgent, whatever its schedule says.
        """
        if notice is None or not notice.is_open:
            return
        if await store.open_order(tx.session, enrolment.lineage_id) is not None:
            return
        latest = await store.latest_order(
            tx.session, lineage_id=enrolment.lineage_id, old_fingerprint=notice.fingerprint
        )
        if not needs_order(State(latest.state) if latest is not None else None):
            return
        schedule = await schedule_for(tx, enrolment.lineage_id, now=now)
        if latest is None and not is_urgent(Urgency(notice.urgency)) and schedule.renew_at != store.NEVER:
            return
        schedule.fingerprint, schedule.names = notice.fingerprint, notice.names
        await self._orders.renew(tx, enrolment, schedule, reason=Reason.EXPIRING, by=OURSELVES, now=now)

    async def replaced(self, tx: Transaction, told: CertificateReplaced, *, now: datetime) -> None:
        """Close a lineage's notice; what was obtained for it was seen, and what waits for it is void."""
        await store.lock_lineage(tx, told.lineage_id)
        notice = await tx.session.get(store.Notice, told.lineage_id)
        if notice is not None and notice.fingerprint == told.old_fingerprint:
            notice.is_open = False
        for ordered_at in await store.mark_observed(
            tx, lineage_id=told.lineage_id, fingerprint=told.fingerprint, at=told.observed_at
        ):
            took = (told.observed_at - ordered_at).total_seconds()
            tx.after_commit(partial(CERTIFICATES_OBSERVED.observe, took))
        order = await store.open_order(tx.session, told.lineage_id)
        if order is not None and order.old_fingerprint == told.old_fingerprint and order.lease is None:
            _void(tx, order, now=now)
        await tx.session.flush()  # orders before schedules, as everybody locks them
        schedule = await tx.session.get(store.Schedule, told.lineage_id, with_for_update=True)
        if schedule is not None and schedule.fingerprint == told.old_fingerprint:
            forget(schedule, now=now)


def _void(tx: Transaction, order: store.Order, *, now: datetime) -> None:
    if not is_open(order):
        return
    order.last_error = "The certificate was seen to be replaced by another one; this order is not needed."
    order.next_step = "Nothing is to be done."
    if order.request_until is not None:
        tx.emit(RequestWithdrawn(order_id=order.id, lineage_id=order.lineage_id), now=now)
    end_without(order)
    add_step(tx, order, "void", order.last_error, now=now)


def _facts(told: CertificateExpiring) -> NoticeFacts:
    return NoticeFacts(
        fingerprint=told.fingerprint, not_after=told.not_after, urgency=told.urgency, is_open=True
    )


def _kept_facts(notice: store.Notice | None) -> NoticeFacts | None:
    if notice is None:
        return None
    return NoticeFacts(
        fingerprint=notice.fingerprint,
        not_after=notice.not_after,
        urgency=Urgency(notice.urgency),
        is_open=notice.is_open,
    )


def _notice(told: CertificateExpiring, *, now: datetime) -> store.Notice:
    return store.Notice(
        lineage_id=told.lineage_id,
        fingerprint=told.fingerprint,
        names=told.names,
        not_before=told.not_before,
        issuer=told.issuer_name,
        not_after=told.not_after,
        urgency=told.urgency,
        is_open=True,
        told_at=now,
    )


def _found(row: store.Enrolment | None, lineage_id: str) -> store.Enrolment:
    if row is None:
        raise NotFound(
            f"The lineage {lineage_id} is not enrolled.", next_step="Enrol it with PUT on the same path."
        )
    return row
