"""A private authority of our own: its root key is made here, sealed by who keeps it, and signs in one step."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import ClassVar, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.renewal.connectors import Identity, Issued, Network, Nothing, Part, Request, Terms
from shared.errors import Invalid, Refused

ROOT_LIFETIME = timedelta(days=3652)
BACKDATED = timedelta(minutes=1)
"""So that a clock a little behind ours takes the certificate at once."""
_LONGEST_NAME = 64
"""X.520 ub-common-name."""


class Builtin:
    """The built-in private authority."""

    kind: ClassVar[str] = "builtin"
    summary: ClassVar[str] = "A private authority of our own; clients have to be told to trust its root."
    options_type: ClassVar[type[Part]] = Nothing
    secrets_type: ClassVar[type[Part]] = Nothing
    decides_lifetime: ClassVar[bool] = False

    def __init__(self, key: ec.EllipticCurvePrivateKey, root: x509.Certificate) -> None:
        self._key = key
        self._root = root

    @classmethod
    def found(cls, options: Nothing, *, secrets: Nothing, name: str, now: datetime) -> Identity:  # noqa: ARG003 - the Protocol's
        """Make a root: ECDSA P-256, ten years."""
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        root = _self_signed(key, name=name, now=now)
        return Identity(private=private, roots=(root.public_bytes(Encoding.DER),))

    @classmethod
    def check_terms(cls, options: Nothing, *, terms: Terms, network: Network) -> None:  # noqa: ARG003 - the Protocol's
        """Raise `Invalid` where a challenge is asked for, or more time than the root has."""
        if terms.challenge is not None:
            raise Invalid("The built-in authority makes no challenges.", next_step="Leave `challenge` out.")
        if terms.lifetime >= ROOT_LIFETIME:
            raise Invalid("No certificate outlives its root.", next_step="Ask for a shorter lifetime.")

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        options: Nothing,  # noqa: ARG003 - the Protocol's
        *,
        secrets: Nothing,  # noqa: ARG003 - the Protocol's
        identity: Identity,
        network: Network,  # noqa: ARG003 - the Protocol's
    ) -> AsyncIterator[Self]:
        """Take the key up for one order."""
        key = load_der_private_key(identity.private, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            msg = "the root's key is ECDSA"
            raise TypeError(msg)
        yield cls(key, x509.load_der_x509_certificate(identity.roots[0]))

    async def advance(self, request: Request, *, state: bytes | None, resumed: bool, now: datetime) -> Issued:  # noqa: ARG002 - the Protocol's
        """Issue. Raises `Refused` where the request is not well signed, or the root has expired."""
        csr = x509.load_der_x509_csr(request.csr)
        if not csr.is_signature_valid:
            raise Refused("The request is not signed by its own key.", next_step="Order it anew.")
        if now >= self._root.not_valid_after_utc:
            raise Refused("The authority's root has expired.", next_step="Make a new authority.")
        alternatives = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        builder = self._leaf(csr.public_key(), alternatives, lifetime=request.terms.lifetime, now=now)
        return Issued(chain=(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.DER),))

    def _leaf(
        self,
        key: CertificatePublicKeyTypes,
        names: x509.SubjectAlternativeName,
        *,
        lifetime: timedelta,
        now: datetime,
    ) -> x509.CertificateBuilder:
        subject = _subject(names)
        # Backdating is part of the lifetime, and so is the last second (RFC 5280 §4.1.2.5, BR §6.3.2).
        begins = now - BACKDATED
        ends = begins + lifetime - timedelta(seconds=1)
        for_servers = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            _dated(key, begins=begins, ends=min(ends, self._root.not_valid_after_utc))
            .subject_name(subject)
            .issuer_name(self._root.subject)
            # Critical where there is no subject (RFC 5280 §4.2.1.6).
            .add_extension(names, critical=not list(subject))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(enciphers=isinstance(key, rsa.RSAPublicKey)), critical=True)
            .add_extension(for_servers, critical=False)
            .add_extension(signer, critical=False)
        )


def _subject(names: x509.SubjectAlternativeName) -> x509.Name:
    short = [name for name in names.get_values_for_type(x509.DNSName) if len(name) <= _LONGEST_NAME]
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in short[:1]])


def _self_signed(key: ec.EllipticCurvePrivateKey, *, name: str, now: datetime) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_LONGEST_NAME])])
    return (
        _dated(key.public_key(), begins=now - BACKDATED, ends=now + ROOT_LIFETIME)
        .subject_name(subject)
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _dated(key: CertificatePublicKeyTypes, *, begins: datetime, ends: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .public_key(key)
        .serial_number(x509.random_serial_number())  # 159 random bits; RFC 5280 §4.1.2.2 allows 20 octets
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, is_authority: bool = False, enciphers: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_encipherment=enciphers,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
