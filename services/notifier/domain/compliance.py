"""How bad it is that a policy is broken, and what is to be done about it."""

from hashlib import sha256

from services.notifier.domain.alerts import Details, Evidence, Problem
from services.notifier.domain.evidence import display_name, place_text
from services.notifier.domain.text import clean, clean_all
from shared.events.inventory import BrokenRule, CertificateNoncompliant, RuleSeverity
from shared.events.notifier import Severity

_SEVERITY = {
    RuleSeverity.LOW: Severity.INFO,
    RuleSeverity.MEDIUM: Severity.WARNING,
    RuleSeverity.HIGH: Severity.ERROR,
}
_MOST_WORDS = 1000
_MOST_OF_A_RULE = 300


def of_noncompliance(event: CertificateNoncompliant) -> Evidence:
    """Return the evidence that a lineage breaks a policy: one alert, whatever rules and places there are."""
    remedies = " ".join(dict.fromkeys(rule.remedy for rule in event.rules if rule.remedy))
    return Evidence(
        subject=policy_subject(event.policy, event.lineage_id),
        lineage_id=event.lineage_id,
        problem=Problem.NONCOMPLIANT,
        key=event.policy,
        name=display_name(event.names),
        fingerprint=event.fingerprint,
        outgoing=None,
        severity=_SEVERITY[event.severity],
        told_at=event.judged_at,
        details=Details(
            names=clean_all(event.names),
            places=clean_all(map(place_text, event.places)),
            place_count=event.place_count,
            policy=clean(event.policy_title),
            broken=tuple(clean(rule.title) for rule in event.rules),
            reason=clean(" ".join(_text(rule) for rule in event.rules), most=_MOST_WORDS),
            next_step=clean(remedies, most=_MOST_WORDS),
        ),
    )


def policy_subject(policy: str, lineage_id: str) -> str:
    """Return the subject of alerts about a lineage that breaks a policy."""
    return f"policy/{sha256(f'{policy} {lineage_id}'.encode()).hexdigest()[:32]}"


def _text(rule: BrokenRule) -> str:
    return clean(f"{rule.rule}: {rule.evidence}.", most=_MOST_OF_A_RULE)
