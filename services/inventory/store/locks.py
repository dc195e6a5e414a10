"""Keeps replicas from deciding about the same things at the same time."""

from collections.abc import Collection, Iterable
from hashlib import sha256

import sqlalchemy as sa

from shared.store import Transaction

# Counted, so that one row comes back and not one for each; the rows are gone through in their order.
_HOLD = sa.text(
    "SELECT count(pg_advisory_xact_lock(number)) FROM unnest(CAST(:numbers AS bigint[])) AS number"
)
# The same numbers as `_number` makes, of names in the same order as Python's.
_HOLD_LINEAGES = sa.text(
    """
    SELECT count(pg_advisory_xact_lock(
        ('x' || left(encode(sha256(convert_to(name, 'UTF8')), 'hex'), 16))::bit(64)::bigint
    )) FROM (
        SELECT DISTINCT 'lineage ' || lineage COLLATE "C" AS name FROM (
            SELECT lineage_id FROM certificates WHERE fingerprint = ANY (CAST(:certificates AS text[]))
            UNION ALL
            SELECT lineage_id FROM replacements WHERE old_fingerprint = ANY (CAST(:certificates AS text[]))
            UNION ALL
            SELECT lineage_id FROM replacements WHERE fingerprint = ANY (CAST(:certificates AS text[]))
            UNION ALL
            SELECT unnest(CAST(:lineages AS text[]))
        ) AS concerned (lineage) ORDER BY name
    ) AS ordered
    """
)


def are_several(tx: Transaction) -> bool:
    """Return whether there may be others who write at the same time: SQLite has one writer."""
    return tx.session.get_bind().dialect.name == "postgresql"


async def hold(tx: Transaction, *names: str) -> None:
    """Wait until nobody else holds these names, and hold them until the transaction ends.

    Two that hold names in different orders are told of a deadlock by PostgreSQL, a second later; the events of that
    transaction are then handled again, one by one. `actions/holding.py` says in which order everybody does.
    """
    await hold_in_turn(tx, names)


async def hold_in_turn(tx: Transaction, *kinds: Iterable[str]) -> None:
    """Hold names of several kinds: all of the first before any of the second, and each kind in one order."""
    numbers = [_number(name) for names in kinds for name in sorted(set(names))]
    if numbers and are_several(tx):
        await tx.session.execute(_HOLD, {"numbers": numbers})


async def hold_lineages(tx: Transaction, *, of: Collection[str], beside: Collection[str] = ()) -> None:
    """Hold the lineages of certificates, given by their fingerprints and held, and of the replacements that name them; and others by their ids.

    A replacement may be written by who holds its lineage: two who hold the old certificate and the new one do not meet otherwise.
    """
    if are_several(tx):
        await tx.session.execute(_HOLD_LINEAGES, {"certificates": list(of), "lineages": list(beside)})


async def share(tx: Transaction, name: str) -> None:
    """Wait until nobody holds this name, and keep others from holding it; many may share it at a time."""
    if are_several(tx):
        await tx.session.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(_number(name))))


def _number(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big", signed=True)
