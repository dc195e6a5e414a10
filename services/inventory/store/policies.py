"""Policies and exceptions, as they are kept."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.assessment.exceptions import ExceptionState, Lifted, ScopeKind
from services.inventory.domain.assessment.policies import Document, Policy
from services.inventory.store.assessment_tables import ExceptionRow, PolicyRow
from services.inventory.store.visibility import Scope, visible_exceptions
from shared.store import Transaction


async def page(session: AsyncSession, *, after: str | None, limit: int) -> Sequence[PolicyRow]:
    """Return `limit + 1` policies, by their ids."""
    query = sa.select(PolicyRow).order_by(col(PolicyRow.id)).limit(limit + 1)
    if after is not None:
        query = query.where(col(PolicyRow.id) > after)
    return (await session.scalars(query)).all()


async def one(session: AsyncSession, policy_id: str) -> PolicyRow | None:
    """Return a policy."""
    found: PolicyRow | None = await session.get(PolicyRow, policy_id)
    return found


async def held(tx: Transaction, policy_id: str) -> PolicyRow | None:
    """Return a policy, held until the transaction ends."""
    query = sa.select(PolicyRow).where(col(PolicyRow.id) == policy_id).with_for_update()
    found: PolicyRow | None = await tx.session.scalar(query.execution_options(populate_existing=True))
    return found


async def enabled(session: AsyncSession) -> list[Policy]:
    """Return the policies that are on, by their ids."""
    query = sa.select(PolicyRow).where(col(PolicyRow.is_enabled)).order_by(col(PolicyRow.id))
    rows = (await session.scalars(query.execution_options(populate_existing=True))).all()
    return [as_policy(row) for row in rows]


async def builtin(session: AsyncSession) -> Mapping[str, PolicyRow]:
    """Return the policies that come with the program."""
    rows = (await session.scalars(sa.select(PolicyRow).where(col(PolicyRow.is_builtin)))).all()
    return {row.id: row for row in rows}


async def some(session: AsyncSession, ids: Collection[str]) -> Mapping[str, PolicyRow]:
    """Return policies by their ids."""
    rows = (await session.scalars(sa.select(PolicyRow).where(col(PolicyRow.id).in_(ids)))).all()
    return {row.id: row for row in rows}


def as_policy(row: PolicyRow) -> Policy:
    """Return a row as policies are judged by."""
    return Policy(id=row.id, version=row.version, document=Document.model_validate(row.document))


async def lifted(session: AsyncSession, policies: Collection[str], *, now: datetime) -> list[Lifted]:
    """Return the exceptions from policies that hold."""
    query = sa.select(ExceptionRow).where(
        col(ExceptionRow.policy_id).in_(policies),
        col(ExceptionRow.state) == ExceptionState.APPROVED,
        col(ExceptionRow.ends_at) > now,
    )
    rows = (await session.scalars(query.order_by(col(ExceptionRow.ends_at)))).all()
    return [
        Lifted(
            id=row.id,
            policy_id=row.policy_id,
            rule_id=row.rule_id,
            kind=ScopeKind(row.scope),
            value=row.scope_value,
            ends_at=row.ends_at,
        )
        for row in rows
    ]


async def exceptions_page(
    session: AsyncSession,
    *,
    scope: Scope,
    policy: str | None,
    state: str | None,
    after: str | None,
    limit: int,
) -> Sequence[ExceptionRow]:
    """Return `limit + 1` exceptions, newest first."""
    query = sa.select(ExceptionRow).where(*visible_exceptions(scope))
    query = query.order_by(col(ExceptionRow.id).desc()).limit(limit + 1)
    if policy is not None:
        query = query.where(col(ExceptionRow.policy_id) == policy)
    if state is not None:
        query = query.where(col(ExceptionRow.state) == state)
    if after is not None:
        query = query.where(col(ExceptionRow.id) < after)
    return (await session.scalars(query)).all()


async def exception(session: AsyncSession, exception_id: str, *, scope: Scope) -> ExceptionRow | None:
    """Return an exception, where it may be seen."""
    query = sa.select(ExceptionRow).where(col(ExceptionRow.id) == exception_id, *visible_exceptions(scope))
    found: ExceptionRow | None = await session.scalar(query)
    return found


async def held_exception(tx: Transaction, exception_id: str, *, scope: Scope) -> ExceptionRow | None:
    """Return an exception, where it may be seen, held until the transaction ends."""
    query = sa.select(ExceptionRow).where(col(ExceptionRow.id) == exception_id, *visible_exceptions(scope))
    query = query.with_for_update()
    found: ExceptionRow | None = await tx.session.scalar(query.execution_options(populate_existing=True))
    return found
