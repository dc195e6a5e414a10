from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from services.renewal.domain.checks import Expected, check_chain
from services.renewal.domain.keys import KeyType, from_pem, new_key, new_request, to_pem
from services.renewal.domain.names import canonical, check_allowed, pattern
from services.renewal.domain.orders import NoticeFacts, Schedule, State, needs_order, supersedes
from shared.errors import Invalid, Refused
from shared.events.inventory import Urgency
from tests.servers.tls import CertificateAuthority, Issued

NOW = datetime(2026, 5, 1, tzinfo=UTC)
NAME = "shop.example.test"
label = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)


def is_allowed(name: str, *patterns: str) -> bool:
    with suppress(Invalid):
        check_allowed([name], patterns=patterns)
        return True
    return False


@given(label, label)
def test_a_star_covers_exactly_one_label(one: str, two: str) -> None:
    assert is_allowed(f"{one}.example.test", "*.example.test")
    assert not is_allowed(f"{two}.{one}.example.test", "*.example.test")
    assert not is_allowed(f"{one}.example.test.evil.test", "*.example.test")
    assert not is_allowed(f"{one}example.test", "*.example.test")


@given(label)
def test_a_name_covers_itself_alone(one: str) -> None:
    assert is_allowed(f"{one}.test", f"{one}.test")
    assert not is_allowed(f"www.{one}.test", f"{one}.test")
    assert not is_allowed(f"*.{one}.test", f"{one}.test")


@given(st.ip_addresses(v=4))
def test_a_network_covers_its_addresses_and_no_name(address: object) -> None:
    assert is_allowed(str(address), "10.0.0.0/8") == str(address).startswith("10.")
    assert not is_allowed("10.example.test", "10.0.0.0/8")


def test_a_wildcard_is_covered_by_the_star_and_the_domain_itself_is_not() -> None:
    assert is_allowed("*.example.test", "*.example.test")
    assert not is_allowed("example.test", "*.example.test")


@given(st.lists(st.sampled_from(["A.test", "a.test.", "b.test", "::1", "0:0::1"]), min_size=1))
def test_names_are_written_in_one_way_and_each_once(names: list[str]) -> None:
    written = canonical(names)
    assert len(set(written)) == len(written)
    assert canonical(written) == written
    assert set(written) <= {"a.test", "b.test", "::1"}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "-a.test",
        "a..test",
        "*",
        "a.*.test",
        "*.*.test",
        "ü.test",
        "x" * 64 + ".test",
        "1.2.3.999",
        "a_b.test",
    ],
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        canonical([name])


def test_a_refusal_names_the_name() -> None:
    with pytest.raises(Invalid, match="evil"):
        check_allowed(["a.example.test", "evil.test"], patterns=["*.example.test"])


def test_no_names_and_too_many_names_are_refused() -> None:
    with pytest.raises(Invalid):
        canonical([])
    with pytest.raises(Invalid):
        canonical([f"n{number}.test" for number in range(101)])


def test_patterns_are_kept_in_one_way() -> None:
    assert pattern("*.Example.test.") == "*.example.test"
    assert pattern("10.1.2.3/8") == "10.0.0.0/8"
    assert pattern("10.1.2.3") == "10.1.2.3/32"
    with pytest.raises(Invalid):
        pattern("*")


@given(st.integers(1, 50), st.integers(0, 10**7))
def test_waits_grow_to_the_last_and_respect_what_the_authority_asks_up_to_a_day(
    failed: int, asked: int
) -> None:
    waits = tuple(timedelta(minutes=minutes) for minutes in (1, 10, 100, 1440))
    at = Schedule(waits).next_attempt(failed=failed, asked=timedelta(seconds=asked), now=NOW)
    least = waits[min(failed, 4) - 1]
    assert least <= at - NOW <= timedelta(days=1)
    assert at - NOW >= min(timedelta(seconds=asked), timedelta(days=1))


@given(st.integers(1, 50), st.integers(-(10**8), 10**8))
def test_no_wait_sleeps_past_the_expiry_of_the_old_certificate(failed: int, left: int) -> None:
    waits = tuple(timedelta(minutes=minutes) for minutes in (1, 10, 100, 1440))
    expires = NOW + timedelta(seconds=left)
    wait = Schedule(waits).next_attempt(failed=failed, asked=None, expires=expires, now=NOW) - NOW
    tenth = max(timedelta(seconds=abs(left)) / 10, timedelta(minutes=1))
    assert wait == min(waits[min(failed, 4) - 1], tenth)
    assert wait >= timedelta(minutes=1)
    assert left <= 60 or NOW + wait < expires


def test_what_the_authority_asks_for_goes_before_the_expiry() -> None:
    asked, expires = timedelta(hours=3), NOW + timedelta(hours=1)
    schedule = Schedule((timedelta(days=1),))
    assert schedule.next_attempt(failed=1, asked=asked, expires=expires, now=NOW) == NOW + asked


def facts(
    fingerprint: str = "a", *, days: int = 5, is_open: bool = True, urgency: str = "renew"
) -> NoticeFacts:
    return NoticeFacts(
        fingerprint=fingerprint,
        not_after=NOW + timedelta(days=days),
        urgency=Urgency(urgency),
        is_open=is_open,
    )


def test_a_notice_that_comes_late_changes_nothing() -> None:
    assert supersedes(facts(), None)
    assert not supersedes(facts(), facts())
    assert supersedes(facts(urgency="error"), facts(urgency="renew"))
    assert not supersedes(facts(urgency="renew"), facts(urgency="error"))
    assert not supersedes(facts(urgency="error"), facts(is_open=False))
    assert supersedes(facts("b", days=90), facts(is_open=False))
    assert not supersedes(facts("old", days=1), facts())


def test_a_lineage_needs_an_order_where_none_was_or_the_last_failed() -> None:
    assert [state for state in [None, *State] if needs_order(state)] == [None, State.FAILED]


@pytest.mark.parametrize("key_type", list(KeyType))
def test_a_key_survives_its_pem_and_signs_its_request(key_type: KeyType) -> None:
    key = from_pem(to_pem(new_key(key_type)))
    csr = x509.load_der_x509_csr(new_request(key, [NAME, "::1"]))
    assert csr.is_signature_valid
    assert csr.public_key() == key.public_key()


# What an authority may try.


def signed(issued: Issued, ca: CertificateAuthority, **other: object) -> list[bytes]:
    return [each.public_bytes(Encoding.DER) for each in (issued.certificate, *issued.issuers, ca.certificate)]


@pytest.fixture
def ca() -> CertificateAuthority:
    return CertificateAuthority(now=NOW)


def answer(ca: CertificateAuthority, *names: str, **given_: object) -> tuple[Issued, list[bytes]]:
    issued = ca.issue(*(names or (NAME,)), **given_)  # type: ignore[arg-type] # keywords chosen by the case
    return issued, signed(issued, ca)


def expected(issued: Issued, *, roots: tuple[bytes, ...] = ()) -> Expected:
    return Expected(
        csr=new_request(issued.key, [NAME]),
        names=(NAME,),
        lifetime=timedelta(days=30),
        roots=roots,
    )


def root(ca: CertificateAuthority) -> bytes:
    return ca.certificate.public_bytes(Encoding.DER)


def test_a_good_answer_is_taken_without_its_root(ca: CertificateAuthority) -> None:
    issued, chain = answer(ca.intermediate())
    chain = [*chain[:2], root(ca)]
    assert check_chain(chain, expected=expected(issued, roots=(root(ca),)), now=NOW) == tuple(chain[:2])


def test_another_key_is_refused(ca: CertificateAuthority) -> None:
    issued, chain = answer(ca)
    wanted = expected(ca.issue(NAME))
    assert wanted.csr != expected(issued).csr
    with pytest.raises(Refused, match="another key"):
        check_chain(chain, expected=wanted, now=NOW)


@pytest.mark.parametrize("names", [("other.example.test",), (NAME, "more.example.test"), ("*.example.test",)])
def test_other_names_are_refused(ca: CertificateAuthority, names: tuple[str, ...]) -> None:
    issued, chain = answer(ca, *names)
    with pytest.raises(Refused, match="instead of shop"):
        check_chain(chain, expected=expected(issued), now=NOW)


def test_what_is_not_valid_now_is_refused(ca: CertificateAuthority) -> None:
    issued, chain = answer(ca)
    for moment in (NOW - timedelta(days=2), NOW + timedelta(days=31)):
        with pytest.raises(Refused, match=r"not valid before|expired"):
            check_chain(chain, expected=expected(issued), now=moment)


def test_five_minutes_of_skew_are_taken_and_six_are_not(ca: CertificateAuthority) -> None:
    issued, chain = answer(ca, not_before=NOW + timedelta(minutes=5))
    assert check_chain(chain, expected=expected(issued), now=NOW)
    issued, chain = answer(ca, not_before=NOW + timedelta(minutes=6))
    with pytest.raises(Refused, match="not valid before"):
        check_chain(chain, expected=expected(issued), now=NOW)


def test_a_longer_life_than_asked_for_is_refused_where_it_is_ours_to_ask(ca: CertificateAuthority) -> None:
    issued, chain = answer(ca, not_after=NOW + timedelta(days=60))
    wanted = expected(issued, roots=(root(ca),))
    assert check_chain(chain, expected=replace(wanted, lifetime=None), now=NOW)
    with pytest.raises(Refused, match="is valid for"):
        check_chain(chain, expected=wanted, now=NOW)


def test_a_chain_that_does_not_hold_together_is_refused(ca: CertificateAuthority) -> None:
    issued, chain = answer(ca)
    impostor = CertificateAuthority(now=NOW)
    with pytest.raises(Refused, match="not signed by"):
        check_chain([chain[0], root(impostor)], expected=expected(issued), now=NOW)
    with pytest.raises(Refused, match="does not end at"):
        check_chain([chain[0]], expected=expected(issued, roots=(root(impostor),)), now=NOW)


def test_what_is_no_certificate_is_refused(ca: CertificateAuthority) -> None:
    issued, chain = answer(ca)
    for forged in ([], [b"no"], [chain[0], b"no"], chain * 6):
        with pytest.raises(Refused, match="not accepted"):
            check_chain(forged, expected=expected(issued), now=NOW)


@pytest.mark.parametrize(
    "usage", [None, [ExtendedKeyUsageOID.CLIENT_AUTH], [ExtendedKeyUsageOID.SERVER_AUTH]]
)
def test_what_is_not_for_servers_or_is_an_authority_is_refused(
    ca: CertificateAuthority, usage: list[x509.ObjectIdentifier] | None
) -> None:
    issued = ca.issue(NAME)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ca.certificate.subject)
        .public_key(issued.key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    der = builder.sign(ca.key, hashes.SHA256()).public_bytes(Encoding.DER)
    with pytest.raises(Refused, match=r"for servers|authority's own"):
        check_chain([der], expected=expected(issued), now=NOW)
