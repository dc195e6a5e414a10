"""Policies as data: when rules hold, what is unknown, and what is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from services.inventory.domain.assessment.assess import assess
from services.inventory.domain.assessment.demands import Ceiling, LifetimeAtMost, ceiling
from services.inventory.domain.assessment.exceptions import LONGEST, check_decision, check_end
from services.inventory.domain.assessment.facts import Result
from services.inventory.domain.assessment.policies import Document, Policy, judge, next_change
from services.inventory.domain.assessment.quantum import KeyExchange
from services.inventory.domain.assessment.traits import traits
from shared.errors import Conflict, Forbidden, Invalid
from shared.validity import CEILINGS
from tests.inventory.assessment.facts import (
    BEGAN,
    DOCUMENTS,
    MODERN,
    NOW,
    POLICIES,
    SHORT,
    TIMELINES,
    judged,
    subject,
)


def document(*rules: dict[str, Any]) -> Document:
    return Document.model_validate(
        {"title": "House rules", "rules": [{"title": "A rule", **rule} for rule in rules]}
    )


def rule(**changes: Any) -> dict[str, Any]:
    return {"id": "tls-1.3", "demand": {"kind": "versions_within", "values": ["TLSv1.3"]}, **changes}


OLD = {
    "versions": ["TLSv1.3", "TLSv1.2"],
    "suites": {"TLSv1.3": ["TLS_AES_128_GCM_SHA256"], "TLSv1.2": ["TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"]},
}


def test_every_policy_that_comes_with_the_program_says_where_its_rules_are_written_and_what_to_do() -> None:
    assert set(DOCUMENTS) == set(SHORT.values())
    for name, each in DOCUMENTS.items():
        assert all(one.source and one.remedy for one in each.rules), name


def test_a_rule_holds_from_its_first_day_to_the_day_before_its_last() -> None:
    one = document(rule(effective_from="2027-01-01", effective_until="2028-01-01"))
    given = subject(OLD)
    begins, ends = datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    tick = timedelta(seconds=1)
    moments = (begins - tick, begins, ends - tick, ends)
    assert [judge(one, given, now=at).result for at in moments] == ["pass", "fail", "fail", "pass"]
    assert [next_change(one, now=at) for at in moments] == [begins, ends, ends, None]
    found = assess(
        given, policies=[Policy(id="own", version=1, document=one)], timelines=(), lifted=(), now=NOW
    )
    assert found.changes_at == BEGAN + timedelta(days=60, seconds=1), "its end is before the rule's beginning"


def test_bsi_ends_tls_1_2_with_2031() -> None:
    policy = next(policy for policy in POLICIES if policy.id == "bsi-tr-02102-2")
    tls = {
        **MODERN,
        "versions": ["TLSv1.3", "TLSv1.2"],
        "suites": {"TLSv1.2": ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"], **MODERN["suites"]},
    }
    last, first = datetime(2031, 12, 31, 23, tzinfo=UTC), datetime(2032, 1, 1, tzinfo=UTC)
    assert judge(policy.document, subject(tls), now=last).result is Result.PASS
    verdict = judge(policy.document, subject(tls), now=first)
    assert [(each.rule.id, each.evidence) for each in verdict.failed] == [("versions-2032", "offers TLSv1.2")]


def test_what_only_should_be_is_shown_and_decides_nothing() -> None:
    verdict = judge(document(rule(level="should")), subject(OLD), now=NOW)
    assert (verdict.result, [each.result for each in verdict.outcomes]) == ("pass", ["fail"])


def test_an_exception_lets_one_rule_pass_and_is_named() -> None:
    one = document(rule(), rule(id="groups", demand={"kind": "groups_include", "values": ["X25519"]}))
    verdict = judge(one, subject(OLD), now=NOW, excepted={"tls-1.3": "exception-1"})
    assert [each.rule.id for each in verdict.failed] == ["groups"]
    verdict = judge(document(rule()), subject(OLD), now=NOW, excepted={"tls-1.3": "exception-1"})
    assert (verdict.result, verdict.is_by_exception) == ("pass", True)
    assert not judge(
        document(rule()), subject(), now=NOW, excepted={"tls-1.3": "exception-1"}
    ).is_by_exception


def test_what_was_broken_stands_until_it_is_known_to_be_mended() -> None:
    one = document(rule(), rule(id="key", demand={"kind": "key_bits_at_least", "values": {"ecdsa": 384}}))
    assert judge(one, subject(OLD), now=NOW).standing(()) == ["key", "tls-1.3"]
    unseen = judge(one, subject(None, key_bits=384), now=NOW)
    assert (unseen.result, unseen.standing(["key", "tls-1.3"])) == ("unknown", ["tls-1.3"])
    assert judge(one, subject(key_bits=384), now=NOW).standing(["key", "tls-1.3"]) == []


@pytest.mark.parametrize(
    ("demand", "tls", "changes", "result", "evidence"),
    [
        ({"kind": "versions_include", "values": ["TLSv1.2"]}, MODERN, {}, "fail", "does not offer TLSv1.2"),
        ({"kind": "suites_without", "values": ["DHE_RSA"]}, OLD, {}, "fail", "offers TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"),
        ({"kind": "forward_secrecy"}, OLD, {}, "pass", ""),
        ({"kind": "groups_within", "values": ["X25519"]}, MODERN, {}, "fail", "offers X25519MLKEM768, secp256r1"),
        ({"kind": "groups_include", "values": ["X448"]}, OLD, {}, "fail", "offers no group, and none of X448"),
        ({"kind": "dh_bits_at_least", "bits": 2048}, {**OLD, "dh_bits": [1024]}, {}, "fail", "sends a prime of 1024 bits"),
        ({"kind": "dh_bits_at_least", "bits": 2048}, OLD, {}, "unknown", None),
        ({"kind": "dh_bits_at_least", "bits": 2048}, MODERN, {}, "pass", ""),
        ({"kind": "feature", "feature": "is_stapled"}, MODERN, {}, "fail", "does not staple OCSP"),
        ({"kind": "feature", "feature": "secure_renegotiation"}, MODERN, {}, "pass", ""),
        ({"kind": "hsts_at_least", "days": 365}, MODERN, {"hsts_max_age": None}, "unknown", None),
        ({"kind": "hsts_at_least", "days": 365}, MODERN, {"hsts_max_age": timedelta(30)}, "fail", "HSTS lasts 30 days"),
        ({"kind": "key_types_within", "values": ["ML-DSA-65"]}, MODERN, {"key_type": "mldsa65"}, "pass", ""),
        ({"kind": "key_types_within", "values": ["rsa"]}, MODERN, {"key_type": None}, "unknown", None),
        ({"kind": "key_bits_at_least", "values": {"rsa": 3072}}, MODERN, {}, "pass", ""),
        ({"kind": "signatures_without", "values": ["SHA-256"]}, MODERN, {}, "fail", "it is signed with ecdsa-with-SHA256"),
        ({"kind": "lifetime_at_most", "days": 60}, MODERN, {}, "fail", "issued on 2026-11-01, it lasts 61 days, and not 60"),
        ({"kind": "lifetime_at_most", "days": 61}, MODERN, {}, "pass", ""),
        ({"kind": "rsa_exponent_at_least", "value": 3}, MODERN, {"key_type": "rsa", "rsa_exponent": 4}, "fail",
         "the public exponent of its key is 4"),
        ({"kind": "versions_within", "values": ["TLSv1.3"]}, None, {}, "unknown", None),
    ],
)  # fmt: skip
def test_a_demand_is_met_broken_or_unknown(
    demand: dict[str, Any],
    tls: dict[str, Any] | None,
    changes: dict[str, Any],
    result: str,
    evidence: str | None,
) -> None:
    [outcome] = judge(document(rule(demand=demand)), subject(tls, **changes), now=NOW).outcomes
    assert outcome.result == result
    assert evidence is None or outcome.evidence == evidence


def test_the_ceiling_is_that_of_the_day_of_issue() -> None:
    rule_ = DOCUMENTS["cabf-tls-br"].rule("lifetime")
    assert rule_ is not None
    ceilings = [Ceiling.model_validate(each) for each in rule_.demand.model_dump()["ceilings"]]
    tick = timedelta(seconds=1)
    steps = {"2018-03-01": 825, "2020-09-01": 398, "2026-03-15": 200, "2027-03-15": 100, "2029-03-15": 47}
    before: int | None = None
    for day, days in steps.items():
        first = datetime.fromisoformat(day).replace(tzinfo=UTC)
        assert (ceiling(ceilings, issued=first - tick), ceiling(ceilings, issued=first)) == (before, days)
        before = days


def test_whether_an_authority_is_public_may_be_unknown_and_then_nothing_fails_by_it() -> None:
    given = subject(not_after=BEGAN + timedelta(days=300), is_public=None)
    verdict = {policy.id: verdict for policy, verdict in judged(given).verdicts}["cabf-tls-br"]
    assert (verdict.result, [each.rule.id for each in verdict.outcomes if each.result is Result.UNKNOWN]) == (
        "unknown",
        ["lifetime"],
    )
    assert traits(b"no certificate").is_public is None
    assert traits(None).rsa_exponent is None


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([rule(), rule()], "more than one rule has the id tls-1.3"),
        ([rule(effective_from="2027-01-01", effective_until="2027-01-01")], "is not after `effective_from`"),
        ([rule(demand={"kind": "wishful"})], "versions_within"),
        ([rule(demand={"kind": "lifetime_at_most"})], "give either `days` or `ceilings`"),
        ([rule(demand={"kind": "versions_within", "values": ["TLS 1.3"]})], "TLSv1.3"),
        ([rule(id="Not a slug")], "String should match pattern"),
        ([rule(remidy="typo")], "remidy"),
        ([], "at least 1 item"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_with_what_is_wrong(
    rules: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        document(*rules)


def test_the_first_day_that_what_is_in_use_outlives_is_told() -> None:
    ready = judged(subject({**MODERN, "groups": ["X25519"]}, key_type="rsa", key_bits=2048)).readiness
    assert ready.key_exchange is KeyExchange.NONE
    assert ready.disallowed_after is not None
    assert (ready.disallowed_after.after.year, ready.disallowed_after.of) == (2030, "key-exchange")
    assert [each.meaning for each in ready.deadlines if each.of == "signature-112"] == ["deprecated"]
    assert {each.of for each in TIMELINES} == {"key-exchange", "signature", "signature-112"}


def test_an_exception_is_bounded_and_decided_by_another() -> None:
    check_end(NOW + LONGEST, now=NOW)
    for wrong in (NOW, NOW - timedelta(days=1), NOW + LONGEST + timedelta(seconds=1)):
        with pytest.raises(Invalid, match="ends within a year"):
            check_end(wrong, now=NOW)
    check_decision("requested", requested_by="ann", decided_by="ben")
    with pytest.raises(Forbidden, match="does not decide"):
        check_decision("requested", requested_by="ann", decided_by="ann")
    with pytest.raises(Conflict, match="approved already"):
        check_decision("approved", requested_by="ann", decided_by="ben")


def test_the_ceilings_of_the_policy_are_those_that_the_forecast_and_renewal_go_by() -> None:
    demands = [rule.demand for rule in DOCUMENTS["cabf-tls-br"].rules]
    [demand] = [demand for demand in demands if isinstance(demand, LifetimeAtMost)]
    written = {(each.issued_from, each.days) for each in demand.ceilings}
    assert {(each.begins.date(), each.longest.days) for each in CEILINGS} < written
