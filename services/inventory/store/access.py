"""Principals, their API keys, the tokens they were given, and the keys those are signed with."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store.tables import ApiKeyRow, PrincipalRow, SigningKeyRow, TokenRow
from shared.store import Transaction, insert
from shared.store.scopes import Scope, within


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


async def principal(
    session: AsyncSession, principal_id: str, *, lock: Literal["read", "write"] | None = None
) -> PrincipalRow | None:
    """Return a principal; locked, so that no token is issued while rights change."""
    query = sa.select(PrincipalRow).where(col(PrincipalRow.id) == principal_id)
    if lock is not None:
        query = query.with_for_update(read=lock == "read")
    found: PrincipalRow | None = await session.scalar(query.execution_options(populate_existing=True))
    return found


async def principal_named(session: AsyncSession, name: str) -> PrincipalRow | None:
    """Return a principal by its name."""
    query = sa.select(PrincipalRow).where(col(PrincipalRow.name) == name)
    found: PrincipalRow | None = await session.scalar(query.execution_options(populate_existing=True))
    return found


async def pin(tx: Transaction, principal_id: str, sealing_key: bytes) -> bool:
    """Keep the first sealing key that a principal sends and return True; a later one changes nothing."""
    query = sa.update(PrincipalRow).where(
        col(PrincipalRow.id) == principal_id, col(PrincipalRow.sealing_key).is_(None)
    )
    pinned = query.values(sealing_key=sealing_key).returning(col(PrincipalRow.id))
    return await tx.session.scalar(pinned) is not None


async def principals(session: AsyncSession, *, after: str | None, limit: int) -> Sequence[PrincipalRow]:
    """Return `limit + 1` principals, the oldest first."""
    query = sa.select(PrincipalRow).order_by(col(PrincipalRow.id)).limit(limit + 1)
    return (
        await session.scalars(query if after is None else query.where(col(PrincipalRow.id) > after))
    ).all()


async def names(
    session: AsyncSession, *, ids: Sequence[str] = (), containing: str = "", scope: Scope, limit: int
) -> dict[str, str]:
    """Return the names of principals that reach into a scope, by their ids, in the order of the names.

    They are those of some ids, or those whose name contains a text, whatever its case.
    """
    chosen = (
        col(PrincipalRow.id).in_(ids)
        if ids
        else col(PrincipalRow.name).icontains(containing, autoescape=True)
    )
    reaches_everything = col(PrincipalRow.groups) == []
    query = sa.select(col(PrincipalRow.id), col(PrincipalRow.name)).where(
        chosen, sa.or_(reaches_everything, within(PrincipalRow.groups, scope))
    )
    rows = await session.execute(query.order_by(col(PrincipalRow.name)).limit(limit))
    return {row.id: row.name for row in rows.all()}


async def api_key(session: AsyncSession, digest: str) -> ApiKeyRow | None:
    """Return an API key by its hash."""
    query = sa.select(ApiKeyRow).where(col(ApiKeyRow.digest) == digest)
    found: ApiKeyRow | None = await session.scalar(query)
    return found


async def api_keys(session: AsyncSession, principal_id: str) -> Sequence[ApiKeyRow]:
    """Return the API keys of a principal, the oldest first."""
    query = sa.select(ApiKeyRow).where(col(ApiKeyRow.principal_id) == principal_id)
    return (await session.scalars(query.order_by(col(ApiKeyRow.id)))).all()


async def api_key_of_id(session: AsyncSession, key_id: str) -> ApiKeyRow | None:
    """Return an API key by its id."""
    query = sa.select(ApiKeyRow).where(col(ApiKeyRow.id) == key_id)
    found: ApiKeyRow | None = await session.scalar(query)
    return found


async def latest_token(session: AsyncSession, principal_id: str) -> datetime | None:
    """Return when a principal's latest token was issued."""
    query = sa.select(sa.func.max(col(TokenRow.issued_at))).where(col(TokenRow.principal_id) == principal_id)
    found: datetime | None = await session.scalar(query)
    return found


async def count_admins(session: AsyncSession, *, but: str) -> int:
    """Return how many enabled administrators without groups there are beside one."""
    query = sa.select(sa.func.count()).where(
        col(PrincipalRow.id) != but,
        col(PrincipalRow.disabled_at).is_(None),
        # JSON is text on either database once it is cast; role names are ours and need no escaping.
        sa.cast(col(PrincipalRow.roles), sa.Text).like('%"admin"%'),
        sa.cast(col(PrincipalRow.groups), sa.Text) == "[]",
    )
    return int(await session.scalar(query) or 0)


async def forget_tokens(tx: Transaction, *, before: datetime) -> None:
    """Forget tokens that ended before an instant."""
    await tx.session.execute(sa.delete(TokenRow).where(col(TokenRow.expires_at) < before))
