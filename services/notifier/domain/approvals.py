"""How urgent it is that people decide on something, and whose word an outside system may pass on."""

from collections.abc import Collection, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from services.notifier.domain.alerts import Details, Evidence, Problem, Replacement
from services.notifier.domain.evidence import display_name
from services.notifier.domain.text import clean, clean_all, instant
from shared.errors import Conflict, Forbidden
from shared.events.approvals import ApprovalOutcome, Asked, Settled
from shared.events.notifier import Severity

_BY_REMINDER = (Severity.WARNING, Severity.ERROR, Severity.CRITICAL)
_MOST_NAMES = 50
_MOST_WORDS = 1000


class KnownApprover(BaseModel):
    """Somebody as an outside system knows them, and the principal that they are here."""

    model_config = ConfigDict(frozen=True)

    external: str
    principal: str
    roles: tuple[str, ...] = ()


def approver_of(approvers: Sequence[KnownApprover], external: str) -> KnownApprover:
    """Return who somebody is here. Raises `Forbidden` where the hook does not know them."""
    for each in approvers:
        if each.external.casefold() == external.casefold():
            return each
    raise Forbidden(
        f"The hook does not know {clean(external)!r}.",
        next_step="Name them among the `approvers` of the hook, with the principal that they are here.",
    )


def check_waiting(details: Details | None, *, digest: str) -> None:
    """Raise `Conflict` where nothing waits, or something else does. `details` are those of the open alert."""
    if details is None:
        raise Conflict(
            "No such approval waits here.",
            next_step="Look whether it is decided already; else try again shortly.",
        )
    if details.digest != digest:
        raise Conflict(
            "What waits for approval is not what was decided on.",
            next_step="Show people what waits now, and have them decide on its digest.",
        )


def of_awaiting(event: Asked, *, told_at: datetime) -> Evidence:
    """Return the evidence that people have to decide: more urgent with each of the first two reminders."""
    severity = _BY_REMINDER[min(event.reminder, len(_BY_REMINDER) - 1)]
    return _evidence(
        event.approval_id,
        # Who decides is told; where that is nobody in particular, who owns what it is about.
        lineage_id=None if event.approver_groups else event.lineage_id,
        name=display_name(event.names),
        severity=severity,
        told_at=told_at,
        details=Details(
            names=clean_all(event.names[:_MOST_NAMES]),
            reason=clean(f"{event.summary} Asked for by {event.requested_by}.", most=_MOST_WORDS),
            next_step=_what_to_do(event),
            approval_id=event.approval_id,
            digest=event.digest,
        ),
    )


def of_override(event: Settled, *, lineage_id: str | None, details: Details) -> Evidence | None:
    """Return the evidence that it was done without approval; None where it was not."""
    if event.outcome is not ApprovalOutcome.OVERRIDDEN:
        return None
    told = details.model_copy(
        update={
            "reason": clean(event.reason, most=_MOST_WORDS),
            "next_step": "Look whether it had to be: who has done it, and why, is on record with the approval.",
        }
    )
    return _evidence(
        event.approval_id,
        lineage_id=lineage_id,
        name=None,
        severity=Severity.CRITICAL,
        told_at=event.settled_at,
        details=told,
    )


def end_of(event: Settled) -> Replacement:
    """Return the observation that nothing waits any more."""
    return Replacement(
        subject=approval_subject(event.approval_id),
        outgoing="",
        fingerprint="",
        observed_at=event.settled_at,
    )


def _evidence(
    approval_id: str,
    *,
    lineage_id: str | None,
    name: str | None,
    severity: Severity,
    told_at: datetime,
    details: Details,
) -> Evidence:
    return Evidence(
        subject=approval_subject(approval_id),
        lineage_id=lineage_id,
        problem=Problem.AWAITING_APPROVAL,
        key=approval_id,
        name=name,
        fingerprint=None,
        outgoing=None,
        severity=severity,
        told_at=told_at,
        details=details,
    )


def approval_subject(approval_id: str) -> str:
    """Return the subject of alerts about an approval."""
    return f"approval/{approval_id}"


def _what_to_do(event: Asked) -> str:
    left = max(event.needed - event.granted, 0)
    who = _who(event.approver_groups)
    return clean(
        f"{left} of {who} must agree by {instant(event.expires_at)}, none of them who asks: "
        f"POST {event.where}/{event.approval_id}/decisions with the digest.",
        most=_MOST_WORDS,
    )


def _who(groups: Collection[str]) -> str:
    return ", ".join(groups) if groups else "those who may approve"
