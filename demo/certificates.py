"""Certificates for the demonstration's sites: good ones, and ones that no CA should issue today."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Issued:
    """A certificate with its key and the certificate of its issuer."""

    key: Key
    chain: tuple[x509.Certificate, ...]

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write `certificate.pem` (with chain) and `key.pem` (0600) and return their paths."""
        folder.mkdir(parents=True)
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        certificate.write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in self.chain))
        key.touch(mode=0o600)
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key


class LabAuthority:
    """A CA of its own."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        now = _now()
        self._certificate = (
            _builder(
                self._name,
                self._name,
                self._key,
                now - timedelta(days=400),
                now + timedelta(days=3000),
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        """Return the CA's certificate."""
        return self._certificate.public_bytes(Encoding.PEM).decode()

    def issue(
        self, *names: str, valid_days: int = 90, days_left: float = 60, rsa_bits: int | None = None
    ) -> Issued:
        """Issue a certificate whose lifetime began so long ago that `days_left` remain."""
        ends = _now() + timedelta(days=days_left)
        key: Key = (
            rsa.generate_private_key(65537, rsa_bits) if rsa_bits else ec.generate_private_key(ec.SECP256R1())
        )
        builder = _builder(_name(names[0]), self._name, key, ends - timedelta(days=valid_days), ends)
        certificate = _for_server(builder, names).sign(self._key, hashes.SHA256())
        return Issued(key, (certificate, self._certificate))


def self_signed(name: str) -> Issued:
    """Make a certificate as devices do: signed by its own key, for ten years."""
    key, now = ec.generate_private_key(ec.SECP256R1()), _now()
    builder = _builder(_name(name), _name(name), key, now, now + timedelta(days=3650))
    return Issued(key, (_for_server(builder, (name,)).sign(key, hashes.SHA256()),))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _for_server(builder: x509.CertificateBuilder, names: tuple[str, ...]) -> x509.CertificateBuilder:
    san = x509.SubjectAlternativeName([_general(name) for name in names])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return builder.add_extension(san, critical=False).add_extension(usage, critical=False)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _now() -> datetime:
    return datetime.now(UTC)
