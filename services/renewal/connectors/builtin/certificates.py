"""The certificates that a built-in authority makes: roots, intermediates, OCSP responders, and those of servers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from services.renewal.connectors.builtin.constraints import extension
from services.renewal.connectors.builtin.options import BuiltinOptions
from services.renewal.connectors.builtin.signing import SigningKey

BACKDATED = timedelta(minutes=1)
"""So that a clock a little behind ours takes the certificate at once."""
SHORT_LIVED = timedelta(days=7)
"""Up to this long a certificate needs no revocation (CA/B Baseline Requirements §1.6.1, since 2026-03-15)."""
RESPONDER_LIFETIME = timedelta(days=30)
_LONGEST_NAME = 64
"""X.520 ub-common-name."""
_NO_REVOCATION = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.56"), b"\x05\x00")
"""RFC 9608 §2: nothing is told of the revocation of this certificate."""
_FOR_SERVERS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
_FOR_BOTH_SIDES = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
_NO_AUTHORITY = x509.BasicConstraints(ca=False, path_length=None)


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """Who signs: a name, until when, the identifier of its key, and where it publishes."""

    subject: x509.Name
    until: datetime
    identifier: x509.AuthorityKeyIdentifier
    url: str | None
    for_clients: bool = False

    @cached_property
    def for_all(self) -> Sequence[x509.Extension[x509.ExtensionType]]:
        """What every server's certificate of it has."""
        return (
            _extension(_NO_AUTHORITY, critical=True),
            _extension(_FOR_BOTH_SIDES if self.for_clients else _FOR_SERVERS),
            _extension(self.identifier),
        )

    @cached_property
    def for_short_lived(self) -> Sequence[x509.Extension[x509.ExtensionType]]:
        """Where to ask about the issuer, and that nobody need ask about revocation."""
        asking = [_extension(_access(self.url, with_ocsp=False))] if self.url is not None else []
        return (_extension(_NO_REVOCATION), *asking)

    @cached_property
    def for_others(self) -> Sequence[x509.Extension[x509.ExtensionType]]:
        """Where to ask about the issuer and about revocation."""
        if self.url is None:
            return ()
        name = x509.UniformResourceIdentifier(f"{self.url}/crl")
        points = x509.CRLDistributionPoints([x509.DistributionPoint([name], None, None, None)])
        return (_extension(_access(self.url, with_ocsp=True)), _extension(points))

    @classmethod
    def of(cls, certificate: x509.Certificate, *, url: str | None, for_clients: bool = False) -> "Issuer":
        """Return what its certificates have to say of the holder of this one."""
        identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return cls(
            subject=certificate.subject,
            until=certificate.not_valid_after_utc,
            identifier=x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            url=url,
            for_clients=for_clients,
        )


def called(name: str) -> x509.Name:
    """Return the name of an authority."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_LONGEST_NAME])])


def root(key: SigningKey, options: BuiltinOptions, *, name: str, now: datetime) -> x509.CertificateBuilder:
    """Return a root: of an authority without an intermediate it carries the constraints itself."""
    dated = _dated(key.public_key(), begins=now - BACKDATED, ends=now + options.lifetime)
    builder = dated.subject_name(called(name)).issuer_name(called(name))
    if options.intermediate:
        return _authority(builder, BuiltinOptions(), path_length=1)
    return _authority(builder, options, path_length=0)


def intermediate(
    key: SigningKey, options: BuiltinOptions, *, name: str, issuer: Issuer, now: datetime
) -> x509.CertificateBuilder:
    """Return an intermediate of a root of our own."""
    ends = min(now + options.intermediate_lifetime, issuer.until)
    dated = _dated(key.public_key(), begins=now - BACKDATED, ends=ends)
    builder = dated.subject_name(called(name)).issuer_name(issuer.subject)
    builder = builder.add_extension(issuer.identifier, critical=False)
    return _authority(builder, options, path_length=0)


def request(options: BuiltinOptions, *, name: str) -> x509.CertificateSigningRequestBuilder:
    """Return the request for an intermediate that another authority signs (PKCS#10)."""
    builder = (
        x509.CertificateSigningRequestBuilder(called(name))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
    )
    constrained = extension(options.permitted, options.excluded)
    return builder.add_extension(constrained, critical=True) if constrained is not None else builder


def responder(key: CertificatePublicKeyTypes, *, issuer: Issuer, now: datetime) -> x509.CertificateBuilder:
    """Return the certificate of an OCSP responder: its own revocation is not asked for (RFC 6960 §4.2.2.2.1)."""
    ends = min(now + RESPONDER_LIFETIME, issuer.until)
    return (
        _dated(key, begins=now - BACKDATED, ends=ends)
        .subject_name(called("OCSP responder"))
        .issuer_name(issuer.subject)
        .add_extension(_NO_AUTHORITY, critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
        .add_extension(x509.OCSPNoCheck(), critical=False)
        .add_extension(issuer.identifier, critical=False)
    )


def server(
    csr: x509.CertificateSigningRequest, *, issuer: Issuer, lifetime: timedelta, now: datetime
) -> x509.CertificateBuilder:
    """Return a server's certificate for the key and the names of a request.

    All at once: a builder that gets its parts one by one copies and compares them all each time, which takes longer than
    the signature.
    """
    key = csr.public_key()
    names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    subject = _subject(names)
    # Backdating is part of the lifetime, and so is the last second (RFC 5280 §4.1.2.5, BR §6.3.2).
    begins = now - BACKDATED
    ends = min(begins + lifetime - timedelta(seconds=1), issuer.until)
    extensions: list[x509.Extension[x509.ExtensionType]] = [
        _extension(x509.SubjectKeyIdentifier.from_public_key(key)),
        # Critical where there is no subject (RFC 5280 §4.2.1.6).
        _extension(names, critical=not list(subject)),
        _usage_of_servers(enciphers=isinstance(key, rsa.RSAPublicKey)),
        *issuer.for_all,
        *(issuer.for_short_lived if ends - begins < SHORT_LIVED else issuer.for_others),
    ]
    return x509.CertificateBuilder(
        issuer_name=issuer.subject,
        subject_name=subject,
        public_key=key,
        serial_number=x509.random_serial_number(),  # 159 random bits; RFC 5280 §4.1.2.2 allows 20 octets
        not_valid_before=_second(begins),
        not_valid_after=_second(ends),
        extensions=extensions,
    )


def _second(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None, microsecond=0)


def _extension(value: x509.ExtensionType, *, critical: bool = False) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, critical, value)


@cache
def _usage_of_servers(*, enciphers: bool) -> x509.Extension[x509.ExtensionType]:
    return _extension(_usage(enciphers=enciphers), critical=True)


def _access(url: str, *, with_ocsp: bool) -> x509.AuthorityInformationAccess:
    methods = [(AuthorityInformationAccessOID.OCSP, "ocsp")] if with_ocsp else []
    methods.append((AuthorityInformationAccessOID.CA_ISSUERS, "certificate"))
    return x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(method, x509.UniformResourceIdentifier(f"{url}/{path}"))
            for method, path in methods
        ]
    )


def _authority(
    builder: x509.CertificateBuilder, options: BuiltinOptions, *, path_length: int
) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    builder = builder.add_extension(_usage(is_authority=True), critical=True)
    constrained = extension(options.permitted, options.excluded)
    return builder.add_extension(constrained, critical=True) if constrained is not None else builder


def _subject(names: x509.SubjectAlternativeName) -> x509.Name:
    short = [name for name in names.get_values_for_type(x509.DNSName) if len(name) <= _LONGEST_NAME]
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in short[:1]])


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
