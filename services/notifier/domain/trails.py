"""What is wrong with the audit trail itself: changes that have not come, and checkpoints that others do not co-sign."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.notifier.domain.alerts import Details, Evidence, Problem, Replacement
from services.notifier.domain.text import clean, counted
from shared.events.audit import CheckpointRefused
from shared.events.notifier import Severity

PATIENCE = timedelta(minutes=15)
"""What is on its way for longer is missing: three checkpoints as they are set, and more than the first tries of an event."""
CHAIN = "audit-chain"
_NAMED = "the chain of entries"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a service stands to the trail."""

    source: str
    missing: int
    """Changes that it has numbered and that have not come."""
    missing_since: datetime | None
    """When that was noticed first."""
    unsigned: int | None
    """The first checkpoint after those that it has co-signed; None where there is none, or it has never co-signed."""
    unsigned_since: datetime | None
    signed_at: datetime | None
    """When it has co-signed last."""


def gap_subject(source: str) -> str:
    """Return the subject of the alert about changes of a service that are missing."""
    return f"audit-gap/{source}"


def witness_subject(source: str) -> str:
    """Return the subject of the alert about checkpoints that a service does not co-sign."""
    return f"audit-witness/{source}"


def of_gap(standing: Standing, *, now: datetime) -> Evidence | None:
    """Return the evidence that changes are missing; none where they may be on their way yet."""
    if not standing.missing or not _is_old(standing.missing_since, now=now):
        return None
    return _evidence(
        subject=gap_subject(standing.source),
        problem=Problem.AUDIT_INCOMPLETE,
        key="gap",
        name=standing.source,
        reason=f"{counted(standing.missing, 'change')} that {standing.source} has recorded did not come.",
        next_step="Look at the dead letters of the notifier and put the entries back. Where there are none, somebody has kept "
        "them from being told: compare the database of the service with the trail.",
        told_at=now,
    )


def of_silence(standing: Standing, *, now: datetime) -> Evidence | None:
    """Return the evidence that a service has stopped co-signing; none where its signature may be on its way yet."""
    if standing.unsigned is None or not _is_old(standing.unsigned_since, now=now):
        return None
    return _evidence(
        subject=witness_subject(standing.source),
        problem=Problem.AUDIT_BROKEN,
        key="silence",
        name=f"{standing.source} does not co-sign it",
        reason=f"{standing.source} has not co-signed checkpoint {standing.unsigned}.",
        next_step="See that the service runs, and look at its dead letters. Where it refuses, export the trail and verify it.",
        told_at=now,
    )


def of_refusal(event: CheckpointRefused, *, source: str) -> Evidence:
    """Return the evidence that a service was shown a checkpoint which cannot be."""
    known = "none" if event.known is None else str(event.known)
    return _evidence(
        subject=witness_subject(source),
        problem=Problem.AUDIT_BROKEN,
        key="refusal",
        name=f"{source} refuses checkpoint {event.number}",
        reason=clean(f"{event.reason} The last that {source} has co-signed is {known}."),
        next_step="Export the trail and verify it with the published keys, and compare it with earlier exports: it was changed, "
        "restored from an old copy, or somebody else has sent this.",
        told_at=event.refused_at,
    )


def of_broken_segment(number: int, *, fault: str, now: datetime) -> Evidence:
    """Return the evidence that entries are not as they were signed."""
    return _evidence(
        subject=CHAIN,
        problem=Problem.AUDIT_BROKEN,
        key=f"segment/{number}",
        name=_NAMED,
        reason=clean(f"Checkpoint {number}: {fault}."),
        next_step="Export the trail and verify it: it names every fault. Compare it with earlier exports, or with what a SIEM "
        "has been sent, to see what was changed.",
        told_at=now,
        outgoing=f"segment/{number}",
    )


def over(subject: str, *, what: str = "", at: datetime) -> Replacement:
    """Return the observation that ends what was told before of a subject, or of one part of it."""
    return Replacement(subject=subject, outgoing=what, fingerprint="", observed_at=at)


def _is_old(since: datetime | None, *, now: datetime) -> bool:
    return since is not None and now - since >= PATIENCE


def _evidence(
    *,
    subject: str,
    problem: Problem,
    key: str,
    name: str,
    reason: str,
    next_step: str,
    told_at: datetime,
    outgoing: str | None = None,
) -> Evidence:
    return Evidence(
        subject=subject,
        lineage_id=None,
        problem=problem,
        key=key,
        name=name,
        fingerprint=None,
        outgoing=outgoing,
        severity=Severity.CRITICAL,
        told_at=told_at,
        details=Details(reason=reason, next_step=next_step),
    )
