"""How CMP messages are protected (RFC 9810 §5.1.3): by a secret that both know, or by signatures."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from services.renewal.connectors.chains import chain_of, signs
from services.renewal.connectors.cmp.writing import NULL, explicit, integer, octets, oid, sequence, tagged
from shared import der
from shared.errors import Refused

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_BY_MAC = "1.2.840.113533.7.66.13"
_SHA256, _HMAC_SHA256 = "2.16.840.1.101.3.4.2.1", "1.2.840.113549.2.9"
_HMAC_SHA1 = ("1.3.6.1.5.5.8.1.2", "1.2.840.113549.2.7")
_ECDSA_SHA256, _RSA_SHA256 = "1.2.840.10045.4.3.2", "1.2.840.113549.1.1.11"
_DIGESTS = {
    _SHA256: "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    "1.3.14.3.2.26": "sha1",
}
_MACS = {_HMAC_SHA256: "sha256", "1.2.840.113549.2.10": "sha384", "1.2.840.113549.2.11": "sha512"}
_MACS |= dict.fromkeys(_HMAC_SHA1, "sha1")
_SIGNED = {
    _ECDSA_SHA256: hashes.SHA256(),
    "1.2.840.10045.4.3.3": hashes.SHA384(),
    "1.2.840.10045.4.3.4": hashes.SHA512(),
    _RSA_SHA256: hashes.SHA256(),
    "1.2.840.113549.1.1.12": hashes.SHA384(),
    "1.2.840.113549.1.1.13": hashes.SHA512(),
}
_ITERATIONS, _MOST_ITERATIONS = 10_000, 100_000
"""OpenSSL takes no more."""


class NotProtected(Exception):
    """A message that is not from whom it should be."""


class Protection(Protocol):
    """How what we say is protected, and how it is known who answers."""

    @property
    def sender(self) -> bytes:
        """Our name in the header: a directory name, in DER."""

    @property
    def key_id(self) -> bytes | None:
        """What the other side knows our key or secret by."""

    @property
    def certificates(self) -> Sequence[bytes]:
        """What goes along, in DER."""

    def begin(self) -> "Sealing":
        """Return what protects one message."""

    def verify(
        self, algorithm: bytes, protected: bytes, value: bytes, *, certificates: Sequence[bytes]
    ) -> None:
        """Raise `NotProtected` where a message is not from whom it should be; `algorithm` is an AlgorithmIdentifier."""


class Sealing(Protocol):
    """What protects one message."""

    @property
    def algorithm(self) -> bytes:
        """By what, as an AlgorithmIdentifier in DER."""

    def protect(self, protected: bytes) -> bytes:
        """Return the protection of a header and a body."""


@dataclass(frozen=True)
class _Mac:
    algorithm: bytes
    key: bytes = field(repr=False)

    def protect(self, protected: bytes) -> bytes:
        return hmac.digest(self.key, protected, "sha256")


@dataclass(frozen=True, kw_only=True)
class SharedSecret:
    """A secret and its reference, by the password-based MAC (RFC 9810 §5.1.3.1): HMAC and SHA-256."""

    reference: bytes
    secret: bytes = field(repr=False)
    certificates: Sequence[bytes] = ()

    @property
    def sender(self) -> bytes:
        """No name: the reference says who we are."""
        return explicit(4, sequence())

    @property
    def key_id(self) -> bytes:
        """The reference."""
        return self.reference

    def begin(self) -> Sealing:
        """Return what protects one message."""
        salt = secrets.token_bytes(16)
        parameters = sequence(
            octets(salt), sequence(oid(_SHA256)), integer(_ITERATIONS), sequence(oid(_HMAC_SHA256))
        )
        key = _stretched(self.secret, salt, "sha256", _ITERATIONS)
        return _Mac(sequence(oid(_BY_MAC), parameters), key)

    def verify(
        self,
        algorithm: bytes,
        protected: bytes,
        value: bytes,
        *,
        certificates: Sequence[bytes],  # noqa: ARG002 - the Protocol's
    ) -> None:
        """Compare the MAC. Raises `NotProtected`."""
        try:
            kind, parameters = der.value(algorithm).inside()
            salt, owf, iterations, mac = parameters.inside()
            digest = _DIGESTS[der.dotted(next(owf.inside()).content)]
            over = _MACS[der.dotted(next(mac.inside()).content)]
        except (der.Malformed, ValueError, KeyError, StopIteration) as error:
            raise NotProtected("it is not protected by the secret") from error
        count = int.from_bytes(iterations.content)
        if der.dotted(kind.content) != _BY_MAC or count > _MOST_ITERATIONS:
            raise NotProtected("it is not protected by the secret")
        key = _stretched(self.secret, salt.content, digest, count)
        if not hmac.compare_digest(hmac.digest(key, protected, over), value):
            raise NotProtected("its MAC is not by our secret")


def _stretched(secret: bytes, salt: bytes, digest: str, iterations: int) -> bytes:
    key = hashlib.new(digest, secret + salt).digest()
    for _ in range(iterations - 1):
        key = hashlib.new(digest, key).digest()
    return key


@dataclass(frozen=True)
class _Signing:
    algorithm: bytes
    key: SigningKey = field(repr=False)

    def protect(self, protected: bytes) -> bytes:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(protected, padding.PKCS1v15(), hashes.SHA256())
        return self.key.sign(protected, ec.ECDSA(hashes.SHA256()))


@dataclass(frozen=True, kw_only=True)
class Signatures:
    """Our certificate (and what is above it) with its key; who answers must come from one of the roots."""

    key: SigningKey = field(repr=False)
    certificates: Sequence[bytes]
    roots: Sequence[bytes]

    @property
    def _own(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.certificates[0])

    @property
    def sender(self) -> bytes:
        """The subject of our certificate."""
        return explicit(4, self._own.subject.public_bytes())

    @property
    def key_id(self) -> bytes | None:
        """Its subject key identifier, where it has one."""
        try:
            return self._own.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        except x509.ExtensionNotFound:
            return None

    def begin(self) -> Sealing:
        """Return what protects one message."""
        is_rsa = isinstance(self.key, rsa.RSAPrivateKey)
        algorithm = sequence(oid(_RSA_SHA256), tagged(NULL)) if is_rsa else sequence(oid(_ECDSA_SHA256))
        return _Signing(algorithm, self.key)

    def verify(
        self, algorithm: bytes, protected: bytes, value: bytes, *, certificates: Sequence[bytes]
    ) -> None:
        """Verify the signature, and that it comes from one of the roots. Raises `NotProtected`."""
        try:
            hashed = _SIGNED[der.dotted(next(der.value(algorithm).inside()).content)]
            # The signer's own comes first (RFC 9810 §5.1).
            chain = chain_of(certificates[0], [*certificates[1:], *self.roots])
            signer = x509.load_der_x509_certificate(chain[0])
        except (der.Malformed, KeyError, IndexError, StopIteration, ValueError, Refused) as error:
            raise NotProtected("it is not signed") from error
        if not _is_signed(signer.public_key(), protected, value, hashed):
            raise NotProtected("its signature is not by the certificate that comes with it")
        if not any(_is_below(chain[-1], root) for root in self.roots):
            raise NotProtected("who signs it does not come from the root that is named")


def _is_signed(key: object, protected: bytes, value: bytes, hashed: hashes.HashAlgorithm) -> bool:
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(value, protected, padding.PKCS1v15(), hashed)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(value, protected, ec.ECDSA(hashed))
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _is_below(last: bytes, root: bytes) -> bool:
    one, above = x509.load_der_x509_certificate(last), x509.load_der_x509_certificate(root)
    return last == root or signs(above, one)


def der_of(pem: str) -> list[bytes]:
    """Return the certificates of a PEM text, in DER. Raises `ValueError`."""
    return [each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(pem.encode())]
