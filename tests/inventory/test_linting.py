"""Linting: which rules hold for which certificate, and what an inventory keeps of it."""

from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from sqlmodel import col

from services.inventory.actions import linting as actions
from services.inventory.actions.assessing import Assessing
from services.inventory.actions.chains import Chains
from services.inventory.actions.judgements import Judgements
from services.inventory.actions.linting import Linting
from services.inventory.actions.relations import Relations
from services.inventory.domain.chains.verdicts import PUBLIC
from services.inventory.domain.linting import remedy
from services.inventory.store.association_tables import AuthorityRow
from services.inventory.store.tables import LintRow, ServedChainRow
from shared.lint import CRASHED, CertificateClass, Finding, Linted, RuleSet, Severity, classify, rules_for
from shared.lint.pkilint import lint
from shared.store import Database
from tests.inventory.ledger import DAY, HOUR, NOON, Ledger, found, found_bytes, place
from tests.servers.tls import CertificateAuthority, fingerprint

CA = CertificateAuthority("Root", now=NOON)


@pytest.mark.parametrize(
    ("usage", "is_public", "expected"),
    [
        (Usage.SERVER_AUTH, True, "public-tls"),
        (Usage.SERVER_AUTH, False, "private-tls"),
        (Usage.ANY_EXTENDED_KEY_USAGE, False, "private-tls"),
        (Usage.EMAIL_PROTECTION, True, "public-smime"),
        (Usage.EMAIL_PROTECTION, False, "private-smime"),
        (Usage.CODE_SIGNING, True, "code-signing"),
        (Usage.CLIENT_AUTH, True, "other"),
    ],
)
def test_a_certificate_is_of_a_class(usage: x509.ObjectIdentifier, is_public: bool, expected: str):
    assert classify(CA.issue("shop.test", usage=usage).certificate, is_public=is_public) == expected
    assert classify(CA.certificate, is_public=is_public) is CertificateClass.AUTHORITY


@pytest.mark.parametrize("kind", CertificateClass)
def test_only_public_certificates_are_held_against_the_forums_rules(kind: CertificateClass):
    is_bound = kind in (CertificateClass.PUBLIC_TLS, CertificateClass.PUBLIC_SMIME)
    assert (rules_for(kind, not_before=NOON) is not RuleSet.PKIX) is is_bound
    assert rules_for(kind, not_before=datetime(2023, 8, 31, tzinfo=NOON.tzinfo)) is RuleSet.PKIX


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def test_the_same_bytes_are_found_fault_with_by_their_class():
    leaf = der(CA.issue("shop.test", "*.shop.test", not_before=NOON, not_after=NOON + 390 * DAY).certificate)
    assert (
        lint(leaf, False).findings == ()
    )  # a wildcard is no fault, and a private CA issues for as long as it likes
    public = {each.rule: each.severity for each in lint(leaf, True).findings}
    assert public["cabf.serverauth.subscriber.revocation_information_absent"] is Severity.ERROR
    assert public["cabf.internal_domain_name"] is Severity.ERROR


@pytest.mark.parametrize(
    ("begins", "days", "broken"),
    [
        (datetime(2026, 3, 14), 398, None),
        (datetime(2026, 3, 15), 201, 200),
        (datetime(2026, 3, 15), 200, 199),
        (datetime(2027, 3, 15), 101, 100),
        (datetime(2029, 3, 15), 48, 47),
    ],
)
def test_the_ceiling_is_that_of_the_day_on_which_it_begins(begins: datetime, days: int, broken: int | None):
    start = begins.replace(tzinfo=NOON.tzinfo)
    end = start + days * DAY - timedelta(seconds=1)
    rules = [
        each.rule
        for each in lint(
            der(CA.issue("a.example.com", not_before=start, not_after=end).certificate), True
        ).findings
    ]
    exceeded = f"cabf.serverauth.certificate_validity_period_exceeds_{broken}_days"
    assert (exceeded in rules) if broken else not [rule for rule in rules if "_exceeds_398" in rule]
    assert remedy(exceeded)


def test_the_evidence_of_a_hundred_names_is_short_and_a_nul_is_storable():
    names = [f"-bad-{number}.test" for number in range(100)] + ["nul\x00.test"]
    [finding] = lint(der(CA.issue("good.test", *names).certificate), False).findings
    assert finding.rule == "pkix.invalid_domain_name_syntax"
    assert "… and 91 more" in finding.evidence
    assert len(finding.evidence) < 2001
    assert "\x00" not in finding.evidence


# In an inventory


async def judge(ledger: Ledger, database: Database, *roots: CertificateAuthority) -> Linting:
    await Chains(
        database,
        stores={PUBLIC: tuple(der(each.certificate) for each in roots)},
        fetches=None,
        assessing=Assessing(database, timelines=()),
    ).judge_due(ledger.now)
    return Linting(database)


@pytest.mark.usefixtures("apart_here")
async def test_a_certificate_is_linted_once_with_each_version_and_class(
    ledger: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
):
    leaf = CA.issue("a.example.com", not_before=NOON - DAY, not_after=NOON + 30 * DAY)
    junk = b"\x30\x03\x02\x01\x00"
    await ledger.hear(
        found(leaf, place(), NOON), found_bytes(sha256(junk).hexdigest(), [junk], place(2), NOON)
    )
    linting = await judge(ledger, database)
    assert not await linting.lint_due(NOON)
    told = await Judgements(database).findings(leaf.fingerprint, scope=None, severity=None)
    assert told.lint is not None
    assert (told.lint.kind, told.lint.linted_at, list(told.findings)) == ("private-tls", NOON, [])

    async with database.transaction() as tx:
        await tx.session.execute(sa.update(ServedChainRow).values(due_at=NOON))
    linting = await judge(ledger, database, CA)  # the root has come into the store
    await linting.lint_due(NOON + HOUR)
    told = await Judgements(database).findings(leaf.fingerprint, scope=None, severity="error")
    assert told.lint is not None
    assert (told.lint.kind, told.lint.rules) == ("public-tls", "cabf_serverauth")
    assert {each.severity for each in told.findings} == {"error"}
    assert {each.first_seen for each in told.findings} == {NOON + HOUR}
    rule = told.findings[0].rule
    for wanted, count in (
        (f'finding = "{rule}"', 1),
        ("not finding", 0),
        ("finding = everleaf.unreadable and finding.severity = fatal", 1),
        ("finding ~ nothing.like.it", 0),
        ("finding.severity >= error and trust = public", 1),
        ("finding.severity < error or revoked", 1),
    ):
        assert len(await ledger.asked(wanted)) == count, wanted
    assert rule in [each.rule for each in await Judgements(database).rules(scope=None, is_current=True)]
    counted = (await ledger.reading.certificate(leaf.fingerprint, scope=None)).facts.judged.findings
    assert counted["error"] == len(told.findings)

    monkeypatch.setattr(actions, "linter_version", lambda: "pkilint 99/1")
    later = Linting(database)
    await later.lint_due(NOON + 2 * HOUR)
    again = (await Judgements(database).findings(leaf.fingerprint, scope=None, severity="error")).findings
    assert {(each.first_seen, each.last_seen, each.linter) for each in again} == {
        (NOON + HOUR, NOON + 2 * HOUR, "pkilint 99/1")
    }
    await later.lint_due(NOON + 3 * HOUR)
    async with database.read() as session:
        assert set((await session.scalars(sa.select(col(LintRow.linted_at)))).all()) == {NOON + 2 * HOUR}


@pytest.mark.usefixtures("apart_here")
async def test_bytes_on_which_the_linter_fails_have_that_as_a_finding(
    ledger: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
):
    leaf = CA.issue("a.example.com", not_after=NOON + 30 * DAY)
    await ledger.hear(found(leaf, place(), NOON))
    linting = await judge(ledger, database)
    monkeypatch.setattr(actions, "lint", int)
    await linting.lint_due(NOON)
    [finding] = (await Judgements(database).findings(leaf.fingerprint, scope=None, severity=None)).findings
    assert (finding.rule, finding.severity) == (CRASHED, "fatal")
    assert "ValueError: invalid literal" in finding.evidence


@pytest.mark.usefixtures("apart_here")
async def test_an_authority_that_is_only_seen_above_others_is_linted_and_not_counted_with_certificates(
    ledger: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
):
    below = CA.intermediate("Below")
    leaf = below.issue("a.example.com", not_before=NOON - DAY, not_after=NOON + 30 * DAY)
    await ledger.hear(found(leaf, place(), NOON))
    await ledger.work()
    linting = await judge(ledger, database)
    relations = Relations(database)

    async def shown() -> AuthorityRow:
        return (await relations.issuer(fingerprint(below.certificate), now=NOON, scope=None)).row

    assert ((await shown()).linted_at, (await shown()).findings) == (None, [])
    rule = Finding(rule="pkix.made_up", severity=Severity.ERROR, evidence="serialNumber: -1")
    monkeypatch.setattr(actions, "lint", partial(_found, (rule,)))
    assert not await linting.lint_authorities_due(NOON)
    await linting.lint_due(NOON)
    assert (await shown()).linted_at == NOON
    assert (await shown()).findings == [
        {"rule": "pkix.made_up", "severity": "error", "evidence": "serialNumber: -1"}
    ]
    counted = await Judgements(database).rules(scope=None, is_current=None)
    assert [(each.rule, each.certificates) for each in counted] == [("pkix.made_up", 1)]

    assert not await linting.lint_authorities_due(NOON + HOUR)
    assert (await shown()).linted_at == NOON, "it is linted once"
    monkeypatch.setattr(actions, "linter_version", lambda: "pkilint 99/1")
    monkeypatch.setattr(actions, "lint", lint)
    await Linting(database).lint_authorities_due(NOON + 2 * HOUR)
    assert (await shown()).linted_at == NOON + 2 * HOUR
    assert [each["rule"] for each in (await shown()).findings] == [
        each.rule for each in lint(der(below.certificate), False).findings
    ]


def _found(findings: tuple[Finding, ...], _der: bytes, _is_public: bool) -> Linted:
    return Linted(kind=CertificateClass.AUTHORITY, rules=RuleSet.PKIX, findings=findings)
