"""The farm's certificates: a root, three intermediates, and a leaf for every kind of server; made once and kept."""

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
DONE = "done"
DH = "dh.pem"
LIFE = timedelta(days=397)


@dataclass(frozen=True)
class Issued:
    """A key with its chain, leaf first, without the root."""

    key: Key
    chain: tuple[x509.Certificate, ...]

    def write(self, folder: Path, name: str) -> None:
        """Write `NAME.pem` and `NAME.key`."""
        (folder / f"{name}.pem").write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in self.chain))
        key = folder / f"{name}.key"
        key.touch(mode=0o600)
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def ensure(folder: Path, *, now: datetime) -> None:
    """Make all certificates in the folder, unless they are there and fresh enough."""
    done = folder / DONE
    if done.exists() and now.timestamp() - done.stat().st_mtime < (LIFE / 2).total_seconds():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, issued in _all(now).items():
        issued.write(folder, name)
    _make_sha1(folder)
    _openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048", "-out", folder / DH)
    done.touch()


def chain_of(folder: Path, name: str) -> tuple[bytes, ...]:
    """Return the DER certificates that are served under a name, leaf first."""
    chain = x509.load_pem_x509_certificates((folder / f"{name}.pem").read_bytes())
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in chain)


def _all(now: datetime) -> dict[str, Issued]:
    root = _issue("Farm Root", _rsa(2048), now=now, by=None, is_ca=True)
    first = _issue("Farm Intermediate 1", _rsa(2048), now=now, by=root, is_ca=True)
    second = _issue("Farm Intermediate 2", _rsa(2048), now=now, by=first, is_ca=True)
    elliptic = _issue("Farm EC Intermediate", _ec(), now=now, by=root, is_ca=True)
    many = ["*.farm.test", *(f"host{number}.farm.test" for number in range(99))]
    past = datetime(2020, 6, 1, tzinfo=UTC)
    return {
        "ecdsa": _issue("ecdsa.farm.test", _ec(), now=now, by=elliptic),
        "rsa2048": _issue("rsa.farm.test", _rsa(2048), now=now, by=second),
        "rsa4096": _issue("rsa4096.farm.test", _rsa(4096), now=now, by=first),
        "ed25519": _issue("ed.farm.test", ed25519.Ed25519PrivateKey.generate(), now=now, by=elliptic),
        "wildcard": _issue("*.farm.test", _ec(), now=now, by=elliptic, names=many),
        "expired": _issue("expired.farm.test", _rsa(2048), now=past, by=second),
        "selfsigned": _issue("selfsigned.farm.test", _ec(), now=now, by=None),
    }


def _rsa(bits: int) -> Key:
    return rsa.generate_private_key(65537, bits)


def _ec() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def _issue(
    subject: str,
    key: Key,
    *,
    now: datetime,
    by: Issued | None,
    is_ca: bool = False,
    names: Iterable[str] = (),
) -> Issued:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    signer = by.key if by else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(by.chain[0].subject if by else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFE * (10 if is_ca else 1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if not is_ca:
        builder = _for_server(builder, names=tuple(names) or (subject,))
    # Ed25519 hashes by itself (RFC 8032).
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Issued(key, (builder.sign(signer, digest), *_above(by)))


def _above(issuer: Issued | None) -> tuple[x509.Certificate, ...]:
    if issuer is None:
        return ()
    return tuple(each for each in issuer.chain if each.issuer != each.subject)


def _for_server(builder: x509.CertificateBuilder, *, names: tuple[str, ...]) -> x509.CertificateBuilder:
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return builder.add_extension(alternatives, critical=False).add_extension(usage, critical=False)


def _make_sha1(folder: Path) -> None:
    """Make the one certificate that `cryptography` rightly refuses to sign: RSA 1024 with SHA-1."""
    files = ["-keyout", folder / "sha1.key", "-out", folder / "sha1.pem"]
    kind = ["-newkey", "rsa:1024", "-noenc", "-sha1", "-days", LIFE.days, "-subj", "/CN=sha1.farm.test"]
    _openssl("req", "-x509", *kind, "-addext", "subjectAltName=DNS:sha1.farm.test", *files)


def _openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
