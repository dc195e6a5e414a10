"""Which of some certificates match which of some conditions, and how many match one."""

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store.tables import Certificate
from services.inventory.store.visibility import Scope, visible_certificates
from shared.store.parameters import among

Condition = sa.ColumnElement[bool]
_AT_ONCE = 100
"""Conditions in one statement, each a column of it: neither database takes columns without end."""


async def matching(
    session: AsyncSession, conditions: Mapping[str, Condition], fingerprints: Collection[str]
) -> dict[str, set[str]]:
    """Return, by certificate, the keys of the conditions that it meets: each certificate is looked at once for all of them."""
    found: dict[str, set[str]] = {}
    keys = list(conditions)
    fingerprint = col(Certificate.fingerprint)
    for first in range(0, len(keys), _AT_ONCE):
        part = keys[first : first + _AT_ONCE]
        answers = [conditions[key].label(f"c{number}") for number, key in enumerate(part)]
        query = sa.select(fingerprint, *answers).where(among(session, fingerprint, fingerprints))
        for each, *met in (await session.execute(query)).all():
            if any(met):
                found.setdefault(each, set()).update(
                    key for key, is_so in zip(part, met, strict=True) if is_so
                )
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
