"""The routes of issuers: intermediates and roots as they were served, their ends, and what is under them."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field

from services.inventory.actions.reading import Reading
from services.inventory.actions.relations import Issuer, Relations
from services.inventory.api.certificates import CertificateView, shown_all
from services.inventory.api.keys import Fingerprint, tidy
from services.inventory.api.wanted import Moment
from services.inventory.domain.linting import remedy
from shared.access import Principal, requires
from shared.clock import Clock
from shared.events.inventory import Urgency
from shared.http import Page, Paging, Routes, View, instant_in, of_query
from shared.lint import Severity

Reader = Annotated[Principal, requires("certificates:read")]
AllPages = Annotated[Paging, of_query(Paging)]


class LeavesView(View):
    """How many certificates are under an authority."""

    known: int
    outliving: int = Field(description="Of those, the ones that end later than the authority does.")


class IssuerView(View):
    """A certificate of an authority, as it was served above others."""

    fingerprint: str
    subject: str | None = Field(examples=["CN=Example Issuing CA 2,O=Example"])
    issuer: str | None
    serial: str | None
    not_before: datetime | None
    not_after: datetime | None
    key_type: str | None
    key_bits: int | None
    key_fingerprint: str | None
    signature_algorithm: str | None
    is_self_issued: bool = Field(description="Whether it is a root.")
    urgency: Urgency | None = Field(
        description="How near its end is: `renew` a year before, `warning` 180 days, `error` 90, `critical` 30."
    )
    first_known_at: datetime
    leaves: LeavesView
    broken_rules: dict[Severity, int] = Field(description="How many rules it breaks, by severity.")


class IssuerFindingView(View):
    """A rule that an authority's certificate breaks."""

    rule: str = Field(examples=["pkix.subject_key_identifier_extension_absent"])
    severity: Severity
    evidence: str = Field(description="A line for each place in the certificate, and what is there.")
    remedy: str | None


class IssuerRuleCountView(View):
    """How many intermediates and roots break a rule."""

    rule: str
    severity: Severity
    remedy: str | None
    issuers: int


class IssuerRuleCountsView(View):
    """Which rules are broken by intermediates and roots, the most broken first; at most 500."""

    rules: list[IssuerRuleCountView]


class IssuerReportView(IssuerView):
    """An authority, how many certificates under it have not ended, and what a linter has found of it."""

    valid: int
    linted_at: datetime | None = Field(description="Empty where it was not linted yet.")
    findings: list[IssuerFindingView] = Field(
        description="The rules that it breaks. They are not counted with those of the certificates."
    )


def issuer_routes(relations: Relations, reading: Reading, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    @routes.get("/issuers", summary="List intermediates and roots, those that end first first")
    async def list_issuers(
        caller: Reader,
        paging: AllPages,
        *,
        expires_before: Moment | None = None,
        outlived: Annotated[
            bool | None, Query(description="Whether a certificate under it ends later than it does.")
        ] = None,
        rule: Annotated[
            str | None, Query(description="A rule that it breaks, as the linter names it.")
        ] = None,
        severity: Annotated[
            Severity | None,
            Query(description="The severity of a rule that it breaks; of `rule`, where both are given."),
        ] = None,
    ) -> Page[IssuerView]:
        rows = await relations.issuers(
            after=ending(paging),
            limit=paging.limit,
            ends_before=expires_before,
            is_outlived=outlived,
            rule=rule,
            severity=severity,
            scope=caller.scope,
        )
        return paging.page(
            [_shown(row) for row in rows], key=lambda view: _end(view.not_after, view.fingerprint)
        )

    @routes.get("/issuer-findings", summary="Count the intermediates and roots that break each rule")
    async def count_issuer_findings(caller: Reader) -> IssuerRuleCountsView:
        return IssuerRuleCountsView(
            rules=[
                IssuerRuleCountView(
                    rule=row.rule,
                    severity=Severity(row.severity),
                    remedy=remedy(row.rule),
                    issuers=row.issuers,
                )
                for row in await relations.issuer_rules(scope=caller.scope)
            ]
        )

    @routes.get("/issuers/{fingerprint}", summary="Show an intermediate or root, and how much is under it")
    async def get_issuer(caller: Reader, fingerprint: Fingerprint) -> IssuerReportView:
        found = await relations.issuer(tidy(fingerprint), now=clock(), scope=caller.scope)
        return IssuerReportView(
            **_shown(found).model_dump(),
            valid=found.valid or 0,
            linted_at=found.row.linted_at,
            findings=[_finding(each) for each in found.row.findings],
        )

    @routes.get(
        "/issuers/{fingerprint}/certificates",
        summary="List the certificates that were served with it above them, those that end first first",
    )
    async def list_issuer_certificates(
        caller: Reader,
        fingerprint: Fingerprint,
        paging: AllPages,
        *,
        outliving: Annotated[bool, Query(description="Only those that end later than it does.")] = False,
    ) -> Page[CertificateView]:
        rows = await relations.certificates_under(
            tidy(fingerprint),
            is_outliving=outliving,
            after=ending(paging),
            limit=paging.limit,
            scope=caller.scope,
        )
        return paging.page(
            await shown_all(reading, rows, caller=caller),
            key=lambda view: _end(view.not_after, view.fingerprint),
        )

    return routes


def _shown(found: Issuer) -> IssuerView:
    return IssuerView.model_validate(
        {
            **found.row.model_dump(),
            "leaves": LeavesView.model_validate(found.leaves),
            "broken_rules": Counter(each["severity"] for each in found.row.findings),
        }
    )


def _finding(said: Mapping[str, str]) -> IssuerFindingView:
    return IssuerFindingView.model_validate({**said, "remedy": remedy(said["rule"])})


def _end(at: datetime | None, fingerprint: str) -> list[str]:
    return [at.isoformat() if at else "", fingerprint]


def ending(paging: Paging) -> tuple[datetime, str] | None:
    """Return the end and the fingerprint that the page starts after. Raises `Invalid`."""
    after = paging.after_parts(2)
    if after is None:
        return None
    return instant_in(after[0]), after[1]
