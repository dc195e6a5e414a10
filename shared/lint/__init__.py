"""Which rules a certificate is held against, by what it is for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from shared.extensions import extension, is_authority, storable

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
