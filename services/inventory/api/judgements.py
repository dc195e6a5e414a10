"""The routes of what was found out about certificates: chains, findings of the linter, revocation."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field

from services.inventory.actions.judgements import ChainReport, Judgements, LintReport
from services.inventory.api.wanted import scope_of
from services.inventory.domain.chains.verdicts import ChainState
from services.inventory.domain.linting import remedy
from shared.access import Principal, requires
from shared.http import Routes, View
from shared.lint import CertificateClass, RuleSet, Severity
from shared.revocation.words import Means, Revocation

Reader = Annotated[Principal, requires("certificates:read")]


class FindingView(View):
    """A rule that a certificate breaks."""

    fingerprint: str
    rule: str = Field(examples=["cabf.serverauth.certificate_validity_period_exceeds_200_days"])
    severity: Severity
    evidence: str = Field(description="A line for each place in the certificate, and what is there.")
    remedy: str | None
    linter: str = Field(
        description="What found it last: name, version, and that of our own rules about it.",
        examples=["pkilint 0.13.3/1"],
    )
    first_seen: datetime
    last_seen: datetime


class LintView(View):
    """How a certificate was linted, and which rules it breaks."""

    linted_at: datetime | None = Field(description="Empty where it was not linted yet.")
    linted_with: str | None
    kind: CertificateClass | None
    rules: RuleSet | None = Field(
        description="Those that were in force for its class when it began; a private CA's certificates are never held "
        "against the CA/Browser Forum's."
    )
    findings: list[FindingView]


class RuleCountView(View):
    """How many certificates break a rule."""

    rule: str
    severity: Severity
    remedy: str | None
    certificates: int


class RuleCountsView(View):
    """Which rules are broken, the most broken first; at most 500."""

    rules: list[RuleCountView]


class ProblemView(View):
    """One thing that is wrong with a chain."""

    state: ChainState
    evidence: str


class ChainView(View):
    """A chain that is or was served with a certificate, and what was found out about it."""

    chain: list[str] = Field(description="Fingerprints of what is served after the certificate.")
    place_count: int = Field(description="How many places serve it with this chain now.")
    judged_at: datetime | None = Field(description="Empty where it was not judged yet.")
    state: ChainState | None = Field(description="The worst of `problems`.")
    problems: list[ProblemView]
    path: list[str] = Field(description="Fingerprints of the best path there is, the certificate first.")
    missing: list[str] = Field(
        description="Fingerprints of intermediates that are known here and should be served too."
    )
    trust_store: str | None = Field(description="`public` or `own`, where the path ends in a root of it.")
    trusted_until: datetime | None = Field(description="When the path ends, where clients accept it.")


class ChainsView(View):
    """The chains of a certificate, at most 100, the latest judged first."""

    chains: list[ChainView]


class RevocationView(View):
    """What the authority of a certificate says of it."""

    state: Revocation | None = Field(description="Empty where nobody was asked yet.")
    evidence: str | None
    means: Means | None
    url: str | None = Field(description="Who was asked.")
    this_update: datetime | None
    next_update: datetime | None = Field(description="Until when the word holds.")
    revoked_at: datetime | None
    reason: str | None = Field(description="As RFC 5280 §5.3.1 names it.", examples=["keyCompromise"])
    checked_at: datetime | None
    due_at: datetime | None = Field(description="When it is asked for next; empty once it has ended.")
    failures: int = Field(description="Looks in a row that brought no answer.")
    told_at: datetime | None = Field(
        description="When `certificate.revocation_seen` was told: it is revoked and in use."
    )


def judgement_routes(judgements: Judgements) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    @routes.get("/certificates/{fingerprint}/findings", summary="Show which rules a certificate breaks")
    async def get_findings(
        caller: Reader, fingerprint: str, severity: Annotated[Severity | None, Query()] = None
    ) -> LintView:
        return _lint(
            await judgements.findings(fingerprint.lower(), scope=scope_of(caller), severity=severity)
        )

    @routes.get(
        "/certificates/{fingerprint}/chains", summary="Show the chains it is served with, and what is wrong"
    )
    async def get_chains(caller: Reader, fingerprint: str) -> ChainsView:
        return ChainsView(
            chains=[
                _chain(each) for each in await judgements.chains(fingerprint.lower(), scope=scope_of(caller))
            ]
        )

    @routes.get("/certificates/{fingerprint}/revocation", summary="Show whether its authority has revoked it")
    async def get_revocation(caller: Reader, fingerprint: str) -> RevocationView:
        return RevocationView.model_validate(
            await judgements.revocation(fingerprint.lower(), scope=scope_of(caller))
        )

    @routes.get("/findings", summary="Count the certificates that break each rule")
    async def count_findings(
        caller: Reader,
        current: Annotated[bool | None, Query(description="Only of certificates that are in use.")] = None,
    ) -> RuleCountsView:
        rows = await judgements.rules(scope=scope_of(caller), is_current=current)
        return RuleCountsView(
            rules=[
                RuleCountView(
                    rule=row.rule,
                    severity=Severity(row.severity),
                    remedy=remedy(row.rule),
                    certificates=row.certificates,
                )
                for row in rows
            ]
        )

    return routes


def _lint(report: LintReport) -> LintView:
    lint = report.lint
    return LintView(
        linted_at=lint.linted_at if lint else None,
        linted_with=(lint.linted_with or None) if lint else None,
        kind=CertificateClass(lint.kind) if lint and lint.kind else None,
        rules=RuleSet(lint.rules) if lint and lint.rules else None,
        findings=[
            FindingView.model_validate({**row.model_dump(), "remedy": remedy(row.rule)})
            for row in report.findings
        ],
    )


def _chain(report: ChainReport) -> ChainView:
    row = report.row
    return ChainView(
        chain=row.chain,
        place_count=report.place_count,
        judged_at=row.judged_at,
        state=ChainState(row.state) if row.state else None,
        problems=[ProblemView.model_validate(each) for each in row.details.get("problems", [])],
        path=row.details.get("path", []),
        missing=row.details.get("missing", []),
        trust_store=row.store,
        trusted_until=row.trusted_until,
    )
