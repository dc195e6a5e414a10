"""Decides whether a certificate that is what was asked for may also be used: its usage, its logs, its rules, its revocation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from services.renewal.domain.checks import wrong
from services.renewal.domain.ct_logs import LogList, is_by
from services.renewal.domain.policy import Trust
from shared.extensions import extension
from shared.lint import Finding, Severity
from shared.revocation.words import Revocation, Word

_SHORT = timedelta(days=180)
_LOGS, _MORE_LOGS, _OPERATORS = 2, 3, 2
_CT = "Chrome CT policy"
_MOST_FINDINGS = 5


@dataclass(frozen=True, kw_only=True)
class Passed:
    """One check, and what it has found to be right: a row of the order's steps."""

    check: str
    rule: str
    """Its source."""
    text: str


ASKED_FOR: tuple[Passed, ...] = (
    Passed(check="key", rule="RFC 2986 §4", text="It is for the key of our request."),
    Passed(check="names", rule="RFC 9525 §6.3", text="It is for exactly the names that were asked for."),
    Passed(check="purpose", rule="RFC 5280 §4.2.1.12", text="It is for servers, and no authority."),
    Passed(
        check="validity", rule="RFC 5280 §4.1.2.5", text="It is valid now, and for as long as was asked for."
    ),
    Passed(check="chain", rule="RFC 5280 §6.1", text="Each certificate is signed by an authority that may."),
)
"""What `services.renewal.domain.checks.check_chain` has looked at."""


def check_usage(leaf: x509.Certificate) -> Passed:
    """Raise `Refused` where the key may not do what TLS needs (RFC 5280 §4.2.1.3, RFC 8446 §4.4.2.2)."""
    rule = "RFC 8446 §4.4.2.2"
    usage = extension(leaf, x509.KeyUsage)
    if usage is None:
        return Passed(check="usage", rule=rule, text="Its key may be used for anything.")
    if usage.key_cert_sign:
        raise wrong("its key is for signing certificates", rule="RFC 5280 §4.2.1.9")
    may_be_sent_secrets = isinstance(leaf.public_key(), rsa.RSAPublicKey) and usage.key_encipherment
    if not usage.digital_signature and not may_be_sent_secrets:
        raise wrong("its key is not for signing, which TLS needs", rule=rule)
    return Passed(check="usage", rule=rule, text="Its key may sign, which TLS needs.")


def check_logs(
    leaf: x509.Certificate, *, trust: Trust, issuer: bytes | None = None, known: LogList | None = None
) -> Passed | None:
    """Raise `Refused` where a public certificate is in too few CT logs for browsers to take it.

    Two for up to 180 days, else three, and of two operators at the least (Chrome and Apple CT policies); of embedded SCTs alone
    (RFC 6962 §3.3). Which logs browsers take, and whether a timestamp is theirs, is seen where a list of them is `known`.
    """
    if trust is not Trust.PUBLIC:
        return None
    timestamps = list(extension(leaf, x509.PrecertificateSignedCertificateTimestamps) or ())
    if known is None:
        logs = {each.log_id for each in timestamps}
        return _in_enough(
            leaf, len(logs), seen="Their signatures were not looked at: no list of logs is set."
        )
    if issuer is None:
        raise wrong(
            "nobody can see whether its CT logs have signed for it: its issuer is not known", rule=_CT
        )
    believed = {each.log_id: known[each.log_id] for each in timestamps if each.log_id in known}
    for each in timestamps:
        log = known.get(each.log_id)
        if log is not None and not is_by(log, each, leaf=leaf, issuer=issuer):
            raise wrong(f"the timestamp of {log.name} is not for this certificate", rule="RFC 6962 §3.2")
    passed = _in_enough(leaf, len(believed), seen="Each has signed for it.")
    if len({log.operator for log in believed.values()}) < _OPERATORS:
        raise wrong("all its CT logs are of one operator, and browsers want two", rule=_CT)
    return passed


def _in_enough(leaf: x509.Certificate, count: int, *, seen: str) -> Passed:
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc + timedelta(seconds=1)
    needed = _LOGS if lifetime <= _SHORT else _MORE_LOGS
    if count < needed:
        raise wrong(f"it is in {count} CT logs that count, and browsers want {needed}", rule=_CT)
    return Passed(check="ct", rule=_CT, text=f"It is in {count} CT logs; {needed} are needed. {seen}")


def check_findings(findings: Sequence[Finding], *, rules: str) -> Passed:
    """Raise `Refused` where a certificate breaks a MUST of its class."""
    broken = [each for each in findings if each.severity in (Severity.FATAL, Severity.ERROR)]
    if broken:
        shown = "; ".join(f"{each.rule} ({each.evidence})"[:300] for each in broken[:_MOST_FINDINGS])
        raise wrong(f"it breaks rules of its class: {shown}", rule=f"lint {rules}")
    return Passed(check="lint", rule=f"lint {rules}", text="It breaks no rule of its class.")


def check_word(word: Word) -> Passed:
    """Raise `Refused` where a certificate is revoked already; that nothing is known of a new one yet is usual."""
    rule = "RFC 5280 §6.3"
    if word.state is Revocation.REVOKED:
        raise wrong(f"it is revoked already ({word.reason or 'unspecified'})", rule=rule)
    if word.state is Revocation.GOOD:
        return Passed(check="revocation", rule=rule, text=f"It is not revoked. {word.evidence}")
    return Passed(
        check="revocation", rule=rule, text=f"Nothing says that it is revoked. {word.evidence}"[:1000]
    )
