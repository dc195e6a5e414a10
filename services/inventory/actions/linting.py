"""Lints each certificate, and each authority above one, once with each version of the linter, beside everything else and never in its way."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.inventory.store import authorities, certificates, findings
from services.inventory.store.tables import LintRow
from shared.apart import Unfinished, run_apart
from shared.lint import CertificateClass, Linted, RuleSet, crashed
from shared.lint.pkilint import lint, linter_version
from shared.store import Database, Transaction

BATCH = 100
_LEASE = timedelta(minutes=30)
_WITHIN = timedelta(seconds=60)
"""For one certificate: most take milliseconds, one with 20,000 bad names nine seconds."""


class Linting:
    """The linter, and what it has found."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._linter = linter_version()

    async def lint_due(self, now: datetime) -> bool:
        """Lint a batch of certificates; return whether there may be more."""
        async with self._database.transaction() as tx:
            rows = await findings.claim(tx, linter=self._linter, now=now, until=now + _LEASE, limit=BATCH)
        if not rows:
            return False
        async with self._database.read() as session:
            ders = await certificates.ders(session, [row.fingerprint for row in rows])
        linted = [await _lint(ders.get(row.fingerprint, b""), is_public=row.is_public) for row in rows]
        async with self._database.transaction() as tx:
            await self._keep(tx, rows, linted, now=now)
        return len(rows) == BATCH

    async def lint_authorities_due(self, now: datetime) -> bool:
        """Lint a batch of the authorities that are above certificates; return whether there may be more.

        Which rules hold for an authority does not depend on whether it is a public one (`shared.lint.rules_for`).
        """
        async with self._database.transaction() as tx:
            prints = await authorities.claim_to_lint(
                tx, linter=self._linter, now=now, until=now + _LEASE, limit=BATCH
            )
        if not prints:
            return False
        async with self._database.read() as session:
            ders = await certificates.ders(session, prints)
        found = {each: (await _lint(ders.get(each, b""), is_public=False)).findings for each in prints}
        async with self._database.transaction() as tx:
            await authorities.keep_findings(tx, found, linter=self._linter, now=now)
        return len(prints) == BATCH

    async def _keep(
        self, tx: Transaction, rows: Sequence[LintRow], linted: Sequence[Linted], *, now: datetime
    ) -> None:
        stored = await findings.lint_rows(tx, [row.fingerprint for row in rows])
        of = {}
        for row, each in zip(rows, linted, strict=True):
            kept = stored.get(row.fingerprint)
            if kept is None:
                continue
            kept.claimed_until = None
            if kept.is_public is not row.is_public:
                continue  # it turned out to be another class meanwhile, and is linted again
            kept.linted_with, kept.linted_at = self._linter, now
            kept.kind, kept.rules = each.kind, each.rules
            of[row.fingerprint] = each.findings
        await findings.replace(tx, of, linter=self._linter, now=now)


async def _lint(der: bytes, *, is_public: bool) -> Linted:
    try:
        return await run_apart(lint, der, is_public, within=_WITHIN)
    except Unfinished as error:
        return Linted(kind=CertificateClass.OTHER, rules=RuleSet.PKIX, findings=(crashed(str(error)),))
