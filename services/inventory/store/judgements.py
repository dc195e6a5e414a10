"""What was found out about certificates in short: facts that grades and rules stand on."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.certificates import chain_digest
from services.inventory.store.tables import Certificate, FindingRow, RevocationRow, ServedChainRow
from services.inventory.store.visibility import Scope, visible_certificates
from shared.revocation.words import Revocation


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What is known of one certificate with the chain that it was last seen with."""

    chain_state: str | None = None
    trusted_until: datetime | None = None
    is_trusted: bool | None = None
    """As it was when the chain was judged; `trusted_until` tells for other instants. None where it was not judged yet."""
    trust_store: str | None = None
    """`public` or `own`, where the chain leads to a root of it."""
    revocation: str | None = None
    findings: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_revoked(self) -> bool | None:
        """Return whether it is revoked; None where that is not known."""
        known = self.revocation in (Revocation.GOOD, Revocation.REVOKED)
        return self.revocation == Revocation.REVOKED if known else None


async def is_seen(session: AsyncSession, fingerprint: str, *, scope: Scope) -> bool:
    """Return whether there is a certificate that may be seen."""
    query = sa.select(col(Certificate.fingerprint)).where(
        col(Certificate.fingerprint) == fingerprint, *visible_certificates(scope)
    )
    return await session.scalar(query) is not None


async def judged(session: AsyncSession, row: Certificate) -> Judged:
    """Return what is known of a certificate with the chain that it was last seen with."""
    digest = chain_digest([row.fingerprint, *row.chain])
    return (await judged_at(session, {(row.fingerprint, digest)}))[row.fingerprint, digest]


async def judged_at(
    session: AsyncSession, served: Collection[tuple[str, str]]
) -> Mapping[tuple[str, str], Judged]:
    """Return what is known of what places serve: fingerprint and `chain_digest` as their sightings have them."""
    names = sorted({fingerprint for fingerprint, _ in served})
    query = sa.select(ServedChainRow).where(
        col(ServedChainRow.fingerprint).in_(names), col(ServedChainRow.judged_at).is_not(None)
    )
    rows = {(row.fingerprint, row.chain_digest): row for row in (await session.scalars(query)).all()}
    states, counts = await _revocations(session, names), await _counts(session, names)
    return {
        key: _judged(rows.get(key), revocation=states.get(key[0]), findings=counts.get(key[0], {}))
        for key in served
    }


def _judged(row: ServedChainRow | None, *, revocation: str | None, findings: Mapping[str, int]) -> Judged:
    if row is None or row.judged_at is None:
        return Judged(revocation=revocation, findings=findings)
    return Judged(
        chain_state=row.state,
        trusted_until=row.trusted_until,
        is_trusted=row.trusted_until is not None and row.trusted_until >= row.judged_at,
        trust_store=row.store,
        revocation=revocation,
        findings=findings,
    )


async def _revocations(session: AsyncSession, names: Collection[str]) -> dict[str, str | None]:
    query = sa.select(col(RevocationRow.fingerprint), col(RevocationRow.state)).where(
        col(RevocationRow.fingerprint).in_(names)
    )
    return {row.fingerprint: row.state for row in (await session.execute(query)).all()}


async def _counts(session: AsyncSession, names: Collection[str]) -> dict[str, dict[str, int]]:
    query = (
        sa.select(col(FindingRow.fingerprint), col(FindingRow.severity), sa.func.count())
        .where(col(FindingRow.fingerprint).in_(names))
        .group_by(col(FindingRow.fingerprint), col(FindingRow.severity))
    )
    found: dict[str, dict[str, int]] = {}
    for name, severity, count in (await session.execute(query)).all():
        found.setdefault(name, {})[severity] = count
    return found
