"""The verbs on orders, but for the work itself: begin, look at, try again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.renewal import store
from services.renewal.actions.outcomes import add_step, give_up, tell_failed
from services.renewal.actions.placing import (
    authority_for,
    judged,
    new_order,
    refuse_second,
    trusted_authority,
)
from services.renewal.actions.profiles import profile_named
from services.renewal.actions.scopes import require_lineage, sees_lineage
from services.renewal.domain.brought import read_csr
from services.renewal.domain.budgets import is_loop, loop_window
from services.renewal.domain.names import canonical
from services.renewal.domain.orders import OPEN, State
from services.renewal.domain.schedule import Reason
from shared.access import Principal
from shared.errors import Conflict, Fault, Invalid, NotFound
from shared.groups import listed
from shared.ids import new_id
from shared.store import Database, Transaction


@dataclass(frozen=True, kw_only=True)
class NewOrder:
    """What is to be ordered; without a lineage it begins a new one. `profile` is a name."""

    names: Sequence[str]
    profile: str
    lineage_id: str | None
    groups: Sequence[str] = ()
    """Of the new lineage."""
    csr: str | None = None
    """A request of the caller's own, in PEM: its key never comes here."""


class Orders:
    """Certificates that are to be obtained."""

    def __init__(self, database: Database, *, ring: Callable[[], None]) -> None:
        self._database = database
        self._ring = ring

    async def create(self, new: NewOrder, *, caller: Principal, now: datetime) -> store.Order:
        """Order now. Raises `Invalid`, `Forbidden`, `NotFound`, or `Conflict` where the lineage has an open order."""
        brought = read_csr(new.csr) if new.csr is not None else None
        names = canonical(new.names if brought is None else brought.names)
        if brought is not None and new.names and set(canonical(new.names)) != set(names):
            raise _other_names(names)
        lineage_id = new.lineage_id or new_id()
        groups = _groups(new, caller=caller)
        async with self._database.transaction() as tx:
            await store.lock_lineage(tx, lineage_id)
            if new.lineage_id is None:
                await store.LINEAGES.add(tx, lineage_id, groups, at=now)
            await require_lineage(tx.session, lineage_id, caller=caller)
            profile = await profile_named(tx.session, new.profile, caller=caller)
            authority = await trusted_authority(tx.session, profile)
            key = brought.key if brought is not None else None
            notes = await judged(
                tx.session, profile, authority, names, key=key, lineage_id=lineage_id, now=now
            )
            await refuse_second(tx, lineage_id)
            old = await _present_fingerprint(tx, lineage_id)
            order = await new_order(
                tx, profile, authority, lineage_id=lineage_id, names=names, old=old, by=caller.id, now=now
            )
            order.groups, order.given_csr = groups, brought.der if brought is not None else None
            _note(tx, order, notes, now=now)
            tx.after_commit(self._ring)
        return order

    async def renew(
        self,
        tx: Transaction,
        enrolment: store.Enrolment,
        schedule: store.Schedule,
        *,
        reason: Reason,
        by: str,
        is_by_hand: bool = False,
        now: datetime,
    ) -> store.Order:
        """Order for an enrolled lineage without an open order, whose lock is held.

        Where the policy forbids it, or nobody who is trusted may issue, the order has failed already; where the lineage
        is renewed round and round it is held, unless a person asks.
        """
        profile = await tx.session.get_one(store.Profile, enrolment.profile_id)
        authority, fault = await authority_for(tx.session, profile)
        names = enrolment.names if enrolment.names is not None else schedule.names or []
        order = await new_order(
            tx,
            profile,
            authority,
            lineage_id=enrolment.lineage_id,
            names=tuple(names),
            old=schedule.fingerprint,
            by=by,
            now=now,
        )
        order.reason = reason
        schedule.ordered_at, schedule.look_at = now, None
        try:
            order.names = list(canonical(names))
            if fault is not None:
                raise fault
            notes = await judged(
                tx.session, profile, authority, order.names, lineage_id=order.lineage_id, now=now
            )
            _note(tx, order, notes, now=now)
        except (Conflict, Invalid) as error:
            give_up(tx, order, reason=error.detail, what_to_do=error.next_step, now=now)
        else:
            if not is_by_hand:
                await _hold_a_loop(tx, order, schedule, now=now)
        tx.after_commit(self._ring)
        return order

    async def page(
        self,
        *,
        after: str | None,
        limit: int,
        caller: Principal,
        lineage_id: str | None = None,
        state: State | None = None,
    ) -> Sequence[store.Order]:
        """Return orders that the caller sees, newest first, one more than `limit` where there are more."""
        async with self._database.read() as session:
            return await store.newest(
                session,
                store.Order,
                after=after,
                limit=limit,
                scope=caller.scope,
                lineage_id=lineage_id,
                state=state,
            )

    async def get(self, order_id: str, *, caller: Principal) -> tuple[store.Order, Sequence[store.Step]]:
        """Return an order and its steps, oldest first. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await seen(session, await session.get(store.Order, order_id), order_id, caller=caller)
            return row, await store.steps_of(session, order_id)

    async def retry(self, order_id: str, *, caller: Principal, now: datetime) -> store.Order:
        """Try again at once, with all waits again.

        Raises `Conflict` where there is nothing to try, and `Invalid` where the policy does not allow it (any more).
        """
        async with self._database.transaction() as tx:
            row = await tx.session.get(store.Order, order_id)
            order = await seen(tx.session, row, order_id, caller=caller)
            await store.lock_lineage(tx, order.lineage_id)
            order = await tx.session.get_one(
                store.Order, order_id, with_for_update=True, populate_existing=True
            )
            if order.state not in (State.WAITING, State.FAILED):
                raise Conflict(
                    f"The order is {order.state}.", next_step="Only one that failed or waits is tried again."
                )
            if order.state == State.FAILED and order.fingerprint is not None:
                raise Conflict(
                    "The order has a certificate, which was not accepted.",
                    next_step="Have that revoked with POST /v1/revocations, and order anew.",
                )
            if order.placed_at is None:
                profile = await tx.session.get_one(store.Profile, order.profile_id)
                authority = await tx.session.get_one(store.Authority, order.authority_id)
                names = canonical(order.names)
                await judged(tx.session, profile, authority, names, lineage_id=order.lineage_id, now=now)
            if order.state == State.FAILED:
                await refuse_second(tx, order.lineage_id)
                order.attempts = 0
            order.state, order.next_attempt_at, order.held_by = State.PENDING, now, None
            add_step(tx, order, "retry", f"{caller.name} has it tried again.", now=now)
            tx.after_commit(self._ring)
        return order


async def _hold_a_loop(
    tx: Transaction, order: store.Order, schedule: store.Schedule, *, now: datetime
) -> None:
    """Let an order wait for a person where its lineage is renewed again and again and never seen in place."""
    if schedule.not_before is None or schedule.not_after is None:
        return
    window = loop_window(schedule.not_after - schedule.not_before)
    unseen = await store.renewed_unseen(tx.session, lineage_id=order.lineage_id, since=now - window)
    if not is_loop(unseen):
        return
    order.state, order.next_attempt_at, order.held_by = State.WAITING, None, "loop"
    order.last_error = f"It was renewed {unseen} times within {window} and never seen in place."
    order.next_step = (
        "Find out why what is issued is not put in place, then have this order tried again with "
        f"POST /v1/orders/{order.id}/retry."
    )
    add_step(tx, order, "held", order.last_error, now=now)
    tell_failed(tx, order, now=now)


def _note(tx: Transaction, order: store.Order, notes: Sequence[str], *, now: datetime) -> None:
    for text in notes:
        add_step(tx, order, "policy", text, now=now)


def _other_names(names: Sequence[str]) -> Invalid:
    text = f"The request in `csr` is for {', '.join(names)}, and `names` says something else."
    faults = [Fault(pointer="/body/names", message=text)]
    return Invalid(text, next_step="Leave `names` out, or name the same.", faults=faults)


async def _present_fingerprint(tx: Transaction, lineage_id: str) -> str | None:
    """Return the certificate that an order of a lineage is to replace, as far as it is known."""
    last = await store.latest_order(tx.session, lineage_id=lineage_id, state=State.RENEWED)
    notice = await tx.session.get(store.Notice, lineage_id)
    if last is not None and (notice is None or last.old_fingerprint == notice.fingerprint):
        return last.fingerprint
    return notice.fingerprint if notice is not None and notice.is_open else None


def _groups(new: NewOrder, *, caller: Principal) -> list[str]:
    """Return the groups that a new lineage begins in; one that is there is in those that inventory says."""
    if new.lineage_id is None:
        return listed(caller.grouped(new.groups))
    if new.groups:
        text = "The lineage is in groups already."
        raise Invalid(
            text,
            next_step="Leave the groups out, and change them in inventory.",
            faults=[Fault(pointer="/body/groups", message=text)],
        )
    return []


async def seen(
    session: AsyncSession, order: store.Order | None, order_id: str, *, caller: Principal
) -> store.Order:
    """Return the order. Raises `NotFound` where there is none that the caller sees."""
    if order is None or not await sees_lineage(session, order.lineage_id, caller=caller):
        raise NotFound(f"There is no order {order_id}.", next_step="List them with GET /v1/orders.")
    return order


def is_open(order: store.Order) -> bool:
    """Return whether an order is not at its end."""
    return order.state in OPEN
