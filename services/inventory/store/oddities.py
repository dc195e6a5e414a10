"""What is odd about certificates."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.oddities import Code, Oddity
from services.inventory.store.association_tables import OddityRow
from services.inventory.store.tables import Certificate
from services.inventory.store.visibility import Scope, visible_certificates
from shared.store import Transaction


async def keep(tx: Transaction, fingerprint: str, found: Sequence[Oddity]) -> None:
    """Keep what is odd about a new certificate."""
    if found:
        rows = [{"fingerprint": fingerprint, "code": odd.code, "detail": odd.detail} for odd in found]
        await tx.session.execute(sa.insert(OddityRow), rows)


async def of(session: AsyncSession, fingerprint: str) -> Sequence[OddityRow]:
    """Return what is odd about a certificate."""
    query = sa.select(OddityRow).where(col(OddityRow.fingerprint) == fingerprint)
    return (await session.scalars(query.order_by(col(OddityRow.code)))).all()


def has(code: Code) -> sa.ColumnElement[bool]:
    """Say that this is odd about a certificate."""
    return col(Certificate.fingerprint).in_(
        sa.select(col(OddityRow.fingerprint)).where(col(OddityRow.code) == code)
    )


async def counts(session: AsyncSession, *, scope: Scope) -> dict[Code, int]:
    """Return of how many certificates what is odd."""
    query = sa.select(col(OddityRow.code), sa.func.count()).group_by(col(OddityRow.code))
    if scope is not None:
        query = query.join(Certificate, col(Certificate.fingerprint) == col(OddityRow.fingerprint))
        query = query.where(*visible_certificates(scope))
    return {Code(code): count for code, count in (await session.execute(query)).all()}
