"""How bad it is that a rollout has stopped, or that somebody else has changed a bound slot."""

from services.notifier.domain.alerts import Details, Evidence, Problem, Replacement
from services.notifier.domain.text import clean
from shared.events.notifier import Severity
from shared.events.provisioner import BindingDrifted, BindingSettled, RolloutChanged

STOPPED = "stopped"
_MOST_WORDS = 1000


def of_rollout(event: RolloutChanged) -> Evidence | None:
    """Return the evidence that a rollout waits for a person; None where it does not."""
    if event.state != STOPPED:
        return None
    return Evidence(
        subject=rollout_subject(event.rollout_id),
        lineage_id=event.lineage_id,
        problem=Problem.ROLLOUT_STOPPED,
        key=event.rollout_id,
        name=None,
        fingerprint=event.fingerprint,
        outgoing=None,
        severity=Severity.ERROR,
        told_at=event.changed_at,
        details=Details(
            reason=clean(event.reason or "", most=_MOST_WORDS),
            next_step=clean(event.next_step or "", most=_MOST_WORDS),
        ),
    )


def end_of_stop(event: RolloutChanged) -> Replacement:
    """Return the observation that a rollout goes on, or is over."""
    return _end(rollout_subject(event.rollout_id), event)


def of_drift(event: BindingDrifted) -> Evidence:
    """Return the evidence that another certificate is where ours belongs: less urgent where it is put right by itself."""
    what_to_do = "Find out who has changed it, and deploy the binding's certificate again."
    if event.is_put_right:
        what_to_do = "Find out who has changed it: the right certificate is on its way there again."
    return Evidence(
        subject=binding_subject(event.binding_id),
        lineage_id=event.lineage_id,
        problem=Problem.DRIFTED,
        key=event.binding_id,
        name=clean(f"{event.slot} on {event.target}"),
        fingerprint=event.fingerprint,
        outgoing=None,
        severity=Severity.WARNING if event.is_put_right else Severity.ERROR,
        told_at=event.drifted_at,
        details=Details(
            target=clean(event.target),
            places=(clean(event.place),),
            place_count=1,
            reason=clean(f"{event.place} shows {event.found}.", most=_MOST_WORDS),
            next_step=what_to_do,
        ),
    )


def end_of_drift(event: BindingSettled) -> Replacement:
    """Return the observation that it is in its place again."""
    return _end(binding_subject(event.binding_id), event)


def rollout_subject(rollout_id: str) -> str:
    """Return the subject of alerts about a rollout."""
    return f"rollout/{rollout_id}"


def binding_subject(binding_id: str) -> str:
    """Return the subject of alerts about a binding."""
    return f"binding/{binding_id}"


def _end(subject: str, event: RolloutChanged | BindingSettled) -> Replacement:
    at = event.changed_at if isinstance(event, RolloutChanged) else event.settled_at
    # By its time alone: the same may happen again.
    return Replacement(subject=subject, outgoing="", fingerprint="", observed_at=at)
