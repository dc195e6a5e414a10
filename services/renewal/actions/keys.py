"""Who gets a private key (one deployment's principal, sealed to it, and on record), and when it is deleted."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.renewal import store
from services.renewal.actions.orders import seen
from services.renewal.actions.outcomes import add_step
from services.renewal.domain.orders import State
from shared.access import Principal
from shared.audit import Change
from shared.errors import Conflict, Forbidden
from shared.ids import new_id
from shared.sealing import Sealer, seal_to
from shared.store import Database
from shared.trace import trace_id

_AT_ONCE = 100
"""Keys that are deleted in one transaction."""


def key_row(order_id: str) -> str:
    """Return the row that an order's private key is sealed for."""
    return f"renewal/orders/{order_id}/private_key"


class Keys:
    """The private keys of orders."""

    def __init__(self, database: Database, *, sealer: Sealer, retention: timedelta) -> None:
        self._database = database
        self._sealer = sealer
        self._retention = retention

    async def release(self, order_id: str, *, deployment_id: str, caller: Principal, now: datetime) -> bytes:
        """Return the key (PKCS#8 in PEM) sealed to the caller, for one deployment; the record is kept first.

        The same caller may repeat it for the same deployment. Raises `NotFound`, `Conflict` where
        there is no certificate yet, or `Forbidden`.
        """
        async with self._database.transaction() as tx:
            row = await tx.session.get(store.Order, order_id, with_for_update=True)
            order = await seen(tx.session, row, order_id, caller=caller)
            kept, sealing_key = _kept(order), _sealing_key(caller)
            first = await store.first_release(tx.session, order_id=order_id, deployment_id=deployment_id)
            if first is not None and first.principal != caller.id:
                raise Forbidden(
                    "The key was released to somebody else for this deployment.",
                    next_step="Begin a deployment of your own.",
                )
            tx.session.add(_release(order_id, deployment_id, caller, is_repeat=first is not None, now=now))
            tx.record(_released(order, deployment_id, is_repeat=first is not None))
        return self._sealed(kept, order_id, deployment_id, to=sealing_key)

    def _sealed(self, kept: bytes, order_id: str, deployment_id: str, *, to: bytes) -> bytes:
        opened = self._sealer.open(kept, row=key_row(order_id))
        return seal_to(to, opened, purpose=f"everleaf private key {order_id} {deployment_id}")

    async def delete_old(self, now: datetime) -> bool:
        """Delete keys whose certificates were replaced by newer ones long ago; return whether more are left."""
        async with self._database.transaction() as tx:
            orders = await store.orders_of_old_keys(tx, seen_before=now - self._retention, limit=_AT_ONCE)
            for order in orders:
                order.private_key = order.token_key = None
                text = "The private key is deleted: a newer certificate has been in place for long enough."
                add_step(tx, order, "key", text, now=now)
        return len(orders) == _AT_ONCE

    async def page(
        self, *, after: str | None, limit: int, caller: Principal, order_id: str | None = None
    ) -> Sequence[store.KeyRelease]:
        """Return releases of orders that the caller sees, newest first, one more than `limit` where there are more."""
        async with self._database.read() as session:
            return await store.newest(
                session, store.KeyRelease, after=after, limit=limit, scope=caller.scope, order_id=order_id
            )


def _sealing_key(caller: Principal) -> bytes:
    if caller.sealing_key is None:
        raise Forbidden(
            f"The token of {caller.name} says no key to seal to.",
            next_step="Exchange the API key for a token with `sealing_key`.",
        )
    return caller.sealing_key


def _kept(order: store.Order) -> bytes:
    if order.state != State.RENEWED:
        raise Conflict(f"The order is {order.state}.", next_step="Wait until it is renewed.")
    if order.request_until is not None:
        raise Conflict(
            "The key was made on the target and never was here.",
            next_step="Put the certificate in place where that key is.",
        )
    if order.given_csr is not None:
        raise Conflict(
            "The key was made by whoever brought the request, and never was here.",
            next_step="Put the certificate in place where that key is.",
        )
    if order.token_key is not None:
        raise Conflict(
            "The private key is in the token (an HSM) and stays there.",
            next_step="Have the server use that token; the certificate alone is to be put in place.",
        )
    if order.private_key is None:
        raise Conflict(
            "The private key is deleted: a newer certificate has long been in place.",
            next_step="Use the newest order of the lineage, or order anew.",
        )
    return order.private_key


def _released(order: store.Order, deployment_id: str, *, is_repeat: bool) -> Change:
    return Change(
        kind="private_key",
        verb="released",
        id=order.id,
        after={"deployment": deployment_id, "is_repeat": is_repeat, "fingerprint": order.fingerprint},
        groups=tuple(order.groups),
        lineage_id=order.lineage_id,
    )


def _release(
    order_id: str, deployment_id: str, caller: Principal, *, is_repeat: bool, now: datetime
) -> store.KeyRelease:
    return store.KeyRelease(
        id=new_id(),
        order_id=order_id,
        deployment_id=deployment_id,
        principal=caller.id,
        released_at=now,
        trace_id=trace_id(),
        is_repeat=is_repeat,
    )
