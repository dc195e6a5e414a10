"""What is due to be looked at again because something about a certificate or a key has changed."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store.association_tables import DueAssociation
from shared.ids import new_id
from shared.store import Transaction
from shared.store.bulk import copy_rows


async def mark(tx: Transaction, *, fingerprints: Iterable[str] = (), keys: Iterable[str | None] = ()) -> None:
    """Have what belongs to these certificates and keys looked at again, soon."""
    rows = [{"id": new_id(), "fingerprint": each, "key_fingerprint": None} for each in set(fingerprints)]
    rows += [{"id": new_id(), "fingerprint": None, "key_fingerprint": each} for each in set(keys) if each]
    await copy_rows(tx, DueAssociation, rows)


async def is_any_due(session: AsyncSession) -> bool:
    """Return whether anything is due."""
    return await session.scalar(sa.select(col(DueAssociation.id)).limit(1)) is not None


async def take_due(tx: Transaction, *, limit: int) -> Sequence[DueAssociation]:
    """Take away what is due, the oldest first; what another replica works on is left to it."""
    query = sa.select(DueAssociation).order_by(col(DueAssociation.id)).limit(limit)
    rows = (await tx.session.scalars(query.with_for_update(skip_locked=True))).all()
    gone = sa.delete(DueAssociation).where(col(DueAssociation.id).in_([row.id for row in rows]))
    await tx.session.execute(gone.execution_options(synchronize_session=False))
    return rows
