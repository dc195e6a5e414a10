"""A certificate authority for tests, and what a handshake says is really served."""

import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
KeyKind = Literal["ec", "rsa"]
StartTls = Literal["smtp"]
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A certificate, its key and its chain (leaf first, without the root), ready to be written or served."""

    certificate: x509.Certificate
    key: Key = field(repr=False)
    issuers: tuple[x509.Certificate, ...] = ()

    @property
    def key_pem(self) -> bytes:
        """The private key, PKCS#8 in PEM."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def certificate_pem(self) -> bytes:
        """The leaf alone, in PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def chain_pem(self) -> bytes:
        """The leaf and its intermediates, in PEM."""
        return b"".join(each.public_bytes(Encoding.PEM) for each in (self.certificate, *self.issuers))

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the DER, in lower-case hex."""
        return fingerprint(self.certificate)

    def write(self, directory: Path, *, key_mode: int = 0o600) -> tuple[Path, Path]:
        """Write `cert.pem` (the chain) and `key.pem` into the directory; return both paths."""
        directory.mkdir(parents=True, exist_ok=True)
        certificate, key = directory / "cert.pem", directory / "key.pem"
        certificate.write_bytes(self.chain_pem)
        key.touch(mode=0o600)
        key.write_bytes(self.key_pem)
        key.chmod(key_mode)
        return certificate, key

    def server_context(self, directory: Path) -> ssl.SSLContext:
        """Return a context that serves this certificate; OpenSSL wants files, so they go into the directory."""
        certificate, key = self.write(directory)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context


class CertificateAuthority:
    """A root, or an intermediate under another authority; issues server certificates at once."""

    def __init__(
        self,
        name: str = "Test root",
        *,
        parent: "CertificateAuthority | None" = None,
        now: datetime | None = None,
    ) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self._now = now or datetime.now(UTC)
        self._parent = parent
        self.certificate = self._certify_itself(_name(name))

    @property
    def pem(self) -> bytes:
        """This authority's own certificate, in PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """The certificates from this authority upwards that a server must send: all but the root."""
        return () if self._parent is None else (self.certificate, *self._parent.chain)

    def intermediate(self, name: str = "Test intermediate") -> "CertificateAuthority":
        """Return a new authority below this one."""
        return CertificateAuthority(name, parent=self, now=self._now)

    def issue(
        self,
        *names: str,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        kind: KeyKind = "ec",
        key: Key | None = None,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
        extensions: Sequence[x509.ExtensionType] = (),
    ) -> Issued:
        """Issue a certificate for DNS names and addresses; a server's, valid from an hour ago for 30 days if not told."""
        key = key or new_key(kind)
        start = not_before or self._now - timedelta(hours=1)
        builder = _builder(
            subject=_name(names[0]), key=key, start=start, end=not_after or self._now + timedelta(days=30)
        )
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_alt_name(name) for name in names]), critical=False
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return Issued(certificate=self._sign(builder), key=key, issuers=self.chain)

    def sign(
        self,
        csr: x509.CertificateSigningRequest,
        *names: str,
        lifetime: timedelta = timedelta(days=30),
        backdated: timedelta = timedelta(seconds=30),
        subject: x509.Name | None = None,
    ) -> x509.Certificate:
        """Sign a request for these names, from now on; who calls has checked it against the rules of the authority."""
        now = datetime.now(UTC)
        names = names or tuple(names_of(csr))
        alternatives = x509.SubjectAlternativeName([_alt_name(name) for name in names])
        key = csr.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(csr.subject if subject is None else subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - backdated)
            .not_valid_after(now + lifetime)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(alternatives, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        return self._sign(builder)

    def ocsp_response(self, issued: Issued) -> bytes:
        """Return the word of this authority that a certificate is good, in DER, as a server staples it."""
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=issued.certificate,
            issuer=self.certificate,
            algorithm=hashes.SHA1(),  # it names the issuer, and secures nothing (RFC 6960 §4.1.1)
            cert_status=ocsp.OCSPCertStatus.GOOD,
            this_update=self._now - timedelta(hours=1),
            next_update=self._now + timedelta(days=1),
            revocation_time=None,
            revocation_reason=None,
        )
        signed = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.certificate)
        return signed.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def client_context(self) -> ssl.SSLContext:
        """Return a context that trusts this authority and nothing else."""
        return ssl.create_default_context(cadata=self.pem.decode())

    def _certify_itself(self, subject: x509.Name) -> x509.Certificate:
        day = timedelta(days=1)
        builder = _builder(
            subject=subject, key=self.key, start=self._now - 365 * day, end=self._now + 3650 * day
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_SIGNING_ONLY, critical=True)
        if self._parent is not None:
            return self._parent._sign(builder)
        return builder.issuer_name(subject).sign(self.key, hashes.SHA256())

    def _sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.issuer_name(self.certificate.subject).add_extension(authority, critical=False)
        return builder.sign(self.key, hashes.SHA256())


_SIGNING_ONLY = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


def names_of(one: x509.CertificateSigningRequest | x509.Certificate) -> list[str]:
    """Return the DNS names and addresses that a request or a certificate is for."""
    names = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def new_key(kind: KeyKind = "ec") -> Key:
    """Make a P-256 or an RSA-2048 key."""
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the DER, in lower-case hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def served_certificate(
    host: str,
    port: int,
    server_name: str | None = None,
    *,
    starttls: StartTls | None = None,
    timeout: float = 5.0,
) -> x509.Certificate:
    """Return the leaf that is served now; nothing is verified. Blocks: use `asyncio.to_thread` beside a loop.

    Raises `OSError` (`ssl.SSLError` is one) where there is no handshake.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        _connected(host, port=port, starttls=starttls, timeout=timeout) as plain,
        context.wrap_socket(plain, server_hostname=server_name) as secure,
    ):
        der = secure.getpeercert(binary_form=True)
    if der is None:
        raise ssl.SSLError("the server sent no certificate")
    return x509.load_der_x509_certificate(der)


@contextlib.contextmanager
def _connected(host: str, *, port: int, starttls: StartTls | None, timeout: float) -> Iterator[socket.socket]:
    with socket.create_connection((host, port), timeout) as plain:
        if starttls == "smtp":
            with plain.makefile("rwb", buffering=0) as lines:
                _ask_for_tls(lines)
        yield plain


def _ask_for_tls(lines: socket.SocketIO) -> None:
    _reply(lines)
    for command in (b"EHLO test.invalid\r\n", b"STARTTLS\r\n"):
        lines.write(command)
        answer = _reply(lines)
    if not answer.startswith(b"220"):
        raise ConnectionRefusedError(f"STARTTLS was answered with {answer!r}")


def _reply(lines: socket.SocketIO) -> bytes:
    while (line := lines.readline())[3:4] == b"-":
        pass
    return line


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alt_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(*, subject: x509.Name, key: Key, start: datetime, end: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


@pytest.fixture(scope="session")
def lab_ca() -> CertificateAuthority:
    """The root that the test servers' certificates come from."""
    return CertificateAuthority()


@pytest.fixture(scope="session")
def lab_ca_pem(lab_ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the root's certificate."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    path.write_bytes(lab_ca.pem)
    return path
