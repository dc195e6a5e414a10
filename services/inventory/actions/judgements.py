"""Answers what was found out about a certificate: its chains, the rules it breaks, and whether it was revoked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from services.inventory.store import chains, findings, judgements, revocations
from services.inventory.store.findings import RuleCount
from services.inventory.store.tables import FindingRow, LintRow, RevocationRow, ServedChainRow
from services.inventory.store.visibility import Scope
from shared.errors import NotFound
from shared.store import Database

MOST_CHAINS = 100
MOST_RULES = 500


@dataclass(frozen=True, kw_only=True)
class LintReport:
    """How a certificate was linted, and what came of it."""

    lint: LintRow | None
    findings: Sequence[FindingRow]


@dataclass(frozen=True, kw_only=True)
class ChainReport:
    """A chain that is or was served with a certificate."""

    row: ServedChainRow
    place_count: int


class Judgements:
    """The questions that can be asked; none of them changes anything."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def findings(self, fingerprint: str, *, scope: Scope, severity: str | None) -> LintReport:
        """Return the findings of a certificate. Raises `NotFound`."""
        async with self._database.read() as session:
            await _require(session, fingerprint, scope=scope)
            return LintReport(
                lint=await findings.lint_row(session, fingerprint),
                findings=await findings.of_certificate(session, fingerprint, severity=severity),
            )

    async def rules(self, *, scope: Scope, is_current: bool | None) -> Sequence[RuleCount]:
        """Return which rules are broken, and by how many certificates."""
        async with self._database.read() as session:
            return await findings.counts(session, scope=scope, is_current=is_current, limit=MOST_RULES)

    async def chains(self, fingerprint: str, *, scope: Scope) -> Sequence[ChainReport]:
        """Return the chains of a certificate. Raises `NotFound`."""
        async with self._database.read() as session:
            await _require(session, fingerprint, scope=scope)
            counts: Mapping[str | None, int] = await chains.places_by_digest(session, fingerprint)
            rows = await chains.of_certificate(session, fingerprint, limit=MOST_CHAINS)
        return [ChainReport(row=row, place_count=counts.get(row.chain_digest, 0)) for row in rows]

    async def revocation(self, fingerprint: str, *, scope: Scope) -> RevocationRow:
        """Return what is known of a certificate's revocation. Raises `NotFound` where nobody can be asked."""
        async with self._database.read() as session:
            await _require(session, fingerprint, scope=scope)
            row = await revocations.revocation(session, fingerprint)
        if row is None:
            raise NotFound(
                "Nothing is known of its revocation.",
                next_step="Look again in a minute where it was found just now. Else it names neither an OCSP responder "
                "nor a CRL that can be asked by HTTP; its CA must say whether it is revoked.",
            )
        return row


async def _require(session: AsyncSession, fingerprint: str, *, scope: Scope) -> None:
    if not await judgements.is_seen(session, fingerprint, scope=scope):
        raise NotFound(
            f"There is no certificate {fingerprint}.",
            next_step="List what there is with GET /v1/certificates.",
        )
