"""How bad an event is: the evidence it gives for a problem, if any."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from services.notifier.domain.alerts import Details, Evidence, Problem
from services.notifier.domain.text import clean, clean_all, counted, instant
from shared.events.discovery import Place, SourceFailed
from shared.events.inventory import (
    CertificateAging,
    CertificateExpiring,
    CertificateRevocationSeen,
    CertificateStale,
    CertificatesUnowned,
    Owner,
    Urgency,
)
from shared.events.notifier import Severity
from shared.events.provisioner import DeploymentFailed
from shared.events.renewal import RenewalFailed, RevocationFailed

_SEVERITY = {
    Urgency.WARNING: Severity.WARNING,
    Urgency.ERROR: Severity.ERROR,
    Urgency.CRITICAL: Severity.CRITICAL,
    Urgency.EXPIRED: Severity.CRITICAL,
}
_PATIENCE = 3
"""From this attempt on a failure is an error, even if somebody tries again."""
_MOST_NAMES = 50
_MOST_WORDS = 1000
UNOWNED = "unowned"
"""The subject of the one alert about certificates that nobody owns."""


def severity_of(urgency: Urgency) -> Severity | None:
    """Return how bad it is that an end is so near; None where nothing is wrong yet."""
    return _SEVERITY.get(urgency)


def of_expiring(event: CertificateExpiring, *, told_at: datetime) -> Evidence | None:
    """Return the evidence; none while the time for renewal has only begun (nothing is wrong yet)."""
    severity = _SEVERITY.get(event.urgency)
    return of_ending(event, severity=severity, told_at=told_at) if severity is not None else None


def of_ending(
    event: CertificateExpiring | CertificateAging, *, severity: Severity, told_at: datetime
) -> Evidence:
    """Return the evidence that a certificate ends, however far that is."""
    return Evidence(
        subject=event.lineage_id,
        lineage_id=event.lineage_id,
        problem=Problem.EXPIRING,
        key=event.fingerprint,
        name=display_name(event.names, otherwise=event.subject_name),
        fingerprint=event.fingerprint,
        outgoing=event.fingerprint,
        severity=severity,
        told_at=told_at,
        details=Details(
            names=clean_all(event.names[:_MOST_NAMES]),
            issuer=clean(event.issuer_name),
            owner=_owner(event.owner) if event.owner is not None else None,
            not_after=event.not_after,
            places=_texts(event.places),
            place_count=event.place_count,
            next_step="Renew it, and put the new one in place everywhere. Where Everleaf does that by itself, "
            "nothing is to be done unless a failure is reported.",
        ),
    )


def of_stale(event: CertificateStale) -> Evidence:
    """Return the evidence that places still serve the old certificate."""
    return Evidence(
        subject=event.lineage_id,
        lineage_id=event.lineage_id,
        problem=Problem.STALE,
        key=event.old_fingerprint,
        name=None,
        fingerprint=event.old_fingerprint,
        outgoing=event.old_fingerprint,
        severity=Severity.ERROR,
        told_at=event.observed_at,
        details=Details(
            places=_texts(event.places),
            place_count=len(event.places),
            next_step="Put the new certificate in place there, and make the server load it.",
        ),
    )


def of_revoked(event: CertificateRevocationSeen) -> Evidence:
    """Return the evidence that clients refuse a certificate that is in use, or will as soon as they ask."""
    return Evidence(
        subject=event.lineage_id,
        lineage_id=event.lineage_id,
        problem=Problem.REVOKED,
        key=event.fingerprint,
        name=display_name(event.names, otherwise=event.subject_name),
        fingerprint=event.fingerprint,
        outgoing=event.fingerprint,
        severity=Severity.CRITICAL,
        told_at=event.seen_at,
        details=Details(
            names=clean_all(event.names[:_MOST_NAMES]),
            issuer=clean(event.issuer_name),
            reason=clean(f"Revoked at {event.revoked_at:%Y-%m-%d %H:%M} UTC: {event.reason}"),
            places=_texts(event.places),
            place_count=event.place_count,
            next_step="Renew it now with a new key, and put the new one in place everywhere. Ask whoever revoked it why: "
            "where the key was compromised, look for who has it.",
        ),
    )


def of_failed_renewal(event: RenewalFailed, *, told_at: datetime) -> Evidence:
    """Return the evidence that a certificate could not be had."""
    return Evidence(
        subject=event.lineage_id,
        lineage_id=event.lineage_id,
        problem=Problem.RENEWAL_FAILED,
        key=event.order_id,
        name=display_name(event.names),
        fingerprint=event.fingerprint,
        outgoing=event.fingerprint,
        severity=_of_failure(event.attempt, next_attempt_at=event.next_attempt_at),
        told_at=told_at,
        details=Details(
            names=clean_all(event.names[:_MOST_NAMES]),
            reason=clean(event.reason, most=_MOST_WORDS),
            next_step=clean(event.next_step, most=_MOST_WORDS),
            attempt=event.attempt,
            next_attempt_at=event.next_attempt_at,
        ),
    )


def of_failed_revocation(event: RevocationFailed, *, told_at: datetime) -> Evidence:
    """Return the evidence that a certificate which is to be taken back is trusted still."""
    return Evidence(
        subject=revocation_subject(event.fingerprint),
        lineage_id=event.lineage_id,
        problem=Problem.REVOCATION_FAILED,
        key=event.revocation_id,
        name=display_name(event.names),
        fingerprint=event.fingerprint,
        outgoing=None,
        severity=_of_failure(event.attempt, next_attempt_at=event.next_attempt_at),
        told_at=told_at,
        details=Details(
            names=clean_all(event.names[:_MOST_NAMES]),
            reason=clean(event.reason, most=_MOST_WORDS),
            next_step=clean(event.next_step, most=_MOST_WORDS),
            attempt=event.attempt,
            next_attempt_at=event.next_attempt_at,
        ),
    )


def of_failed_deployment(event: DeploymentFailed, *, told_at: datetime) -> Evidence:
    """Return the evidence that a target could not be given its certificate."""
    severity = _of_failure(event.attempt, next_attempt_at=event.next_attempt_at)
    return Evidence(
        subject=event.lineage_id,
        lineage_id=event.lineage_id,
        problem=Problem.DEPLOYMENT_FAILED,
        key=event.deployment_id,
        name=None,
        fingerprint=event.fingerprint,
        outgoing=event.old_fingerprint,
        severity=severity if event.restored else Severity.ERROR,
        told_at=told_at,
        details=Details(
            target=clean(event.target),
            step=clean(event.step),
            reason=clean(event.reason, most=_MOST_WORDS),
            next_step=clean(event.next_step, most=_MOST_WORDS),
            attempt=event.attempt,
            next_attempt_at=event.next_attempt_at,
        ),
    )


def of_dead_channel(channel_id: str, *, name: str, reason: str, told_at: datetime) -> Evidence:
    """Return the evidence that a channel does not deliver."""
    return Evidence(
        subject=channel_subject(channel_id),
        lineage_id=None,
        problem=Problem.CHANNEL_DEAD,
        key=channel_id,
        name=clean(name),
        fingerprint=None,
        outgoing=None,
        severity=Severity.ERROR,
        told_at=told_at,
        details=Details(
            reason=clean(reason, most=_MOST_WORDS),
            next_step="Correct the channel, send a test through it, and retry its failed deliveries.",
        ),
    )


def of_failed_source(event: SourceFailed) -> Evidence:
    """Return the evidence that what a source holds is not known any more."""
    return Evidence(
        subject=source_subject(event.source_id),
        lineage_id=None,
        problem=Problem.SOURCE_UNREAD,
        key=event.source_id,
        name=clean(event.name),
        fingerprint=None,
        outgoing=None,
        severity=Severity.ERROR,
        told_at=event.failed_at,
        details=Details(
            target=clean(event.name),
            reason=clean(event.reason, most=_MOST_WORDS),
            next_step=clean(event.next_step, most=_MOST_WORDS),
        ),
    )


def of_unowned(event: CertificatesUnowned) -> Evidence:
    """Return the evidence that certificates in use have no owner: one for all of them."""
    return Evidence(
        subject=UNOWNED,
        lineage_id=None,
        problem=Problem.UNOWNED,
        key=UNOWNED,
        name=counted(event.count, "certificate"),
        fingerprint=None,
        outgoing=None,
        severity=Severity.WARNING,
        told_at=event.counted_at,
        details=Details(
            reason=f"{counted(event.count, 'certificate')} in use, and nobody is asked when one expires; "
            f"there have been some since {instant(event.since)}.",
            next_step="List them with the query `current and not owner`, give them an owner, and write assignment rules "
            "for what is found from now on.",
        ),
    )


def _owner(owner: Owner) -> str:
    first = next((f", {contact.value}" for contact in owner.contacts), "")
    return clean(owner.name + first)


def source_subject(source_id: str) -> str:
    """Return the subject of alerts about a source."""
    return f"source/{source_id}"


def revocation_subject(fingerprint: str) -> str:
    """Return the subject of alerts about the revocation of a certificate."""
    return f"revocation/{fingerprint}"


def channel_subject(channel_id: str) -> str:
    """Return the subject of alerts about a channel."""
    return f"channel/{channel_id}"


def display_name(names: Sequence[str], *, otherwise: str | None = None) -> str | None:
    """Return what people call a certificate: its first name that is no wildcard, if it has one."""
    plain = [name for name in names if not name.startswith("*.")]
    chosen = next(iter([*plain, *names]), otherwise)
    return clean(chosen) if chosen else None


def _of_failure(attempt: int, *, next_attempt_at: datetime | None) -> Severity:
    is_serious = attempt >= _PATIENCE or next_attempt_at is None
    return Severity.ERROR if is_serious else Severity.WARNING


def _texts(places: Iterable[Place]) -> tuple[str, ...]:
    return clean_all(place_text(place) for place in places)


def place_text(place: Place) -> str:
    """Write a place for people: `10.0.0.1:443 as www.example.test`, `host: /path`."""
    if place.kind == "store":
        return f"{place.address}: {place.path}"
    host = f"[{place.address}]" if ":" in place.address else place.address
    protocol = f" ({place.starttls})" if place.starttls else ""
    return f"{host}:{place.port}{protocol}" + (f" as {place.server_name}" if place.server_name else "")
