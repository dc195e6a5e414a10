"""Who is on the way to sign in, and in which browsers somebody is signed in."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store.tables import PrincipalRow, SessionRow, SignInRow
from shared.store import Transaction


async def take(tx: Transaction, state: str, *, now: datetime) -> SignInRow | None:
    """Return who comes back with a state, and forget it: it is good once, and for a while."""
    query = (
        sa.delete(SignInRow)
        .where(col(SignInRow.state) == state, col(SignInRow.expires_at) > now)
        .returning(SignInRow)
    )
    found: SignInRow | None = await tx.session.scalar(query)
    return found


async def session(session: AsyncSession, digest: str, *, now: datetime) -> SessionRow | None:
    """Return a session that has not ended."""
    query = sa.select(SessionRow).where(col(SessionRow.digest) == digest, col(SessionRow.expires_at) > now)
    found: SessionRow | None = await session.scalar(query)
    return found


async def of_identity(tx: Transaction, identity: str) -> PrincipalRow | None:
    """Return the principal of somebody who signs in at the provider, locked."""
    query = sa.select(PrincipalRow).where(col(PrincipalRow.identity) == identity).with_for_update()
    found: PrincipalRow | None = await tx.session.scalar(query.execution_options(populate_existing=True))
    return found


async def end(tx: Transaction, digest: str) -> bool:
    """End a session; return whether there was one."""
    query = sa.delete(SessionRow).where(col(SessionRow.digest) == digest).returning(col(SessionRow.digest))
    return await tx.session.scalar(query) is not None


async def end_all(tx: Transaction, principal_id: str) -> None:
    """End all sessions of a principal."""
    await tx.session.execute(sa.delete(SessionRow).where(col(SessionRow.principal_id) == principal_id))


async def forget(tx: Transaction, *, before: datetime) -> None:
    """Forget what has ended."""
    await tx.session.execute(sa.delete(SignInRow).where(col(SignInRow.expires_at) < before))
    await tx.session.execute(sa.delete(SessionRow).where(col(SessionRow.expires_at) < before))
