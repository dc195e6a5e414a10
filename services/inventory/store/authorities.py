"""Authorities that were seen above certificates, and which certificates are under them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store.association_tables import AuthorityRow, IssuedUnder
from services.inventory.store.authority_findings import FOUND, RULE, SEVERITY, is_breaking
from services.inventory.store.tables import Certificate
from services.inventory.store.visibility import Scope, visible_certificates
from shared.lint import Finding
from shared.store import Transaction, insert, write_rows


@dataclass(frozen=True, kw_only=True)
class Leaves:
    """How many certificates are under an authority."""

    known: int = 0
    outliving: int = 0
    """Of those, the ones that end later than the authority does."""


@dataclass(frozen=True, kw_only=True)
class RuleCount:
    """How many authorities break a rule."""

    rule: str
    severity: str
    issuers: int


async def known(session: AsyncSession, fingerprints: Collection[str]) -> Sequence[AuthorityRow]:
    """Return those of these authorities that are known."""
    query = sa.select(AuthorityRow).where(col(AuthorityRow.fingerprint).in_(fingerprints))
    return (await session.scalars(query.execution_options(populate_existing=True))).all()


async def keep(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep authorities that are new."""
    await write_rows(tx, insert(tx, AuthorityRow).on_conflict_do_nothing(), rows)


async def links_of(session: AsyncSession, fingerprints: Collection[str]) -> set[tuple[str, str]]:
    """Return authority and certificate of the links that these certificates have."""
    query = sa.select(col(IssuedUnder.authority), col(IssuedUnder.fingerprint))
    query = query.where(col(IssuedUnder.fingerprint).in_(fingerprints))
    return {(authority, fingerprint) for authority, fingerprint in (await session.execute(query)).all()}


async def link(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep that certificates are under authorities: links that are new."""
    await write_rows(tx, insert(tx, IssuedUnder).on_conflict_do_nothing(), rows)


async def count(tx: Transaction, authority: str, *, leaves: int, outliving: int) -> None:
    """Count more certificates under an authority."""
    query = sa.update(AuthorityRow).where(col(AuthorityRow.fingerprint) == authority)
    more = {
        "leaves": col(AuthorityRow.leaves) + leaves,
        "outliving": col(AuthorityRow.outliving) + outliving,
    }
    await tx.session.execute(query.values(more).execution_options(synchronize_session=False))


async def look_again(tx: Transaction, fingerprints: Collection[str], *, now: datetime) -> None:
    """Have these authorities looked at, where their end is near: what is under them has changed."""
    if not fingerprints:
        return
    query = sa.update(AuthorityRow).where(
        col(AuthorityRow.fingerprint).in_(fingerprints), col(AuthorityRow.urgency).is_not(None)
    )
    await tx.session.execute(query.values(next_crossing_at=now).execution_options(synchronize_session=False))


async def due(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[str]:
    """Return authorities that have come to a threshold."""
    query = sa.select(col(AuthorityRow.fingerprint)).where(col(AuthorityRow.next_crossing_at) <= now)
    return (await session.scalars(query.order_by(col(AuthorityRow.next_crossing_at)).limit(limit))).all()


async def claim_to_lint(
    tx: Transaction, *, linter: str, now: datetime, until: datetime, limit: int
) -> Sequence[str]:
    """Return authorities that this linter has not linted; nobody else gets them until then."""
    other = sa.or_(col(AuthorityRow.linted_with) < linter, col(AuthorityRow.linted_with) > linter)
    free = sa.or_(col(AuthorityRow.claimed_until).is_(None), col(AuthorityRow.claimed_until) <= now)
    query = sa.select(AuthorityRow).where(other, free).limit(limit).with_for_update(skip_locked=True)
    rows = (await tx.session.scalars(query)).all()
    for row in rows:
        row.claimed_until = until
    return [row.fingerprint for row in rows]


async def keep_findings(
    tx: Transaction, found: Mapping[str, Sequence[Finding]], *, linter: str, now: datetime
) -> None:
    """Keep what a linter has found of authorities, in the place of what was found before."""
    rows = await tx.session.scalars(
        sa.select(AuthorityRow).where(col(AuthorityRow.fingerprint).in_(found)).with_for_update()
    )
    for row in rows.all():
        row.linted_with, row.linted_at, row.claimed_until = linter, now, None
        row.findings = [asdict(each) for each in found[row.fingerprint]]


async def current_leaves(session: AsyncSession, authority: str, *, limit: int) -> Sequence[str]:
    """Return certificates under an authority whose own end matters."""
    query = (
        sa.select(col(IssuedUnder.fingerprint))
        .join(Certificate, col(Certificate.fingerprint) == col(IssuedUnder.fingerprint))
        .where(col(IssuedUnder.authority) == authority, col(Certificate.is_current))
        .limit(limit)
    )
    return (await session.scalars(query)).all()


async def count_current(session: AsyncSession, authority: str) -> int:
    """Return how many certificates under an authority have an end that matters."""
    query = (
        sa.select(sa.func.count())
        .select_from(IssuedUnder)
        .join(Certificate, col(Certificate.fingerprint) == col(IssuedUnder.fingerprint))
        .where(col(IssuedUnder.authority) == authority, col(Certificate.is_current))
    )
    return await session.scalar(query) or 0


async def page(
    session: AsyncSession,
    *,
    after: tuple[datetime, str] | None,
    limit: int,
    ends_before: datetime | None,
    is_outlived: bool | None,
    rule: str | None,
    severity: str | None,
    scope: Scope,
) -> Sequence[AuthorityRow]:
    """Return `limit + 1` authorities, those that end first first; those of which no end is known are left out."""
    ends, fingerprint = col(AuthorityRow.not_after), col(AuthorityRow.fingerprint)
    query = sa.select(AuthorityRow).where(ends.is_not(None))
    if after is not None:
        query = query.where(ends >= after[0], sa.or_(ends > after[0], fingerprint > after[1]))
    if ends_before is not None:
        query = query.where(ends < ends_before)
    if is_outlived is not None:
        query = query.where(
            col(AuthorityRow.outliving) > 0 if is_outlived else col(AuthorityRow.outliving) == 0
        )
    if rule is not None or severity is not None:
        query = query.where(is_breaking(rule=rule, severity=severity))
    if scope is not None:
        query = query.where(_is_seen(scope))
    return (await session.scalars(query.order_by(ends, fingerprint).limit(limit + 1))).all()


async def rules_broken(session: AsyncSession, *, scope: Scope, limit: int) -> list[RuleCount]:
    """Return which rules are broken by how many authorities, the most broken first."""
    number = sa.func.count()
    query = sa.select(RULE, SEVERITY, number).select_from(AuthorityRow).join(FOUND, sa.true())
    if scope is not None:
        query = query.where(_is_seen(scope))
    query = query.group_by(RULE, SEVERITY).order_by(number.desc(), RULE, SEVERITY).limit(limit)
    rows = (await session.execute(query)).all()
    return [RuleCount(rule=rule, severity=severity, issuers=count) for rule, severity, count in rows]


def _is_seen(scope: Scope) -> sa.ColumnElement[bool]:
    """Say that a certificate under the authority may be seen."""
    same = col(Certificate.fingerprint) == col(IssuedUnder.fingerprint)
    return sa.exists().where(_is_under(), same, *visible_certificates(scope))


async def one(session: AsyncSession, fingerprint: str, *, scope: Scope) -> AuthorityRow | None:
    """Return an authority, where the caller may see a certificate under it."""
    query = sa.select(AuthorityRow).where(col(AuthorityRow.fingerprint) == fingerprint)
    found: AuthorityRow | None = await session.scalar(
        query if scope is None else query.where(_is_seen(scope))
    )
    return found


def _is_under() -> sa.ColumnElement[bool]:
    return col(IssuedUnder.authority) == col(AuthorityRow.fingerprint)


async def count_leaves(
    session: AsyncSession, rows: Sequence[AuthorityRow], *, scope: Scope
) -> Mapping[str, Leaves]:
    """Return how many certificates that the caller may see are under authorities."""
    if scope is None:
        return {row.fingerprint: Leaves(known=row.leaves, outliving=row.outliving) for row in rows}
    every = sa.func.count()
    query = (
        sa.select(
            col(IssuedUnder.authority),
            every,
            every.filter(col(IssuedUnder.ends) > col(AuthorityRow.not_after)),
        )
        .join(AuthorityRow, col(AuthorityRow.fingerprint) == col(IssuedUnder.authority))
        .join(Certificate, col(Certificate.fingerprint) == col(IssuedUnder.fingerprint))
        .where(col(IssuedUnder.authority).in_([row.fingerprint for row in rows]))
        .where(*visible_certificates(scope))
        .group_by(col(IssuedUnder.authority))
    )
    return {
        authority: Leaves(known=known, outliving=outliving)
        for authority, known, outliving in (await session.execute(query)).all()
    }


async def count_valid(session: AsyncSession, authority: str, *, now: datetime, scope: Scope) -> int:
    """Return how many certificates under an authority have not ended."""
    query = sa.select(sa.func.count()).select_from(IssuedUnder)
    query = query.where(col(IssuedUnder.authority) == authority, col(IssuedUnder.ends) > now)
    if scope is not None:
        query = query.join(Certificate, col(Certificate.fingerprint) == col(IssuedUnder.fingerprint))
        query = query.where(*visible_certificates(scope))
    return await session.scalar(query) or 0


async def leaves(
    session: AsyncSession,
    authority: AuthorityRow,
    *,
    is_outliving: bool,
    after: tuple[datetime, str] | None,
    limit: int,
    scope: Scope,
) -> Sequence[Certificate]:
    """Return `limit + 1` certificates under an authority, those that end first first."""
    ends, fingerprint = col(IssuedUnder.ends), col(IssuedUnder.fingerprint)
    query = (
        sa.select(Certificate)
        .join(IssuedUnder, col(IssuedUnder.fingerprint) == col(Certificate.fingerprint))
        .where(col(IssuedUnder.authority) == authority.fingerprint, ends.is_not(None))
    )
    if is_outliving:
        query = query.where(ends > authority.not_after)
    if after is not None:
        query = query.where(ends >= after[0], sa.or_(ends > after[0], fingerprint > after[1]))
    query = query.where(*visible_certificates(scope))
    return (await session.scalars(query.order_by(ends, fingerprint).limit(limit + 1))).all()
