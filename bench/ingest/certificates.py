"""Certificates as public authorities issue them, in generations: each is newer than the one before, for the same names."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

_Key = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
_LIFE = timedelta(days=90)
_AGE = timedelta(days=10)
_MORE_NAMES = (0, 1, 1, 2, 5, 20)
_RSA_SHARE = 0.3
_SIGNED_TIMES = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_DOMAIN_VALIDATED = x509.ObjectIdentifier("2.23.140.1.2.1")


class Authority:
    """An intermediate that issues leaves, and the keys that they are for: making as many would take minutes."""

    def __init__(self, folder: Path, *, now: datetime) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Bench"),
                x509.NameAttribute(NameOID.COMMON_NAME, "B11"),
            ]
        )
        self._now = now
        self._fast: Sequence[_Key] = [
            ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(200)
        ]
        self._slow: Sequence[_Key] = [rsa.generate_private_key(65537, 2048).public_key() for _ in range(10)]
        self.der = self._self_signed()

    def leaves(self, count: int, *, generation: int) -> list[bytes]:
        """Return the leaves of a generation as DER; the same ones of this process each time."""
        path = self._folder / f"{generation}-{count}.der"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            chosen = random.Random(generation)
            made = [self._leaf(number, generation, chosen) for number in range(count)]
            path.write_bytes(b"".join(len(der).to_bytes(4, "big") + der for der in made))
        return _split(path.read_bytes())

    def _self_signed(self) -> bytes:
        builder = self._begun(
            self._name, self._key.public_key(), since=self._now - 10 * _LIFE, life=40 * _LIFE
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.DER)

    def _leaf(self, number: int, generation: int, chosen: random.Random) -> bytes:
        key = chosen.choice(self._slow if chosen.random() < _RSA_SHARE else self._fast)
        names = names_of(number)
        since = self._now - _AGE + timedelta(hours=generation)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        builder = self._begun(subject, key, since=since, life=_LIFE)
        for extension, is_critical in _extensions(names, key, self._key.public_key(), chosen):
            builder = builder.add_extension(extension, critical=is_critical)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.DER)

    def _begun(
        self,
        subject: x509.Name,
        key: _Key,
        *,
        since: datetime,
        life: timedelta,
    ) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(since).not_valid_after(since + life)


def names_of(number: int) -> list[str]:
    """Return the names of a certificate: one to twenty-one."""
    more = _MORE_NAMES[number % len(_MORE_NAMES)]
    return [
        f"host-{number:07d}.example.test",
        *(f"alt{each}-{number:07d}.svc.example.test" for each in range(more)),
    ]


def now() -> datetime:
    """Return this second: certificates know no shorter time."""
    return datetime.now(UTC).replace(microsecond=0)


def _extensions(
    names: list[str],
    key: _Key,
    issuer: ec.EllipticCurvePublicKey,
    chosen: random.Random,
) -> list[tuple[x509.ExtensionType, bool]]:
    location = x509.UniformResourceIdentifier("http://b11.c.example.test/12.crl")
    issuers = x509.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://b11.i.example.test/")
    )
    return [
        (_usage(), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.SubjectKeyIdentifier.from_public_key(key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), False),
        (x509.AuthorityInformationAccess([issuers]), False),
        (x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False),
        (x509.CertificatePolicies([x509.PolicyInformation(_DOMAIN_VALIDATED, None)]), False),
        (x509.CRLDistributionPoints([x509.DistributionPoint([location], None, None, None)]), False),
        (x509.UnrecognizedExtension(_SIGNED_TIMES, _timestamps(chosen)), False),
    ]


def _timestamps(chosen: random.Random) -> bytes:
    """Return two signed certificate timestamps (RFC 6962 §3.3) that nobody has signed."""
    signature = b"\x04\x03" + (71).to_bytes(2, "big") + chosen.randbytes(71)
    times = (1_790_000_000_000).to_bytes(8, "big")
    each = [b"\x00" + chosen.randbytes(32) + times + b"\x00\x00" + signature for _ in range(2)]
    listed = b"".join(len(one).to_bytes(2, "big") + one for one in each)
    content = len(listed).to_bytes(2, "big") + listed
    return b"\x04\x81" + bytes([len(content)]) + content


def _usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _split(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return found
