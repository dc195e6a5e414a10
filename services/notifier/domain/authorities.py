"""How bad it is that the certificate of an authority ends while certificates in use are under it."""

from datetime import datetime

from services.notifier.domain.alerts import Details, Evidence, Problem
from services.notifier.domain.evidence import severity_of
from services.notifier.domain.text import clean
from shared.events.inventory import AuthorityExpiring

_LONGEST_NAME = 250


def of_authority(event: AuthorityExpiring, *, told_at: datetime) -> Evidence | None:
    """Return the evidence; none while there is a year yet (then it is in the inventory's list)."""
    severity = severity_of(event.urgency)
    if severity is None:
        return None
    kind = "root" if event.is_self_issued else "intermediate"
    return Evidence(
        subject=authority_subject(event.fingerprint),
        lineage_id=None,
        problem=Problem.AUTHORITY_EXPIRING,
        key=event.fingerprint,
        name=clean(event.subject_name, most=_LONGEST_NAME) or event.fingerprint,
        fingerprint=event.fingerprint,
        outgoing=None,
        severity=severity,
        told_at=told_at,
        details=Details(
            issuer=clean(event.issuer_name),
            not_after=event.not_after,
            reason=f"Certificates in use that were served with this {kind} above them: {event.certificate_count}.",
            next_step="Get its successor from the authority, renew what is under it with that in the chain, and see that "
            "clients trust the root it leads to.",
        ),
    )


def authority_subject(fingerprint: str) -> str:
    """Return the subject of alerts about an authority."""
    return f"authority/{fingerprint}"
