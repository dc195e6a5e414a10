"""The key and the request of an order: made here, in the token, on the target, or brought; kept before anything goes outside."""

from collections.abc import Callable, Sequence
from datetime import datetime

import anyio.to_thread
from cryptography.x509 import ObjectIdentifier

from services.renewal import store
from services.renewal.actions.keys import key_row
from services.renewal.actions.means import Hold, Means
from services.renewal.actions.outcomes import add_step, give_up
from services.renewal.actions.token_keys import WHERE_TO_SET_IT, new_key_name
from services.renewal.connectors import NotNow
from services.renewal.domain.keys import KeyType, PrivateKey, from_pem, new_key, new_request, to_pem
from services.renewal.domain.orders import State
from services.renewal.domain.policy import Custody
from shared.events.renewal import RequestWanted, RequestWithdrawn

_TARGET = "Look at the steps of the order, and whether the provisioner runs and reaches the target; then try the order again."


class Making:
    """Has the key and the request of one order made as its profile says."""

    def __init__(self, hold: Hold, *, means: Means) -> None:
        self._hold = hold
        self._means = means

    async def request_of(
        self, order: store.Order, profile: store.Profile
    ) -> tuple[bytes, bytes | None] | None:
        """Return the request and the key, sealed; no key where that was not made here, None where the target makes both."""
        if order.csr is not None:
            return order.csr, order.private_key
        if order.given_csr is not None:
            return await self._brought(order.given_csr), None
        match Custody(profile.key_custody):
            case Custody.TARGET:
                await self._want(profile)
                return None
            case Custody.PKCS11:
                return await self._in_token(order, KeyType(profile.key_type)), None
            case _:
                return await self._here(order, profile)

    def anew(
        self, sealed: bytes, names: tuple[str, ...]
    ) -> Callable[[Sequence[tuple[ObjectIdentifier, bytes]]], bytes]:
        """Return what makes the request anew with attributes: the key is opened for that and no longer."""

        def make(attributes: Sequence[tuple[ObjectIdentifier, bytes]]) -> bytes:
            key = from_pem(self._means.sealer.open(sealed, row=key_row(self._hold.order_id)))
            return new_request(key, names, attributes=attributes)

        return make

    async def _brought(self, csr: bytes) -> bytes:
        async with self._hold.order() as (tx, held, now):
            held.csr = csr
            add_step(tx, held, "key", "The request that was brought is used.", now=now)
        return csr

    async def _here(self, order: store.Order, profile: store.Profile) -> tuple[bytes, bytes]:
        key_type = KeyType(profile.key_type)
        kept = await self._kept_key(order) if profile.reuse_key else None
        key = kept if kept is not None else await anyio.to_thread.run_sync(new_key, key_type)
        text = f"A fresh {key_type} key is made."
        if kept is not None:
            text = f"The key of before is used again, as the profile says: {profile.reuse_key_reason}"
        csr = new_request(key, tuple(order.names))
        sealed = self._means.sealer.seal(to_pem(key), row=key_row(order.id))
        async with self._hold.order() as (tx, held, now):
            if held.request_until is not None:  # the profile says something else since
                held.request_until = None
                tx.emit(RequestWithdrawn(order_id=held.id, lineage_id=held.lineage_id), now=now)
            held.private_key, held.csr = sealed, csr
            add_step(tx, held, "key", text, now=now)
        return csr, sealed

    async def _in_token(self, order: store.Order, key_type: KeyType) -> bytes:
        """Make a key that stays in the token, and a request that it signs; keep both and return the request."""
        token = self._means.token
        if token is None:
            raise NotNow("There is no PKCS#11 token.", next_step=WHERE_TO_SET_IT)
        name, names = new_key_name(), tuple(order.names)
        key = await anyio.to_thread.run_sync(lambda: token.make_key(key_type, name=name))
        csr = await anyio.to_thread.run_sync(new_request, key, names)
        async with self._hold.order() as (tx, held, now):
            held.token_key, held.csr = name, csr
            text = f"A fresh {key_type} key is made in the token, where it stays."
            add_step(tx, held, "key", text, now=now)
        return csr

    async def _kept_key(self, order: store.Order) -> PrivateKey | None:
        async with self._hold.database.read() as session:
            last = await store.last_key(session, lineage_id=order.lineage_id)
        if last is None or last.private_key is None:
            return None
        return from_pem(self._means.sealer.open(last.private_key, row=key_row(last.id)))

    async def _want(self, profile: store.Profile) -> None:
        """Have the key made on the target, and wait for its request; where that took too long, give up."""
        async with self._hold.order() as (tx, order, now):
            if order.request_until is not None and order.request_until <= now:
                give_up(tx, order, reason=_no_request(order), what_to_do=_TARGET, now=now)
                return
            if order.request_until is None:
                order.request_until = now + self._means.request_timeout
                add_step(
                    tx, order, "key", "The key is to be made on the target, and its request to come.", now=now
                )
            order.state, order.next_attempt_at, order.held_by = (
                State.AWAITING_REQUEST,
                order.request_until,
                None,
            )
            tx.emit(_wanted(order, profile, until=order.request_until), now=now)


def _no_request(order: store.Order) -> str:
    text = f"No request came from the target until {order.request_until:%Y-%m-%d %H:%M} UTC."
    return f"{text} {order.last_error}" if order.last_error else text


def _wanted(order: store.Order, profile: store.Profile, *, until: datetime) -> RequestWanted:
    return RequestWanted(
        order_id=order.id,
        lineage_id=order.lineage_id,
        names=order.names,
        key_type=profile.key_type,
        expires_at=until,
    )
