"""What orders are worked on with, and the hold that one process has on the order it works on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.renewal import store
from services.renewal.actions.authorities import Authorities
from services.renewal.actions.order_approvals import OrderGate
from services.renewal.actions.validation import Validator
from services.renewal.domain.orders import Schedule
from shared.clock import Clock
from shared.pkcs11 import Token
from shared.sealing import Sealer
from shared.store import Database, Transaction


@dataclass(frozen=True, kw_only=True)
class Means:
    """What an attempt works with."""

    sealer: Sealer
    authorities: Authorities
    schedule: Schedule
    gate: OrderGate
    validator: Validator
    token: Token | None = None
    """Where keys are made that stay there."""
    request_timeout: timedelta = timedelta(days=1)
    """How long a request may take to come from the target."""


@dataclass(frozen=True, kw_only=True)
class Hold:
    """An order, as long as its lease is ours."""

    database: Database
    order_id: str
    lease: str
    clock: Clock

    @asynccontextmanager
    async def order(self) -> AsyncIterator[tuple[Transaction, store.Order, datetime]]:
        """Change the order in one transaction; yield that, the order, and what time it is. Raises `LeaseLost`."""
        async with self.database.transaction() as tx:
            yield tx, await store.held(tx, self.order_id, lease=self.lease), self.clock()
