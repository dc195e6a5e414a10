"""What linting has found, and which certificates are to be linted."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.linting import Finding
from services.inventory.store.tables import Certificate, FindingRow, LintRow
from services.inventory.store.visibility import Scope, visible_certificates
from shared.store import Transaction, insert


@dataclass(frozen=True, kw_only=True)
class RuleCount:
    """How many certificates break a rule."""

    rule: str
    severity: str
    certificates: int


async def claim(
    tx: Transaction, *, linter: str, now: datetime, until: datetime, limit: int
) -> Sequence[LintRow]:
    """Return certificates that this linter has not linted; nobody else gets them until then."""
    other = sa.or_(col(LintRow.linted_with) < linter, col(LintRow.linted_with) > linter)
    free = sa.or_(col(LintRow.claimed_until).is_(None), col(LintRow.claimed_until) <= now)
    query = sa.select(LintRow).where(other, free).limit(limit).with_for_update(skip_locked=True)
    rows = (await tx.session.scalars(query)).all()
    for row in rows:
        row.claimed_until = until
    return rows


async def lint_row(session: AsyncSession, fingerprint: str) -> LintRow | None:
    """Return how a certificate was linted."""
    query = sa.select(LintRow).where(col(LintRow.fingerprint) == fingerprint)
    found: LintRow | None = await session.scalar(query)
    return found


async def lint_rows(tx: Transaction, fingerprints: Collection[str]) -> Mapping[str, LintRow]:
    """Return how certificates were linted, to be changed."""
    query = sa.select(LintRow).where(col(LintRow.fingerprint).in_(fingerprints)).with_for_update()
    return {row.fingerprint: row for row in (await tx.session.scalars(query)).all()}


async def replace(
    tx: Transaction, found: Mapping[str, Sequence[Finding]], *, linter: str, now: datetime
) -> None:
    """Put the findings of certificates in the place of those before; what is found again keeps since when."""
    for fingerprint, findings in found.items():
        rules = [finding.rule for finding in findings]
        gone = sa.delete(FindingRow).where(
            col(FindingRow.fingerprint) == fingerprint, col(FindingRow.rule).not_in(rules)
        )
        await tx.session.execute(gone.execution_options(synchronize_session=False))
    values = [
        {
            "fingerprint": fingerprint,
            "rule": finding.rule,
            "severity": finding.severity,
            "evidence": finding.evidence,
            "linter": linter,
            "first_seen": now,
            "last_seen": now,
        }
        for fingerprint, findings in found.items()
        for finding in findings
    ]
    for start in range(0, len(values), _ROWS):
        new = insert(tx, FindingRow).values(values[start : start + _ROWS])
        kept = {name: new.excluded[name] for name in ("severity", "evidence", "linter", "last_seen")}
        await tx.session.execute(new.on_conflict_do_update(index_elements=["fingerprint", "rule"], set_=kept))


_ROWS = 500
"""In one statement: PostgreSQL takes 32,767 parameters."""


async def of_certificate(
    session: AsyncSession, fingerprint: str, *, severity: str | None
) -> Sequence[FindingRow]:
    """Return what was found of a certificate, by rule."""
    query = sa.select(FindingRow).where(col(FindingRow.fingerprint) == fingerprint)
    if severity is not None:
        query = query.where(col(FindingRow.severity) == severity)
    return (await session.scalars(query.order_by(col(FindingRow.rule)))).all()


async def counts(
    session: AsyncSession, *, scope: Scope, is_current: bool | None, limit: int
) -> list[RuleCount]:
    """Return which rules are broken by how many certificates, the most broken first."""
    number = sa.func.count()
    query = sa.select(col(FindingRow.rule), col(FindingRow.severity), number)
    conditions = [*visible_certificates(scope)]
    if is_current is not None:
        conditions.append(col(Certificate.is_current).is_(is_current))
    if conditions:  # else an index has all that is counted
        query = query.join(Certificate, col(Certificate.fingerprint) == col(FindingRow.fingerprint))
        query = query.where(*conditions)
    query = query.group_by(col(FindingRow.rule), col(FindingRow.severity))
    rows = (await session.execute(query.order_by(number.desc(), col(FindingRow.rule)).limit(limit))).all()
    return [RuleCount(rule=rule, severity=severity, certificates=count) for rule, severity, count in rows]
