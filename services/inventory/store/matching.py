"""Which of some certificates match which of some conditions, and how many match one."""

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store.tables import Certificate
from services.inventory.store.visibility import Scope, visible_certificates

Condition = sa.ColumnElement[bool]
_AT_ONCE = 25
"""Conditions in one statement: each is planned by itself, so that the few certificates asked for come first."""


async def matching(
    session: AsyncSession, conditions: Mapping[str, Condition], fingerprints: Collection[str]
) -> dict[str, set[str]]:
    """Return, by certificate, the keys of the conditions that it meets."""
    found: dict[str, set[str]] = {}
    keys = list(conditions)
    for first in range(0, len(keys), _AT_ONCE):
        parts = [
            sa.select(sa.literal(key).label("key"), col(Certificate.fingerprint)).where(
                col(Certificate.fingerprint).in_(fingerprints), conditions[key]
            )
            for key in keys[first : first + _AT_ONCE]
        ]
        for key, fingerprint in (await session.execute(sa.union_all(*parts))).all():
            found.setdefault(fingerprint, set()).add(key)
    return found


def within(scope: Scope, condition: Condition | None = None) -> Condition:
    """Say that a certificate is in a caller's scope and meets a condition, if there is one."""
    return sa.and_(sa.true(), *visible_certificates(scope), *([] if condition is None else [condition]))


async def visible(session: AsyncSession, fingerprints: Sequence[str], *, scope: Scope) -> Sequence[str]:
    """Return those of these certificates that are in a scope; without one all of them."""
    if scope is None:
        return fingerprints
    condition = within(scope, col(Certificate.fingerprint).in_(fingerprints))
    return await following(session, condition, after=None, limit=len(fingerprints))


async def count(session: AsyncSession, condition: Condition) -> int:
    """Return how many certificates meet a condition."""
    return int(
        await session.scalar(sa.select(sa.func.count()).select_from(Certificate).where(condition)) or 0
    )


async def examples(session: AsyncSession, condition: Condition, *, limit: int) -> Sequence[Certificate]:
    """Return some certificates that meet a condition."""
    query = sa.select(Certificate).where(condition).order_by(col(Certificate.fingerprint)).limit(limit)
    return (await session.scalars(query)).all()


async def following(
    session: AsyncSession, condition: Condition, *, after: str | None, limit: int
) -> Sequence[str]:
    """Return the next fingerprints of certificates that meet a condition, in their order."""
    fingerprint = col(Certificate.fingerprint)
    query = sa.select(fingerprint).where(condition).order_by(fingerprint).limit(limit)
    return (await session.scalars(query if after is None else query.where(fingerprint > after))).all()
