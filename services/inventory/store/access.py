"""Principals, their API keys, the tokens they were given, and the keys those are signed with."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store.tables import ApiKeyRow, PrincipalRow, SigningKeyRow, TokenRow
from shared.store import Instant, Transaction, insert


async def signing_keys(session: AsyncSession) -> Sequence[SigningKeyRow]:
    """Return the keys that tokens are verified with, the one that signs last."""
    query = sa.select(SigningKeyRow).order_by(col(SigningKeyRow.created_at), col(SigningKeyRow.id))
    return (await session.scalars(query)).all()


async def add_principal(tx: Transaction, row: PrincipalRow) -> bool:
    """Add a principal; return False where the name is taken."""
    query = (
        insert(tx, PrincipalRow)
        .values(row.model_dump())
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(col(PrincipalRow.id))
    )
    return await tx.session.scalar(query) is not None


async def principal(session: AsyncSession, principal_id: str) -> PrincipalRow | None:
    """Return a principal."""
    return await _principal(session, col(PrincipalRow.id) == principal_id)


async def principal_named(session: AsyncSession, name: str) -> PrincipalRow | None:
    """Return a principal by its name."""
    return await _principal(session, col(PrincipalRow.name) == name)


async def _principal(session: AsyncSession, which: sa.ColumnElement[bool]) -> PrincipalRow | None:
    query = sa.select(PrincipalRow).where(which)
    found: PrincipalRow | None = await session.scalar(query.execution_options(populate_existing=True))
    return found


async def pin(tx: Transaction, principal_id: str, sealing_key: bytes) -> None:
    """Keep the first sealing key that a principal sends; a later one changes nothing."""
    query = sa.update(PrincipalRow).where(
        col(PrincipalRow.id) == principal_id, col(PrincipalRow.sealing_key).is_(None)
    )
    await tx.session.execute(query.values(sealing_key=sealing_key))


async def principals(session: AsyncSession, *, after: str | None, limit: int) -> Sequence[PrincipalRow]:
    """Return `limit + 1` principals, the oldest first."""
    query = sa.select(PrincipalRow).order_by(col(PrincipalRow.id)).limit(limit + 1)
    return (
        await session.scalars(query if after is None else query.where(col(PrincipalRow.id) > after))
    ).all()


async def api_key(session: AsyncSession, digest: str) -> ApiKeyRow | None:
    """Return an API key by its hash."""
    query = sa.select(ApiKeyRow).where(col(ApiKeyRow.digest) == digest)
    found: ApiKeyRow | None = await session.scalar(query)
    return found


async def api_keys(session: AsyncSession, principal_id: str) -> Sequence[ApiKeyRow]:
    """Return the API keys of a principal, the oldest first."""
    query = sa.select(ApiKeyRow).where(col(ApiKeyRow.principal_id) == principal_id)
    return (await session.scalars(query.order_by(col(ApiKeyRow.id)))).all()


async def revoke_api_key(tx: Transaction, key_id: str, *, now: datetime) -> bool:
    """Let an API key be worth nothing; return False where there is none. The first time counts."""
    revoked_at = sa.func.coalesce(col(ApiKeyRow.revoked_at), sa.literal(now, Instant()))
    query = sa.update(ApiKeyRow).where(col(ApiKeyRow.id) == key_id).values(revoked_at=revoked_at)
    return await tx.session.scalar(query.returning(col(ApiKeyRow.id))) is not None


async def forget_tokens(tx: Transaction, *, before: datetime) -> None:
    """Forget tokens that ended before an instant."""
    await tx.session.execute(sa.delete(TokenRow).where(col(TokenRow.expires_at) < before))
