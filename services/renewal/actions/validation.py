"""Looks at a new certificate before anyone is told of it: all that `domain.validation` decides, with what that takes."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from services.renewal.connectors.log_list import LogListFile
from services.renewal.connectors.revocation import Lookout
from services.renewal.domain.policy import Trust
from services.renewal.domain.validation import (
    ASKED_FOR,
    Passed,
    check_findings,
    check_logs,
    check_usage,
    check_word,
)
from shared import x509
from shared.apart import Unfinished, run_apart
from shared.lint import CertificateClass, Linted, RuleSet, crashed
from shared.lint.pkilint import lint

_WITHIN = timedelta(seconds=60)

Lint = Callable[[bytes], Awaitable[Linted]]


class Validator:
    """Looks at certificates; `lint_public` holds one (DER) against the rules of publicly trusted ones.

    `logs` are the CT logs that browsers take.
    """

    def __init__(
        self, lookout: Lookout, *, lint_public: Lint | None = None, logs: LogListFile | None = None
    ) -> None:
        self._lookout = lookout
        self._lint_public = lint_public or lint_apart
        self._logs = logs

    async def inspect(
        self, chain: Sequence[bytes], *, issuer: bytes | None, trust: Trust, now: datetime
    ) -> list[Passed]:
        """Return what was found to be right with a chain (DER, leaf first) that was asked for. Raises `Refused`.

        A certificate of a private authority is bound by no forum, and not linted here: inventory does that for all.
        """
        leaf = x509.load(chain[0])
        passed = [*ASKED_FOR, check_usage(leaf)]
        if trust is Trust.PUBLIC:
            linted = await self._lint_public(chain[0])
            passed.append(check_findings(linted.findings, rules=linted.rules))
        known = self._logs.read() if self._logs is not None else None
        logs = check_logs(leaf, trust=trust, issuer=issuer, known=known)
        passed += [logs] if logs is not None else []
        word = await self._lookout.look(chain[0], issuer=issuer, now=now)
        return [*passed, check_word(word)]


async def lint_apart(der: bytes) -> Linted:
    """Lint a public certificate in a process of its own."""
    try:
        return await run_apart(lint, der, True, within=_WITHIN)
    except Unfinished as error:
        findings = (crashed(str(error)),)
        return Linted(kind=CertificateClass.OTHER, rules=RuleSet.PKIX, findings=findings)
