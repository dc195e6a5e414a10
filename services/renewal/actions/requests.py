"""The requests of keys that are made on the target: brought from there, or refused there."""

from collections.abc import Callable
from datetime import datetime

from cryptography.x509 import load_der_x509_csr

from services.renewal import store
from services.renewal.actions.orders import seen
from services.renewal.actions.outcomes import add_step, give_up, tell_failed
from services.renewal.actions.placing import judged
from services.renewal.domain.brought import Brought, read_csr
from services.renewal.domain.orders import State
from shared.access import Principal
from shared.errors import Conflict, Fault, Invalid
from shared.store import Database, Transaction
from shared.x509 import key_fingerprint


class Requests:
    """What orders wait for in `awaiting_request`."""

    def __init__(self, database: Database, *, ring: Callable[[], None]) -> None:
        self._database = database
        self._ring = ring

    async def bring(self, order_id: str, csr: str, *, caller: Principal, now: datetime) -> store.Order:
        """Let an order go on with a request in PEM, whose key stays where it was made.

        Raises `NotFound`, `Conflict` where the order does not wait for one, and `Invalid` where the request is not for
        exactly its names, or its key not of the profile's kind or not new; then the order waits on, and says why.
        """
        async with self._database.transaction() as tx:
            order = await self._held(tx, order_id, caller=caller)
            try:
                brought = read_csr(csr)
                if _has(order, brought):
                    return order
                _require_waiting(order)
                await self._check(tx, order, brought, now=now)
            except Invalid as error:
                _require_waiting(order)
                refused = error
                order.last_error, order.next_step = error.detail, error.next_step
                add_step(tx, order, "request", f"A request was refused. {error.detail}", now=now)
            else:
                order.given_csr, order.state, order.next_attempt_at = brought.der, State.PENDING, now
                order.last_error = order.next_step = None
                text = f"{caller.name} brought the request; its key is on the target."
                add_step(tx, order, "request", text, now=now)
                tx.after_commit(self._ring)
                return order
        raise refused

    @staticmethod
    async def _check(tx: Transaction, order: store.Order, brought: Brought, *, now: datetime) -> None:
        if set(brought.names) != set(order.names):
            text = (
                f"The request is for {', '.join(brought.names)}, and the order for {', '.join(order.names)}."
            )
            faults = [Fault(pointer="/body/csr", message=text)]
            raise Invalid(text, next_step="Make it with exactly the names of the order.", faults=faults)
        profile = await tx.session.get_one(store.Profile, order.profile_id)
        authority = await tx.session.get_one(store.Authority, order.authority_id)
        await judged(
            tx.session,
            profile,
            authority,
            order.names,
            key=brought.key,
            lineage_id=order.lineage_id,
            now=now,
        )

    async def refuse(
        self,
        order_id: str,
        *,
        reason: str,
        what_to_do: str,
        is_final: bool,
        caller: Principal,
        now: datetime,
    ) -> store.Order:
        """Remember and tell that no request could be made: for good, and the order fails, or until the next try.

        Raises `NotFound`, or `Conflict` where the order does not wait for one.
        """
        async with self._database.transaction() as tx:
            order = await self._held(tx, order_id, caller=caller)
            _require_waiting(order)
            if is_final:
                give_up(tx, order, reason=reason, what_to_do=what_to_do, now=now)
            else:
                order.last_error, order.next_step = reason, what_to_do
                add_step(tx, order, "request", reason, now=now)
                tell_failed(tx, order, now=now)
        return order

    @staticmethod
    async def _held(tx: Transaction, order_id: str, *, caller: Principal) -> store.Order:
        row = await tx.session.get(store.Order, order_id)
        order = await seen(tx.session, row, order_id, caller=caller)
        await store.lock_lineage(tx, order.lineage_id)
        return await tx.session.get_one(store.Order, order_id, with_for_update=True, populate_existing=True)


def _require_waiting(order: store.Order) -> None:
    if order.state != State.AWAITING_REQUEST:
        raise Conflict(
            f"The order is {order.state}.",
            next_step="Bring a request only where renewal.request_wanted asks.",
        )


def _has(order: store.Order, brought: Brought) -> bool:
    """Return whether an order has a request of this key: an ECDSA key signs the same request differently each time."""
    if order.request_until is None or order.given_csr is None:
        return False
    return key_fingerprint(load_der_x509_csr(order.given_csr).public_key()) == brought.key.fingerprint
