"""Which rules a certificate is held against, and what to do where one is broken."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.inventory.domain.chains.links import extension, is_authority, storable

RULES_VERSION = 1
"""Raise it where this file changes what is found: everything is then linted again."""
CRASHED = "everleaf.linter_crashed"
"""The rule that a certificate breaks on which the linter itself fails: no client should have to read such bytes."""
UNREADABLE = "everleaf.unreadable"
"""The rule that bytes break which are no certificate that can be read."""
MOST_EVIDENCE = 2000


class CertificateClass(StrEnum):
    """What a certificate is for, and for whom, as far as rules differ by it."""

    PUBLIC_TLS = "public-tls"
    PRIVATE_TLS = "private-tls"
    AUTHORITY = "authority"
    PUBLIC_SMIME = "public-smime"
    PRIVATE_SMIME = "private-smime"
    CODE_SIGNING = "code-signing"
    OTHER = "other"


class RuleSet(StrEnum):
    """A linter's set of rules."""

    PKIX = "pkix"
    """RFC 5280 and what it stands on."""
    CABF_SERVERAUTH = "cabf_serverauth"
    """The CA/Browser Forum's TLS Baseline Requirements, with those of `pkix` that they do not supersede."""
    CABF_SMIME = "cabf_smime"
    """The same for S/MIME."""


class Severity(StrEnum):
    """How bad a finding is, the worst first."""

    FATAL = "fatal"
    """The linter could not go on."""
    ERROR = "error"
    """A MUST is violated."""
    WARNING = "warning"
    """A SHOULD is violated."""
    NOTICE = "notice"
    """Worth knowing."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A rule that a certificate breaks; `evidence` has a line for each place in it, and what is there."""

    rule: str
    severity: Severity
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Linted:
    """What linting a certificate came to."""

    kind: CertificateClass
    rules: RuleSet
    findings: tuple[Finding, ...]


_SERVER = frozenset({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})
_EFFECTIVE: Mapping[RuleSet, datetime] = {
    RuleSet.CABF_SERVERAUTH: datetime(2023, 9, 15, tzinfo=UTC),
    RuleSet.CABF_SMIME: datetime(2023, 9, 1, tzinfo=UTC),
}
"""Certificates that begin earlier were issued by other rules: the profiles that the linter knows are those of ballot
SC-062 and of the S/MIME Baseline Requirements 1.0. Rules with later dates of their own are told apart by the linter."""


def classify(certificate: x509.Certificate, *, is_public: bool) -> CertificateClass:
    """Return what rules are for; a certificate without extended key usage is taken to be a server's."""
    if is_authority(certificate):
        return CertificateClass.AUTHORITY
    try:
        usage = extension(certificate, x509.ExtendedKeyUsage)
    except ValueError:
        usage = None
    if usage is None or _SERVER & set(usage):
        return CertificateClass.PUBLIC_TLS if is_public else CertificateClass.PRIVATE_TLS
    if ExtendedKeyUsageOID.EMAIL_PROTECTION in usage:
        return CertificateClass.PUBLIC_SMIME if is_public else CertificateClass.PRIVATE_SMIME
    if ExtendedKeyUsageOID.CODE_SIGNING in usage:
        return CertificateClass.CODE_SIGNING
    return CertificateClass.OTHER


def rules_for(kind: CertificateClass, *, not_before: datetime) -> RuleSet:
    """Return the rules that were in force for a class when a certificate began; a private CA is bound by no forum."""
    wanted = {
        CertificateClass.PUBLIC_TLS: RuleSet.CABF_SERVERAUTH,
        CertificateClass.PUBLIC_SMIME: RuleSet.CABF_SMIME,
    }.get(kind, RuleSet.PKIX)
    effective = _EFFECTIVE.get(wanted)
    return wanted if effective is None or not_before >= effective else RuleSet.PKIX


def crashed(reason: str) -> Finding:
    """Return the finding that the linter came to no end."""
    return _fatal(CRASHED, f"The linter failed on it: {reason}")


def unreadable(reason: str) -> Linted:
    """Return what linting bytes comes to that are no certificate."""
    return Linted(kind=CertificateClass.OTHER, rules=RuleSet.PKIX, findings=(_fatal(UNREADABLE, reason),))


def _fatal(rule: str, evidence: str) -> Finding:
    return Finding(rule=rule, severity=Severity.FATAL, evidence=storable(evidence, most=MOST_EVIDENCE))


_REISSUE = "Have it issued again"
_REMEDIES: Mapping[str, str] = {
    CRASHED: "Have it issued again by software that writes plain DER; tell us the bytes, so that they are read next time.",
    UNREADABLE: "Find out what put it there, and have a certificate issued by software that writes plain DER.",
    "itu.invalid_asn1_syntax": f"{_REISSUE} by software that writes correct DER.",
    "pkix.invalid_domain_name_syntax": f"{_REISSUE} with names that are DNS names (RFC 1034 §3.5, no underscore).",
    "pkix.subject_key_identifier_extension_absent": f"{_REISSUE} with a subject key identifier (RFC 5280 §4.2.1.2).",
    "pkix.authority_key_identifier_extension_absent": f"{_REISSUE} with an authority key identifier: clients find the "
    "issuer by it, and ACME renewal information names certificates by it.",
    "cabf.serverauth.dv.common_name_attribute_present": "Nothing breaks. A CSR without a common name avoids it.",
    "cabf.internal_domain_name": "Use a name below a registered domain, or a private CA for internal names.",
    "cabf.serverauth.subscriber.revocation_information_absent": "Tell the CA: it must name a CRL or an OCSP responder.",
    "cabf.serverauth.subscriber.certificate_policies_extension_absent": "Tell the CA: its profile is not a public one.",
    "cabf.serverauth.subscriber.authority_info_access_extension_absent": "Tell the CA: clients cannot find the issuer.",
    "cabf.serverauth.subscriber.subject_key_identifier_extension_present": "Nothing breaks; it is for the CA's profile.",
    "cabf.serverauth.subscriber.key_usage_extension_absent": "Tell the CA: the key usage should be stated.",
}
_BY_BEGINNING: Mapping[str, str] = {
    "cabf.serverauth.certificate_validity_period_exceeds_": "Have it issued again for fewer days (BR §6.3.2): clients may "
    "refuse it, and the CA may revoke it.",
    "cabf.rsa_": f"{_REISSUE} with an RSA key of 2048 bits or more, or an ECDSA key.",
    "pkix.certificate_serial_number_": f"{_REISSUE}: its serial number is not positive, or too long.",
}


def remedy(rule: str) -> str | None:
    """Return what to do where a rule is broken, for those that are met often."""
    found = _REMEDIES.get(rule)
    return found or next((text for begin, text in _BY_BEGINNING.items() if rule.startswith(begin)), None)
