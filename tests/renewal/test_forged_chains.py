"""Chains that somebody made up: each link has a good signature, and not one of them may pass."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.renewal.domain.checks import Expected, check_chain
from services.renewal.domain.keys import KeyType, new_key, new_request
from shared.errors import Refused
from tests.servers.tls import CertificateAuthority, Key

NOW = datetime(2026, 5, 1, tzinfo=UTC)
NAME = "shop.example.test"
DAY = timedelta(days=1)
KEY = new_key(KeyType.ECDSA_P256)
A_CA = x509.BasicConstraints(ca=True, path_length=None)


@pytest.fixture
def ca() -> CertificateAuthority:
    return CertificateAuthority(now=NOW)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def extended(builder: x509.CertificateBuilder, *values: x509.ExtensionType) -> x509.CertificateBuilder:
    for value in values:
        builder = builder.add_extension(value, critical=False)
    return builder


def leaf(issuer: x509.Name, signer: Key, *, names: tuple[str, ...] = (NAME,)) -> bytes:
    """Return a certificate for our key, signed by any key under any name."""
    alternatives = [x509.SubjectAlternativeName([x509.DNSName(name) for name in names])] if names else []
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject(NAME))
        .issuer_name(issuer)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(hours=1))
        .not_valid_after(NOW + 20 * DAY)
    )
    for_servers = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return der(extended(builder, for_servers, *alternatives).sign(signer, hashes.SHA256()))


def authority(
    name: x509.Name,
    key: Key,
    *extensions: x509.ExtensionType,
    by: x509.Name,
    signer: Key,
    ends: datetime = NOW + 365 * DAY,
) -> bytes:
    """Return what is signed for somebody who would like to be an authority."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(2)
        .not_valid_before(NOW - 100 * DAY)
        .not_valid_after(ends)
    )
    return der(extended(builder, *extensions).sign(signer, hashes.SHA256()))


def under(
    ca: CertificateAuthority, *extensions: x509.ExtensionType, ends: datetime = NOW + 365 * DAY
) -> list[bytes]:
    """Return a leaf and, with these extensions, who issued it under this root."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = ca.certificate.subject
    return [
        leaf(subject("below"), key),
        authority(subject("below"), key, *extensions, by=name, signer=ca.key, ends=ends),
    ]


def check(chain: list[bytes], *, roots: tuple[bytes, ...] = ()) -> tuple[bytes, ...]:
    wanted = Expected(csr=new_request(KEY, [NAME]), names=(NAME,), lifetime=30 * DAY, roots=roots)
    return check_chain(chain, expected=wanted, now=NOW)


@pytest.mark.parametrize("is_root_known", [True, False])
def test_a_server_certificate_issues_nothing(ca: CertificateAuthority, *, is_root_known: bool) -> None:
    server = ca.issue("evil.example.test")
    chain = [leaf(server.certificate.subject, server.key), der(server.certificate)]
    with pytest.raises(Refused, match="certificate 2 of the chain is not a valid authority"):
        check(chain, roots=(der(ca.certificate),) if is_root_known else ())


def test_a_certificate_without_basic_constraints_issues_nothing(ca: CertificateAuthority) -> None:
    assert check(under(ca, A_CA))
    with pytest.raises(Refused, match="not a valid authority"):
        check(under(ca))


def test_an_authority_that_may_not_sign_certificates_issues_nothing(ca: CertificateAuthority) -> None:
    names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment"]
    names += ["key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    usage = x509.KeyUsage(**{name: name == "crl_sign" for name in names})
    with pytest.raises(Refused, match="not a valid authority"):
        check(under(ca, A_CA, usage))


@pytest.mark.parametrize("is_root_known", [True, False])
def test_an_expired_intermediate_issues_nothing(ca: CertificateAuthority, *, is_root_known: bool) -> None:
    with pytest.raises(Refused, match="not a valid authority"):
        check(under(ca, A_CA, ends=NOW - DAY), roots=(der(ca.certificate),) if is_root_known else ())


def test_an_authority_goes_no_deeper_than_it_may(ca: CertificateAuthority) -> None:
    below, lowest = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    flat = authority(
        subject("below"),
        below,
        x509.BasicConstraints(ca=True, path_length=0),
        by=ca.certificate.subject,
        signer=ca.key,
    )
    deep = authority(subject("lowest"), lowest, A_CA, by=subject("below"), signer=below)
    with pytest.raises(Refused, match="certificate 3 of the chain is not a valid authority"):
        check([leaf(subject("lowest"), lowest), deep, flat], roots=(der(ca.certificate),))


def test_a_name_in_the_subject_alone_is_no_name(ca: CertificateAuthority) -> None:
    with pytest.raises(Refused, match="it is for no name"):
        check([leaf(ca.certificate.subject, ca.key, names=())], roots=(der(ca.certificate),))


def test_a_leaf_alone_says_nothing_where_no_root_is_known(ca: CertificateAuthority) -> None:
    alone = [leaf(ca.certificate.subject, ca.key)]
    with pytest.raises(Refused, match="without the certificate of who issued it"):
        check(alone)
    assert check(alone, roots=(der(ca.certificate),)) == tuple(alone)


def test_a_root_that_only_bears_the_name_of_ours_is_refused(ca: CertificateAuthority) -> None:
    namesake = CertificateAuthority(now=NOW)
    chain = [leaf(namesake.certificate.subject, namesake.key), der(namesake.certificate)]
    with pytest.raises(Refused, match="does not end at the authority's root"):
        check(chain, roots=(der(ca.certificate),))


def test_what_comes_after_a_root_of_ours_does_not_count(ca: CertificateAuthority) -> None:
    """A root that another one has signed across is sent along, and is as good as the root alone."""
    older = CertificateAuthority("older", now=NOW)
    across = authority(ca.certificate.subject, ca.key, A_CA, by=older.certificate.subject, signer=older.key)
    chain = [leaf(ca.certificate.subject, ca.key), across]
    for known in (ca, older):
        assert check(chain, roots=(der(known.certificate),)) == tuple(chain)
