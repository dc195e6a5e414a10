"""Which lineages are renewed by themselves: enrolled by people, due when inventory says so, in either order."""

from collections.abc import Sequence
from datetime import datetime

from services.renewal import store
from services.renewal.actions.orders import Orders, add_step, forget_request, is_open
from services.renewal.actions.profiles import profile_named
from services.renewal.actions.scopes import require_lineage, sees_lineage
from services.renewal.domain.names import canonical, check_allowed
from services.renewal.domain.orders import NoticeFacts, State, needs_order, supersedes
from shared.access import Principal
from shared.errors import NotFound
from shared.events.inventory import CertificateExpiring, CertificateReplaced, LineagesGrouped, Urgency
from shared.events.renewal import LineageEnrolled, LineageWithdrawn
from shared.store import Database, Transaction

OURSELVES = "renewal"


class Enrolments:
    """Lineages that are renewed by themselves."""

    def __init__(self, database: Database, orders: Orders) -> None:
        self._database = database
        self._orders = orders

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

        Where the lineage runs out already it is ordered at once. Raises `Invalid` where the names
        (or, with none, those inventory has told) are not allowed by the profile, and `NotFound` where the caller does not see the lineage.
        """
        async with self._database.transaction() as tx:
            await store.lock_lineage(tx, lineage_id)
            await require_lineage(tx.session, lineage_id, caller=caller)
            row = await profile_named(tx.session, profile, caller=caller)
            written = canonical(names) if names is not None else None
            notice = await tx.session.get(store.Notice, lineage_id)
            told = canonical(notice.names) if notice is not None and notice.is_open and notice.names else ()
            check_allowed(written or told, patterns=row.allowed_names)
            enrolment = await self._keep(tx, lineage_id, profile=row, names=written, by=caller.id, now=now)
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
        enrolment.profile_id, enrolment.updated_at = profile.id, now
        enrolment.names = list(names) if names is not None else None
        await tx.session.flush()
        return enrolment

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
        if enrolment is not None:
            await self._order(tx, enrolment, notice, now=now)

    async def _order(
        self, tx: Transaction, enrolment: store.Enrolment, notice: store.Notice | None, *, now: datetime
    ) -> None:
        if notice is None or not notice.is_open:
            return
        if await store.open_order(tx.session, enrolment.lineage_id) is not None:
            return
        latest = await store.latest_order(
            tx.session, lineage_id=enrolment.lineage_id, old_fingerprint=notice.fingerprint
        )
        if needs_order(State(latest.state) if latest is not None else None):
            profile = await tx.session.get_one(store.Profile, enrolment.profile_id)
            names = enrolment.names if enrolment.names is not None else notice.names
            await self._orders.begin(tx, profile, notice=notice, names=names, by=OURSELVES, now=now)

    async def replaced(self, tx: Transaction, told: CertificateReplaced, *, now: datetime) -> None:
        """Close a lineage's notice; what was obtained for it was seen, and what waits for it is void."""
        await store.lock_lineage(tx, told.lineage_id)
        notice = await tx.session.get(store.Notice, told.lineage_id)
        if notice is not None and notice.fingerprint == told.old_fingerprint:
            notice.is_open = False
        await store.mark_observed(
            tx, lineage_id=told.lineage_id, fingerprint=told.fingerprint, at=told.observed_at
        )
        order = await store.open_order(tx.session, told.lineage_id)
        if order is not None and order.old_fingerprint == told.old_fingerprint and order.lease is None:
            _void(tx, order, now=now)


def _void(tx: Transaction, order: store.Order, *, now: datetime) -> None:
    if not is_open(order):
        return
    order.last_error = "The certificate was seen to be replaced by another one; this order is not needed."
    order.next_step = "Nothing is to be done."
    store.finish(order, state=State.FAILED)
    forget_request(order)
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
