"""Whether a certificate may be had: one function for orders, renewals and imports."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from services.renewal.domain.brought import read_csr
from services.renewal.domain.keys import KeyType
from services.renewal.domain.policy import Key, Rules, Trust, Wanted, judge
from shared.errors import Invalid

NOW = datetime(2026, 11, 27, tzinfo=UTC)
P256 = Key(kind="ecdsa-p256", bits=256, fingerprint="a" * 64)


def rules(**said: Any) -> Rules:
    values: dict[str, Any] = {
        "allowed_names": ["*.example.com", "*.corp.test", "10.0.0.0/8"],
        "key_type": KeyType.ECDSA_P256,
        "lifetime": timedelta(days=90),
    }
    return Rules(**{**values, **said})


def broken(
    *names: str, key: Key | None = None, known: frozenset[str] = frozenset(), **said: Any
) -> list[str]:
    wanted = Wanted(names=names or ("www.example.com",), key=key, known_keys=known)
    return [each.rule for each in judge(wanted, rules(**said), now=NOW).broken]


@pytest.mark.parametrize(
    ("lifetime", "at", "granted"),
    [
        (398, datetime(2026, 3, 14, tzinfo=UTC), 398),
        (398, datetime(2026, 3, 15, tzinfo=UTC), 200),
        (200, datetime(2027, 3, 15, tzinfo=UTC), 100),
        (90, datetime(2029, 3, 15, tzinfo=UTC), 47),
    ],
)
def test_a_public_authority_is_asked_for_no_more_than_the_ceiling_of_the_day(
    lifetime: int, at: datetime, granted: int
) -> None:
    for trust, days in ((Trust.PUBLIC, granted), (Trust.PRIVATE, lifetime)):
        said = rules(trust=trust, lifetime=timedelta(days=lifetime))
        verdict = judge(Wanted(names=["www.example.com"]), said, now=at)
        assert verdict.lifetime == timedelta(days=days)
        assert bool(verdict.notes) == (days != lifetime)
        assert not verdict.broken


def test_names_are_the_profiles_and_for_a_public_authority_no_internal_ones() -> None:
    assert broken("www.example.org") == ["name-allowed"]
    assert broken("app.corp.test", "10.1.2.3") == []
    assert broken("app.corp.test", "10.1.2.3", trust=Trust.PUBLIC) == ["name-public", "name-public"]


@pytest.mark.parametrize(
    ("key", "trust", "rule"),
    [
        (P256, Trust.PUBLIC, []),
        (Key(kind="rsa", bits=1024, fingerprint=""), Trust.PRIVATE, ["key-strength", "key-type"]),
        (Key(kind="rsa", bits=2050, fingerprint=""), Trust.PRIVATE, ["key-strength", "key-type"]),
        (Key(kind="rsa", bits=2048, fingerprint=""), Trust.PRIVATE, ["key-type"]),
        (Key(kind="ed25519", bits=256, fingerprint=""), Trust.PUBLIC, ["key-strength", "key-type"]),
        (Key(kind="ed25519", bits=256, fingerprint=""), Trust.PRIVATE, ["key-type"]),
    ],
)
def test_a_key_is_strong_and_of_the_kind_that_the_profile_wants(
    key: Key, trust: Trust, rule: list[str]
) -> None:
    assert broken(key=key, trust=trust) == rule


def test_a_key_is_new_unless_the_profile_reuses_keys() -> None:
    known = frozenset({P256.fingerprint})
    assert broken(key=P256, known=known) == ["key-new"]
    assert broken(key=P256, known=known, reuses_key=True) == []


def test_all_that_is_broken_is_told_at_once_with_its_remedies() -> None:
    weak = Key(kind="rsa", bits=1024, fingerprint="")
    verdict = judge(Wanted(names=["evil.test"], key=weak), rules(), now=NOW)
    with pytest.raises(Invalid) as refused:
        verdict.require()
    assert {fault.pointer for fault in refused.value.faults} == {"/body/names", "/body/csr"}
    assert "Make a new ecdsa-p256 key" in refused.value.next_step
    assert all(each.source and each.evidence and each.remedy for each in verdict.broken)


def request(names: list[x509.GeneralName], key: Any = None) -> str:
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def test_a_request_that_was_brought_says_its_names_and_its_key() -> None:
    brought = read_csr(request([x509.DNSName("WWW.example.com"), x509.DNSName("a.example.com")]))
    assert brought.names == ("www.example.com", "a.example.com")
    assert (brought.key.kind, brought.key.bits) == ("ecdsa-p256", 256)
    weak = read_csr(request([x509.DNSName("a.b")], rsa.generate_private_key(65537, 1024)))
    assert (weak.key.kind, weak.key.bits) == ("rsa", 1024)


def test_a_request_that_cannot_be_taken_says_why() -> None:
    good = request([x509.DNSName("www.example.com")])
    tampered = x509.load_pem_x509_csr(good.encode()).public_bytes(Encoding.DER)
    tampered = tampered[:-1] + bytes([tampered[-1] ^ 1])
    forged = x509.load_der_x509_csr(tampered).public_bytes(Encoding.PEM).decode()
    for text, reason in (
        ("nonsense", "cannot be read"),
        (request([]), "no subject alternative name"),
        (request([x509.RFC822Name("a@b.example")]), "neither a DNS name"),
        (forged, "not signed by its own key"),
    ):
        with pytest.raises(Invalid, match=reason):
            read_csr(text)
