"""Letters, verdicts and readiness: the golden table, and what holds of any facts."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.inventory.domain.assessment.assess import RULES
from services.inventory.domain.assessment.facts import Subject, Tls, covers, fast, latest
from services.inventory.domain.assessment.grades import LETTERS, grade
from services.inventory.domain.assessment.suites import suite
from tests.inventory.assessment.facts import GOLDEN, MODERN, NOW, as_in_the_table, judged, of_case, subject

_RESULTS = ("grade", "score", "reasons", "verdicts", "pq")


def test_the_golden_table_is_of_these_rules() -> None:
    assert GOLDEN["rules"] == RULES, "the rules have another version: look at the table again"


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_the_same_facts_give_the_same_result(case: Mapping[str, Any]) -> None:
    wanted = {name: case[name] for name in _RESULTS if name in case}
    assert as_in_the_table(judged(of_case(dict(case)))) == wanted
    assert judged(of_case(dict(case))) == judged(of_case(dict(case)))


def test_what_nobody_has_looked_at_is_listed_and_never_guessed() -> None:
    unseen = subject(
        {**MODERN, "versions": ["TLSv1.2"], "suites": {"TLSv1.2": ["TLS_RSA_WITH_AES_128_GCM_SHA256"]}},
        server_name=None,
        is_trusted=None,
        is_revoked=None,
        is_chain_complete=None,
        hsts_max_age=None,
    )
    assert grade(unseen, now=NOW).not_checked == (
        "trust",
        "revocation",
        "chain-complete",
        "name",
        "hsts",
        "heartbleed",
        "ccs-injection",
        "ticketbleed",
        "robot",
    )
    assert grade(subject(), now=NOW).not_checked == (), "TLS 1.3 alone has none of these weaknesses"
    assert "hsts" not in grade(replace(unseen, starttls="smtp"), now=NOW).not_checked


def test_a_store_has_no_letter_and_is_judged_by_its_certificate_alone() -> None:
    stored = subject(None, is_endpoint=False, server_name=None, key_type="rsa", key_bits=1024)
    found = judged(stored)
    assert (found.grade.letter, [reason.code for reason in found.grade.reasons]) == (None, ["weak-key"])
    verdict = {policy.id: verdict for policy, verdict in found.verdicts}["mozilla-6.0-intermediate"]
    assert [outcome.rule.id for outcome in verdict.failed] == ["key-size"]
    assert {outcome.rule.id for outcome in verdict.outcomes}.isdisjoint({"versions", "suites", "groups"})


def test_a_later_quick_look_puts_an_end_to_facts_that_it_belies() -> None:
    looked = subject().tls
    same = fast(version="TLSv1.3", suite="TLS_AES_256_GCM_SHA384", group="X25519")
    other = fast(version="TLSv1.2", suite="TLS_RSA_WITH_AES_128_CBC_SHA", group=None)
    before, after = NOW, NOW + timedelta(hours=1)

    def known(seen: Tls | None, *, at: Any = after) -> Tls | None:
        return latest(looked, seen, looked_at=before, seen_at=at)

    assert known(same) is looked
    assert known(other) is other
    assert known(other, at=before - timedelta(hours=1)) is looked, "it was before"
    assert latest(None, other, looked_at=None, seen_at=before) is other


def test_names_are_covered_as_clients_compare_them() -> None:
    names = ("shop.test", "*.example.test")
    assert [name for name in ("shop.test", "SHOP.test.", "a.example.test") if not covers(names, name)] == []
    assert not covers(names, "example.test")
    assert not covers(names, "a.b.example.test")


def test_a_suite_is_known_by_its_name() -> None:
    bits = {
        "TLS_RSA_WITH_NULL_SHA": 0,
        "TLS_RSA_EXPORT_WITH_DES40_CBC_SHA": 40,
        "TLS_RSA_EXPORT1024_WITH_DES_CBC_SHA": 56,
        "TLS_RSA_WITH_DES_CBC_SHA": 56,
        "TLS_RSA_WITH_3DES_EDE_CBC_SHA": 112,
        "SSL_CK_DES_192_EDE3_CBC_WITH_MD5": 112,
        "TLS_RSA_WITH_IDEA_CBC_SHA": 128,
        "TLS_AES_128_CCM_8_SHA256": 128,
        "TLS_DHE_RSA_WITH_CAMELLIA_256_CBC_SHA": 256,
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": 256,
    }
    assert {name: suite(name).bits for name in bits} == bits
    assert not suite("TLS_ECDH_RSA_WITH_AES_128_CBC_SHA").is_forward_secret
    assert suite("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA").is_forward_secret
    assert suite("TLS_RSA_WITH_AES_128_CBC_SHA").is_rsa_transport
    assert not suite("TLS_AES_128_GCM_SHA256").has_small_blocks


_GOOD_12 = ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384")
_WEAK_12 = (
    "TLS_RSA_WITH_NULL_SHA",
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_EXPORT_WITH_RC4_40_MD5",
    "TLS_DH_anon_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_DHE_RSA_WITH_DES_CBC_SHA",
)
_OLDER = ("TLSv1.1", "TLSv1", "SSLv3", "SSLv2")


@st.composite
def _subjects(draw: st.DrawFn) -> Subject:
    weak = draw(st.lists(st.sampled_from(_WEAK_12), unique=True, max_size=2))
    versions = ["TLSv1.2", *draw(st.lists(st.sampled_from(_OLDER), unique=True, max_size=2))]
    suites = {version: [_GOOD_12[0], *weak] for version in versions}
    if draw(st.booleans()):
        versions, suites = ["TLSv1.3", *versions], {**suites, "TLSv1.3": ["TLS_AES_256_GCM_SHA384"]}
    facts = {
        "versions": versions,
        "suites": suites,
        "groups": ["X25519"],
        "dh_bits": draw(st.sampled_from([[], [4096], [2048], [1024]])),
        "secure_renegotiation": draw(st.booleans()),
    }
    changes = {
        "key_type": "rsa",
        "key_bits": draw(st.sampled_from([1024, 2048, 4096])),
        "is_trusted": draw(st.sampled_from([True, None])),
        "hsts_max_age": draw(st.sampled_from([None, timedelta(days=30), timedelta(days=365)])),
    }
    return subject(facts, **changes)


def _weaker(tls: Tls, *, version: str | None = None, name: str | None = None, **changes: Any) -> Tls:
    versions, suites = tls.versions, dict(tls.suites)
    if version is not None and version not in versions:
        versions, suites = (*versions, version), {**suites, version: (_GOOD_12[0],)}
    if name is not None:
        suites["TLSv1.2"] = (*suites["TLSv1.2"], name)
    return replace(tls, versions=versions, suites=suites, **changes)


_WEAKNESSES = (
    *({"version": version} for version in _OLDER),
    *({"name": name} for name in _WEAK_12),
    {"compresses": True},
    {"secure_renegotiation": False},
    {"dh_bits": (512,)},
    {"groups": ("X25519", "secp192r1")},
    {"is_complete": False},
)
_OF_CERTIFICATE = (
    {"is_trusted": False},
    {"is_revoked": True},
    {"is_chain_complete": False},
    {"names": ("other.test",)},
    {"key_bits": 512},
    {"rsa_exponent": 1},
    {"signature_algorithm": "md5WithRSAEncryption"},
    {"signature_algorithm": "sha1WithRSAEncryption"},
    {"not_after": NOW - timedelta(days=1)},
    {"not_before": NOW + timedelta(days=1)},
)


@settings(max_examples=60)
@given(good=_subjects(), of_tls=st.sampled_from(_WEAKNESSES), of_it=st.sampled_from(_OF_CERTIFICATE))
def test_one_more_weakness_never_makes_a_better_letter(
    good: Subject, of_tls: dict[str, Any], of_it: dict[str, Any]
) -> None:
    assert good.tls is not None
    weak_tls = replace(good, tls=_weaker(good.tls, **of_tls))
    for weaker, than in (
        (weak_tls, good),
        (replace(good, **of_it), good),
        (replace(weak_tls, **of_it), weak_tls),
    ):
        one, other = grade(weaker, now=NOW).letter, grade(than, now=NOW).letter
        assert one is not None
        assert other is not None
        assert LETTERS.index(one) >= LETTERS.index(other), (one, other)
