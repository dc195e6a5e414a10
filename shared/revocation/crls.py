"""CRLs (RFC 5280 §5 and §6.3): read once for all the certificates that they are asked about."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtensionOID

from shared.errors import Invalid
from shared.extensions import extension, is_authority
from shared.revocation.words import SKEW, Means, Revocation, Word, unreachable
from shared.x509 import load

_UNDERSTOOD = frozenset(
    {
        ExtensionOID.ISSUING_DISTRIBUTION_POINT,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.CRL_NUMBER,
    }
)


class Unusable(Exception):
    """A CRL that does not tell about these certificates; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A certificate that a CRL is asked about."""

    serial: int
    is_authority: bool


def read_crl(
    body: bytes, issuer_der: bytes, url: str, asked: Mapping[str, Asked], now: datetime
) -> dict[str, Word]:
    """Return what a CRL says of certificates, by fingerprint; they all have the same issuer."""
    try:
        issuer = load(issuer_der)
        crl = _parse(body)
        _check(crl, issuer=issuer, now=now)
        listed = _listed(crl, {each.serial for each in asked.values()})
        return {name: _word(crl, listed, each, url=url) for name, each in asked.items()}
    except (Unusable, Invalid) as error:
        why = str(error)
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.InvalidVersion,
    ) as error:
        why = f"The CRL cannot be read ({error})."
    return {name: unreachable(why, means=Means.CRL, url=url) for name in asked}


def asked_of(certificate: x509.Certificate) -> Asked:
    """Return what of a certificate matters to a CRL."""
    return Asked(serial=certificate.serial_number, is_authority=is_authority(certificate))


def _parse(body: bytes) -> x509.CertificateRevocationList:
    if body.lstrip().startswith(b"-----BEGIN"):  # DER is what RFC 5280 §4.2.1.13 asks for; some serve PEM
        return x509.load_pem_x509_crl(body)
    return x509.load_der_x509_crl(body)


def _check(crl: x509.CertificateRevocationList, *, issuer: x509.Certificate, now: datetime) -> None:
    if crl.issuer != issuer.subject:
        raise Unusable("The CRL is another authority's.")
    if not crl.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type] # it raises on keys of other kinds
        raise Unusable("The CRL is not signed by the key of the issuer.")
    usage = extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.crl_sign:
        raise Unusable("The key of the issuer is not for signing CRLs.")
    if crl.last_update_utc > now + SKEW:
        raise Unusable(f"The CRL is from the future ({crl.last_update_utc:%Y-%m-%d %H:%M} UTC).")
    if crl.next_update_utc is not None and crl.next_update_utc < now - SKEW:
        raise Unusable(f"The CRL ended at {crl.next_update_utc:%Y-%m-%d %H:%M} UTC.")
    unknown = [
        each.oid.dotted_string for each in crl.extensions if each.critical and each.oid not in _UNDERSTOOD
    ]
    if unknown:  # a delta CRL among them
        raise Unusable(f"The CRL has critical extensions that nobody here understands: {', '.join(unknown)}.")


def _listed(crl: x509.CertificateRevocationList, serials: set[int]) -> dict[int, x509.RevokedCertificate]:
    return {each.serial_number: each for each in crl if each.serial_number in serials}


def _word(
    crl: x509.CertificateRevocationList,
    listed: Mapping[int, x509.RevokedCertificate],
    each: Asked,
    *,
    url: str,
) -> Word:
    entry = listed.get(each.serial)
    outside = _outside(crl, each, url=url)
    if outside is not None:
        return Word(state=Revocation.UNKNOWN, evidence=outside, means=Means.CRL, url=url)
    number = f"It is{'' if entry else ' not'} in the CRL of {crl.last_update_utc:%Y-%m-%d %H:%M} UTC."
    return Word(
        state=Revocation.REVOKED if entry else Revocation.GOOD,
        evidence=number,
        means=Means.CRL,
        url=url,
        this_update=crl.last_update_utc,
        next_update=crl.next_update_utc,
        revoked_at=entry.revocation_date_utc if entry else None,
        reason=_reason(entry) if entry else None,
    )


def _outside(crl: x509.CertificateRevocationList, each: Asked, *, url: str) -> str | None:
    """Return why a CRL does not cover a certificate (RFC 5280 §6.3.3 b), or None where it does."""
    try:
        scope = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return None
    if scope.indirect_crl or scope.only_some_reasons or scope.only_contains_attribute_certs:
        return "The CRL is indirect, or tells some reasons only."
    if scope.only_contains_ca_certs and not each.is_authority:
        return "The CRL lists authorities only."
    if scope.only_contains_user_certs and each.is_authority:
        return "The CRL lists no authorities."
    names = [name.value for name in scope.full_name or () if isinstance(name, x509.UniformResourceIdentifier)]
    if scope.full_name and url not in names:
        return "The CRL is one for other certificates of the same issuer."
    return None


def _reason(entry: x509.RevokedCertificate) -> str:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
    except (x509.ExtensionNotFound, ValueError):
        return x509.ReasonFlags.unspecified.value
