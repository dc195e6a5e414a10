"""The verbs on orders, but for the work itself: begin, look at, try again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.renewal import store
from services.renewal.actions.profiles import profile_named
from services.renewal.actions.scopes import require_lineage, sees_lineage
from services.renewal.domain.names import canonical, check_allowed
from services.renewal.domain.orders import OPEN, State
from shared.access import Principal
from shared.errors import Conflict, Fault, Invalid, NotFound
from shared.events.renewal import RenewalFailed
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


class Orders:
    """Certificates that are to be obtained."""

    def __init__(self, database: Database, *, ring: Callable[[], None]) -> None:
        self._database = database
        self._ring = ring

    async def create(self, new: NewOrder, *, caller: Principal, now: datetime) -> store.Order:
        """Order now. Raises `Invalid`, `Forbidden`, `NotFound`, or `Conflict` where the lineage has an open order."""
        names = canonical(new.names)
        lineage_id = new.lineage_id or new_id()
        groups = _groups(new, caller=caller)
        async with self._database.transaction() as tx:
            await store.lock_lineage(tx, lineage_id)
            if new.lineage_id is None:
                await store.LINEAGES.add(tx, lineage_id, groups, at=now)
            await require_lineage(tx.session, lineage_id, caller=caller)
            profile = await profile_named(tx.session, new.profile, caller=caller)
            check_allowed(names, patterns=profile.allowed_names)
            await refuse_second(tx, lineage_id)
            old = await _present_fingerprint(tx, lineage_id)
            order = await new_order(
                tx, profile, lineage_id=lineage_id, names=names, old=old, by=caller.id, now=now
            )
            order.groups = groups
            tx.after_commit(self._ring)
        return order

    async def begin(
        self,
        tx: Transaction,
        profile: store.Profile,
        *,
        notice: store.Notice,
        names: Sequence[str],
        by: str,
        now: datetime,
    ) -> store.Order:
        """Order for an enrolled lineage that runs out; where its names may not be, that has failed already."""
        order = await new_order(
            tx,
            profile,
            lineage_id=notice.lineage_id,
            names=tuple(names),
            old=notice.fingerprint,
            by=by,
            now=now,
        )
        try:
            order.names = list(canonical(names))
            check_allowed(order.names, patterns=profile.allowed_names)
        except Invalid as error:
            give_up(tx, order, reason=error.detail, what_to_do=error.next_step, now=now)
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
        """Try again at once, with all waits again. Raises `Conflict` where there is nothing to try."""
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
            if order.state == State.FAILED:
                await refuse_second(tx, order.lineage_id)
                order.attempts = 0
            order.state, order.next_attempt_at = State.PENDING, now
            add_step(tx, order, "retry", f"{caller.name} has it tried again.", now=now)
            tx.after_commit(self._ring)
        return order


async def new_order(
    tx: Transaction,
    profile: store.Profile,
    *,
    lineage_id: str,
    names: Sequence[str],
    old: str | None,
    by: str,
    now: datetime,
) -> store.Order:
    """Add an order, due at once."""
    authority = await tx.session.get_one(store.Authority, profile.authority_id)
    order = store.Order(
        id=new_id(),
        lineage_id=lineage_id,
        profile_id=profile.id,
        authority_id=authority.id,
        authority=authority.name,
        names=list(names),
        state=State.PENDING,
        old_fingerprint=old,
        next_attempt_at=now,
        created_at=now,
        created_by=by,
    )
    tx.session.add(order)
    await tx.session.flush()
    return order


async def refuse_second(tx: Transaction, lineage_id: str) -> None:
    """Raise `Conflict` where the lineage has an open order."""
    other = await store.open_order(tx.session, lineage_id)
    if other is not None:
        raise Conflict(
            f"The order {other.id} of this lineage is {other.state}.",
            next_step="Wait until it is renewed or failed; one that waits can be tried again at once.",
        )


async def _present_fingerprint(tx: Transaction, lineage_id: str) -> str | None:
    """Return the certificate that an order of a lineage is to replace, as far as it is known."""
    last = await store.latest_order(tx.session, lineage_id=lineage_id, state=State.RENEWED)
    notice = await tx.session.get(store.Notice, lineage_id)
    if last is not None and (notice is None or last.old_fingerprint == notice.fingerprint):
        return last.fingerprint
    return notice.fingerprint if notice is not None and notice.is_open else None


def give_up(tx: Transaction, order: store.Order, *, reason: str, what_to_do: str, now: datetime) -> None:
    """Let an order fail for good, and tell."""
    order.attempts += 1
    order.last_error, order.next_step = reason, what_to_do
    store.finish(order, state=State.FAILED)
    forget_request(order)
    add_step(tx, order, "failed", reason, now=now)
    tell_failed(tx, order, now=now)


def forget_request(order: store.Order) -> None:
    """Forget key, request and progress: what is tried next is a new request, with a key of its own."""
    order.private_key = order.csr = order.progress = None


def tell_failed(tx: Transaction, order: store.Order, *, now: datetime) -> None:
    """Say that an attempt has failed."""
    event = RenewalFailed(
        lineage_id=order.lineage_id,
        order_id=order.id,
        fingerprint=order.old_fingerprint,
        names=order.names,
        reason=order.last_error or "",
        next_step=order.next_step or "",
        attempt=order.attempts,
        next_attempt_at=order.next_attempt_at,
        groups=order.groups,
    )
    tx.emit(event, now=now)


def add_step(tx: Transaction, order: store.Order, step: str, text: str, *, now: datetime) -> None:
    """Remember one thing that was done for an order."""
    tx.session.add(store.Step(id=new_id(), order_id=order.id, at=now, step=step, text=text))


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
