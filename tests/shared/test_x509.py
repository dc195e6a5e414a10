import ipaddress
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import Invalid
from shared.x509 import CertificateFacts, fingerprint, from_pem, general_name, read, to_pem

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
END = START + timedelta(days=90, seconds=-1)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)
PLAIN_HASH = (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)


def made(
    *names: x509.GeneralName,
    key: CertificateIssuerPrivateKeyTypes = EC_KEY,
    common_name: str = "Leaf.Test",
    issuer: str | None = None,
    is_ca: bool | None = None,
    extra: tuple[x509.ExtensionType, ...] = (),
) -> bytes:
    """Return the DER of a certificate on the key; it signs itself whatever the issuer is called."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer or common_name)]),
        public_key=key.public_key(),
        serial_number=0xABC123,
        not_valid_before=START,
        not_valid_after=END,
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if is_ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    for extension in extra:
        builder = builder.add_extension(extension, critical=False)
    algorithm = None if isinstance(key, PLAIN_HASH) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


def test_the_facts_of_a_certificate():
    der = made(x509.DNSName("b.test"), x509.DNSName("A.test"), issuer="Root")
    spki = EC_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    facts = read(der)
    assert facts == CertificateFacts(
        fingerprint=sha256(der).hexdigest(),
        serial="abc123",
        subject="CN=Leaf.Test",
        issuer="CN=Root",
        names=("a.test", "b.test"),
        not_before=START,
        not_after=END,
        key_type="ecdsa-p256",
        key_bits=256,
        key_fingerprint=sha256(spki).hexdigest(),
        signature_algorithm="ecdsa-with-SHA256",
        is_ca=False,
        is_self_issued=False,
    )
    assert fingerprint(der) == facts.fingerprint
    assert facts.lifetime == timedelta(days=90)


@pytest.mark.parametrize(
    ("key", "kind", "bits", "algorithm"),
    [
        (RSA_KEY, "rsa", 2048, "sha256WithRSAEncryption"),
        (EC_KEY, "ecdsa-p256", 256, "ecdsa-with-SHA256"),
        (ec.generate_private_key(ec.SECP384R1()), "ecdsa-p384", 384, "ecdsa-with-SHA256"),
        (ec.generate_private_key(ec.SECP521R1()), "ecdsa-p521", 521, "ecdsa-with-SHA256"),
        (ec.generate_private_key(ec.SECP256K1()), "ecdsa-secp256k1", 256, "ecdsa-with-SHA256"),
        (ed25519.Ed25519PrivateKey.generate(), "ed25519", 256, "ed25519"),
        (ed448.Ed448PrivateKey.generate(), "ed448", 456, "ed448"),
        (dsa.generate_private_key(2048), "dsa", 2048, "dsa-with-sha256"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_keys_and_signatures_are_named(
    key: CertificateIssuerPrivateKeyTypes, kind: str, bits: int, algorithm: str
):
    facts = read(made(key=key))
    assert (facts.key_type, facts.key_bits, facts.signature_algorithm) == (kind, bits, algorithm)


def test_two_certificates_on_one_key_have_the_same_key_fingerprint_and_not_the_same_identity():
    first, second = read(made(common_name="a")), read(made(common_name="b"))
    assert first.key_fingerprint == second.key_fingerprint
    assert first.fingerprint != second.fingerprint


def test_addresses_are_names_too():
    v4, v6 = ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("2001:db8::1")
    facts = read(made(x509.IPAddress(v6), x509.DNSName("a.test"), x509.IPAddress(v4)))
    assert facts.names == ("192.0.2.1", "2001:db8::1", "a.test")


def test_other_kinds_of_names_are_not_taken_for_host_names():
    facts = read(made(x509.RFC822Name("a@b.test"), x509.UniformResourceIdentifier("https://c.test")))
    assert facts.names == ()


def test_the_common_name_counts_only_where_there_is_no_alternative_name():
    assert read(made()).names == ("leaf.test",)
    assert read(made(x509.DNSName("other.test"))).names == ("other.test",)


def test_a_name_listed_twice_counts_once():
    assert read(made(x509.DNSName("a.test"), x509.DNSName("A.TEST"))).names == ("a.test",)


def test_a_self_issued_certificate_is_known_as_such():
    assert read(made()).is_self_issued
    assert not read(made(issuer="Root")).is_self_issued


@pytest.mark.parametrize(("said", "expected"), [(None, False), (False, False), (True, True)])
def test_only_what_says_so_is_a_ca(said: bool | None, expected: bool):
    assert read(made(is_ca=said)).is_ca is expected


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"rubbish", b"0\x82\xff\xff", b"-----BEGIN CERTIFICATE-----"]
)
def test_garbage_is_invalid(content: bytes):
    with pytest.raises(Invalid):
        read(content)


GOOD = made(
    x509.DNSName("a.test"),
    x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
    is_ca=False,
    extra=(x509.SubjectKeyIdentifier.from_public_key(EC_KEY.public_key()),),
)


@given(st.integers(0, len(GOOD) - 1))
def test_a_certificate_cut_off_anywhere_is_invalid(length: int):
    with pytest.raises(Invalid):
        read(GOOD[:length])


@pytest.mark.filterwarnings("ignore::UserWarning")  # of a library that reads it all the same
@settings(max_examples=500)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_certificate_changed_anywhere_is_read_or_is_invalid(changes: list[tuple[int, int]]):
    der = bytearray(GOOD)
    for position, value in changes:
        der[position] = value
    _read_or_invalid(bytes(der))


@given(st.binary(max_size=300))
def test_no_bytes_are_anything_but_read_or_invalid(content: bytes):
    _read_or_invalid(content)


def _read_or_invalid(der: bytes) -> None:
    try:
        facts = read(der)
    except Invalid:
        return
    assert facts.fingerprint == sha256(der).hexdigest()


def patched(der: bytes, old: bytes, new: bytes) -> bytes:
    """Put other bytes of the same length in the place of some that occur."""
    assert old in der
    assert len(old) == len(new)
    return der.replace(old, new)


@pytest.mark.parametrize(
    "odd", [b"a\x00b.ts", b"\xff\xfe\xfd.ts", b"a\nb.te", b"*.*.*.", b"......", b" a.t.t"]
)
def test_an_odd_name_is_shown_as_it_is_or_invalid_and_nothing_else(odd: bytes):
    _read_or_invalid(patched(made(x509.DNSName("a.test")), b"a.test", odd))


def test_a_name_with_a_nul_in_it_is_not_cut_off_there():
    der = patched(made(x509.DNSName("good.test_evil.test")), b"test_evil", b"test\x00evil")
    assert "good.test" not in read(der).names


def test_an_extension_that_is_there_twice_is_invalid():
    der = made(
        x509.DNSName("a.test"),
        extra=(x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.18"), b"0\x00"),),
    )
    with pytest.raises(Invalid):
        read(patched(der, b"\x06\x03\x55\x1d\x12", b"\x06\x03\x55\x1d\x11"))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "attribute", [b"\x03", b"\x06", b"\x2d"], ids=["name", "country", "unique identifier"]
)
def test_a_subject_with_values_of_any_type_is_read_or_is_invalid(attribute: bytes):
    common_name = b"\x06\x03\x55\x04\x03\x0c\x09L"
    for tag in range(256):
        for first in (b"\x00", b"L"):
            odd = b"\x06\x03\x55\x04" + attribute + bytes([tag]) + b"\x09" + first
            _read_or_invalid(patched(GOOD, common_name, odd))


def test_an_unknown_version_is_invalid():
    with pytest.raises(Invalid):
        read(patched(GOOD, b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09"))


def test_an_unknown_kind_of_key_is_invalid():
    ec_public_key = bytes.fromhex("06072a8648ce3d0201")
    with pytest.raises(Invalid):
        read(patched(GOOD, ec_public_key, ec_public_key[:-1] + b"\x7f"))


def test_a_chain_goes_to_pem_and_back_in_its_order():
    chain = [made(common_name="a"), made(common_name="b")]
    assert from_pem("noise\n" + to_pem(chain)) == chain


@pytest.mark.parametrize(
    "text", ["", "noise", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "\ud800"]
)
def test_a_text_without_a_certificate_is_invalid(text: str):
    with pytest.raises(Invalid):
        from_pem(text)


def test_a_name_becomes_the_right_kind_of_alternative_name():
    assert general_name("192.0.2.1") == x509.IPAddress(ipaddress.ip_address("192.0.2.1"))
    assert general_name("2001:db8::1") == x509.IPAddress(ipaddress.ip_address("2001:db8::1"))
    assert general_name("*.a.test") == x509.DNSName("*.a.test")


def test_a_serial_number_that_nobody_may_give_is_read_without_a_warning():
    """RFC 5280 §4.1.2.2 wants a positive one; a stranger's certificate may have another."""
    der = bytearray(made())
    at = der.index(b"\x02\x04\x00\xab\xc1\x23")
    der[at + 2] = 0x92
    assert read(bytes(der)).serial.startswith("-")
