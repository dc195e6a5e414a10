"""Partial reading: what can be read is read, and nothing raises."""

import time
from hashlib import sha256

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.inventory.domain.certificates import indexed_names, read
from services.inventory.domain.oddities import LONGEST_DETAIL, MOST_INDEXED, MOST_NAMES
from shared import partial
from shared.fields import Fields, as_mapping
from shared.x509 import read as read_whole
from tests.oddities import Odd, corpus, many_names, san

CORPUS = dict(corpus())
KEYLESS = ("no bytes to speak of", "cut off", "no DER at all", "of indefinite length")


@pytest.mark.parametrize("title", CORPUS)
def test_each_odd_certificate_is_read_as_far_as_it_goes_and_found_odd_for_what_it_is(title: str) -> None:
    odd = CORPUS[title]
    reading = read("f" * 64, odd.bytes())
    assert {str(each.code) for each in reading.oddities} == set(odd.codes)
    assert all(0 < len(each.detail) <= LONGEST_DETAIL for each in reading.oddities)
    assert (reading.finding is None) == (not any(code.startswith("unreadable") for code in odd.codes))
    if title not in KEYLESS:
        # The key for RSA-PSS alone is known as the RSA key that it is.
        assert reading.fields.key_fingerprint == sha256(odd.key).hexdigest() or "PSS" in title
        missing = {code.removeprefix("unreadable-") for code in odd.codes}
        assert "subject" in missing or reading.fields.subject is not None
        assert "serial" in missing or reading.fields.serial
        assert "key" in missing or reading.fields.key_type


@pytest.mark.parametrize(
    ("title", "kind", "bits"),
    [
        ("with an RSA key of exponent 1", "rsa", 2048),
        ("with an RSA key of 16384 bits", "rsa", 16384),
        ("with a key for RSA-PSS alone", "rsa", 2048),
        ("with an ML-DSA key", "ml-dsa-65", 1952 * 8),
        ("with an ML-KEM key", "ml-kem-768", 1184 * 8),
        ("with an ML-KEM key of the small kind", "ml-kem-512", 800 * 8),
        ("with a GOST key", "gost-2012-256", 256),
        ("with a curve in numbers", "ecdsa-explicit", 0),
        ("with a key of no known kind", "1.3.6.1.4.1.55555.2", 24),
    ],
)
def test_keys_of_any_kind_are_named(title: str, kind: str, bits: int) -> None:
    fields = partial.read(CORPUS[title].bytes()).fields
    assert (fields.key_type, fields.key_bits) == (kind, bits)


def test_what_a_parser_reads_whole_is_the_same_when_read_in_parts() -> None:
    der = CORPUS["nothing wrong"].bytes()
    whole, parts = read_whole(der), as_mapping(partial.read(der).fields)
    assert parts == {name: getattr(whole, name) for name in parts}


def test_the_walk_alone_reads_what_the_parser_reads() -> None:
    """Bytes behind the certificate make the parser refuse it; all else is the same."""
    good, refused = CORPUS["nothing wrong"], CORPUS["with bytes behind it"]
    assert partial.read(refused.bytes()).fields == partial.read(good.bytes()).fields


def test_names_cannot_steer_a_terminal_or_turn_the_writing() -> None:
    for title in (
        "with a terminal's commands in a name",
        "with a name written backwards",
        "with a NUL in a name",
    ):
        fields = read("f" * 64, CORPUS[title].bytes()).fields
        assert all(text.isprintable() for text in (fields.subject or "", *fields.names))


def test_twenty_thousand_names_are_read_in_less_than_a_second_and_few_are_indexed() -> None:
    der = CORPUS["with twenty thousand names"].bytes()
    begun = time.process_time()
    names = read("f" * 64, der).fields.names
    assert time.process_time() - begun < 1
    assert len(names) == MOST_NAMES
    assert len(indexed_names(names)) == MOST_INDEXED


def test_the_walk_takes_no_longer_than_the_parser_does() -> None:
    der = Odd(codes=(), extensions=(san(*many_names()),), behind=b"\0").bytes()
    begun = time.process_time()
    assert len(partial.read(der).fields.names) == MOST_NAMES
    assert time.process_time() - begun < 1


SMALL = [odd.bytes() for odd in CORPUS.values() if len(odd.bytes()) < 5_000]
CHANGES = st.lists(st.tuples(st.integers(0, 4_999), st.integers(0, 255)), max_size=4)


@settings(max_examples=200)
@given(der=st.sampled_from(SMALL), changes=CHANGES, end=st.integers(0, 5_000))
@example(der=SMALL[0], changes=[], end=5_000)
def test_no_change_to_any_certificate_raises_and_each_reading_has_identity_or_oddity(
    der: bytes, changes: list[tuple[int, int]], end: int
) -> None:
    changed = bytearray(der[: max(end, 1)])
    for at, value in changes:
        changed[at % len(changed)] = value
    reading = read("f" * 64, bytes(changed))
    assert reading.fingerprint == "f" * 64
    assert reading.oddities or reading.fields.serial
    assert reading.fields != Fields() or reading.finding
    for text in (reading.fields.subject or "", reading.fields.issuer or "", *reading.fields.names):
        assert "\0" not in text
        text.encode()


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    assert partial.read(b"\x30\x80" + data).unread
    partial.read(data)
