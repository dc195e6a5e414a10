"""The verbs on keys that are made on targets, but for the work itself: wanted, and not needed any more."""

from collections.abc import Callable
from datetime import datetime

from services.provisioner import store
from services.provisioner.domain.key_requests import KeyState
from shared.events import Event
from shared.events.renewal import RequestWanted
from shared.store import Transaction


class KeyRequests:
    """Keys that are to be made on targets."""

    def __init__(self, *, ring: Callable[[], None]) -> None:
        self._ring = ring

    async def wanted(self, tx: Transaction, event: Event[RequestWanted], *, now: datetime) -> None:
        """Have a key made; events come twice and in any order, and an order may ask again after it has failed."""
        said = event.data
        row = await tx.session.get(store.KeyRequest, said.order_id, with_for_update=True)
        if row is not None and event.time <= row.told_at:
            return
        if row is None:
            row = store.KeyRequest(
                order_id=said.order_id,
                lineage_id=said.lineage_id,
                names=said.names,
                key_type=said.key_type,
                expires_at=said.expires_at,
                told_at=event.time,
                state=KeyState.WANTED,
                updated_at=now,
            )
            tx.session.add(row)
        row.names, row.key_type, row.expires_at = said.names, said.key_type, said.expires_at
        row.told_at, row.updated_at, row.last_error = event.time, now, None
        row.state, row.attempts, row.next_attempt_at = KeyState.WANTED, 0, now
        tx.after_commit(self._ring)

    async def withdrawn(self, tx: Transaction, order_id: str, *, at: datetime, now: datetime) -> None:
        """Have what waits for an order removed: it has failed for good at `at`, or is not needed."""
        row = await tx.session.get(store.KeyRequest, order_id, with_for_update=True)
        if row is None or at < row.told_at or row.state not in (KeyState.WANTED, KeyState.BROUGHT):
            return
        row.state, row.attempts, row.next_attempt_at, row.updated_at = KeyState.CLEARING, 0, now, now
        tx.after_commit(self._ring)
