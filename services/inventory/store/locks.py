"""Keeps replicas from deciding about the same things at the same time."""

from collections.abc import Iterable
from hashlib import sha256

import sqlalchemy as sa

from shared.store import Transaction

_HOLD = sa.text("SELECT pg_advisory_xact_lock(number) FROM unnest(CAST(:numbers AS bigint[])) AS number")
"""In the order of the array."""


async def hold(tx: Transaction, *names: str) -> None:
    """Wait until nobody else holds these names, and hold them until the transaction ends.

    SQLite has one writer anyway. Two that hold names in different orders are told of a deadlock by
    PostgreSQL; the events of that transaction are then handled again, one by one.
    """
    await hold_in_turn(tx, names)


async def hold_in_turn(tx: Transaction, *kinds: Iterable[str]) -> None:
    """Hold names of several kinds: all of the first before any of the second, and each kind in one order."""
    if tx.session.get_bind().dialect.name != "postgresql":
        return
    numbers = [_number(name) for names in kinds for name in sorted(set(names))]
    await tx.session.execute(_HOLD, {"numbers": numbers})


async def share(tx: Transaction, name: str) -> None:
    """Wait until nobody holds this name, and keep others from holding it; many may share it at a time."""
    if tx.session.get_bind().dialect.name == "postgresql":
        await tx.session.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(_number(name))))


def _number(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big", signed=True)
