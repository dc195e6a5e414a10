"""What is read in one pass is what the careful reader reads, and nearly every certificate is read so."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import ordinary, partial
from tests.oddities import (
    GENERALIZED,
    OID,
    SEQUENCE,
    SET,
    UTC_TIME,
    UTF8,
    Odd,
    algorithm,
    corpus,
    extension,
    name,
    oid,
    rsa_key,
    san,
    spki,
    tlv,
    validity,
)

RSA = "1.2.840.113549.1.1.11"
CRITICAL = b"\x01\x01\xff"
PRINTABLE = 0x13


def constraints(*content: bytes) -> bytes:
    return tlv(SEQUENCE, oid("2.5.29.19"), CRITICAL, tlv(0x04, tlv(SEQUENCE, *content)))


def names_of_two_kinds() -> bytes:
    addresses = (tlv(0x87, bytes((192, 0, 2, 1))), tlv(0x87, bytes(16)))
    return extension("2.5.29.17", tlv(SEQUENCE, tlv(0x82, b"WWW.odd.test"), *addresses))


def whole_name(*pairs: tuple[str, int, str]) -> bytes:
    parts = (tlv(SET, tlv(SEQUENCE, oid(kind), tlv(tag, text.encode()))) for kind, tag, text in pairs)
    return tlv(SEQUENCE, *parts)


ORDINARY = {
    "the plainest": Odd(codes=()),
    "with an RSA key": Odd(codes=(), key=rsa_key((1 << 2047) + 1), signature=algorithm(RSA, b"\x05\x00")),
    "with a key on P-384": Odd(codes=(), key=spki(ec.generate_private_key(ec.SECP384R1()).public_key())),
    "with addresses": Odd(codes=(), extensions=(names_of_two_kinds(),)),
    "of no authority, critically": Odd(codes=(), extensions=(san(b"a.test"), constraints())),
    "of an authority": Odd(codes=(), extensions=(san(b"a.test"), constraints(CRITICAL))),
    "of an authority with a limit": Odd(
        codes=(), extensions=(san(b"a.test"), constraints(CRITICAL, b"\x02\x01\x00"))
    ),
    "issued by itself": Odd(codes=(), issuer=name(b"odd.test")),
    "with an end after 2050": Odd(
        codes=(),
        validity=validity(b"491231235959Z", b"20510101000000Z", tags=(UTC_TIME, GENERALIZED)),
    ),
    "of the last century": Odd(codes=(), validity=validity(b"500101000000Z", b"991231235959Z")),
    "with a company of many words": Odd(
        codes=(),
        issuer=whole_name(
            ("2.5.4.6", PRINTABLE, "US"),
            ("2.5.4.10", UTF8, 'Let\'s "Sign", Inc. <a+b>; c\\d'),
            ("1.3.6.1.4.1.311.60.2.1.3", PRINTABLE, "US"),
            ("2.5.4.3", UTF8, "Zürich = 1"),
        ),
    ),
}
CAREFUL = {
    "with a key of another kind": Odd(codes=(), key=spki(ed25519.Ed25519PrivateKey.generate().public_key())),
    "with no alternative names": Odd(codes=(), extensions=()),
    "with two attributes beside each other": Odd(
        codes=(),
        subject=tlv(
            SEQUENCE,
            tlv(SET, *(tlv(SEQUENCE, oid(kind), tlv(UTF8, b"x")) for kind in ("2.5.4.3", "2.5.4.11"))),
        ),
    ),
    "with a name that begins with a space": Odd(codes=(), subject=name(b" odd.test")),
    "with a name of nothing": Odd(codes=(), subject=name(b"")),
    "signed otherwise than it says": Odd(
        codes=(),
        der=Odd(codes=())
        .bytes()
        .replace(tlv(OID, oid("1.2.840.10045.4.3.2")[2:]), oid("1.2.840.10045.4.3.3"), 1),
    ),
}
EVERY = {**ORDINARY, **CAREFUL, **dict(corpus())}
SMALL = [odd.bytes() for odd in EVERY.values() if len(odd.bytes()) < 5_000]


@pytest.mark.parametrize("title", ORDINARY)
def test_an_ordinary_certificate_is_read_in_one_pass(title: str) -> None:
    assert ordinary.read(ORDINARY[title].bytes()) == partial.carefully(ORDINARY[title].bytes())


@pytest.mark.parametrize("title", CAREFUL)
def test_one_that_is_not_of_the_ordinary_form_is_left_to_the_careful_reader(title: str) -> None:
    der = CAREFUL[title].bytes()
    assert ordinary.read(der) is None
    assert partial.read(der) == partial.carefully(der)


@pytest.mark.parametrize("title", dict(corpus()))
def test_an_odd_certificate_is_read_as_carefully_as_ever(title: str) -> None:
    der = EVERY[title].bytes()
    assert partial.read(der) == partial.carefully(der)


@settings(max_examples=300)
@given(
    der=st.sampled_from(SMALL),
    changes=st.lists(st.tuples(st.integers(0, 4_999), st.integers(0, 255)), min_size=1, max_size=3),
)
def test_no_change_to_a_certificate_makes_the_two_readers_differ(
    der: bytes, changes: list[tuple[int, int]]
) -> None:
    changed = bytearray(der)
    for at, value in changes:
        changed[at % len(changed)] = value
    assert partial.read(bytes(changed)) == partial.carefully(bytes(changed))
