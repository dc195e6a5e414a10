"""Keeps replicas from deciding about the same things at the same time."""

from hashlib import sha256

import sqlalchemy as sa

from shared.store import Transaction


async def hold(tx: Transaction, *names: str) -> None:
    """Wait until nobody else holds these names, and hold them until the transaction ends.

    SQLite has one writer anyway. Two that hold names in different orders are told of a deadlock by
    PostgreSQL; the events of that transaction are then handled again, one by one.
    """
    if tx.session.get_bind().dialect.name != "postgresql":
        return
    for name in sorted(set(names)):
        number = int.from_bytes(sha256(name.encode()).digest()[:8], "big", signed=True)
        await tx.session.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))
