"""What linting has found, and which certificates are to be linted."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store import tallies
from services.inventory.store.tables import Certificate, FindingRow, LintRow
from services.inventory.store.visibility import Scope, visible_certificates
from shared.lint import Finding
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


_FINDING = "finding"
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
    kept = await _kept(session, scope, is_current=is_current)
    if kept is not None:
        return _most_broken(kept)[:limit]
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


async def _kept(
    session: AsyncSession, scope: Scope, *, is_current: bool | None
) -> Mapping[str | None, int] | None:
    """Return the counts that are kept, by severity and rule, or None where they must be counted."""
    of = tallies.kept_for(session, scope)
    if of is None or (scope is not None and is_current is not None):
        return None
    every = (await tallies.numbers(session, of, _FINDING))[_FINDING]
    if is_current is None:
        return every
    current = (await tallies.numbers(session, [tallies.CURRENT], _FINDING))[_FINDING]
    return (
        current if is_current else {value: number - current.get(value, 0) for value, number in every.items()}
    )


def _most_broken(numbers: Mapping[str | None, int]) -> list[RuleCount]:
    found = []
    for value, number in numbers.items():
        severity, _, rule = (value or "").partition("|")
        if number:
            found.append(RuleCount(rule=rule, severity=severity, certificates=number))
    return sorted(found, key=lambda each: (-each.certificates, each.rule))


async def counts_by_severity(session: AsyncSession, *, scope: Scope) -> dict[str, int]:
    """Return how many broken rules there are of each severity, one for each certificate and rule."""
    query = sa.select(col(FindingRow.severity), sa.func.count()).group_by(col(FindingRow.severity))
    if scope is not None:
        query = query.join(Certificate, col(Certificate.fingerprint) == col(FindingRow.fingerprint))
        query = query.where(*visible_certificates(scope))
    return {severity: count for severity, count in (await session.execute(query)).all()}  # noqa: C416 - a typed dict of rows
