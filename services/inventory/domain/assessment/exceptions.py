"""Exceptions: for what, for whom and until when a broken rule is let pass, and who has said so."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.errors import Conflict, Fault, Forbidden, Invalid

LONGEST = timedelta(days=366)
"""What must be let pass for longer is asked for again each year."""
LOOSE = timedelta(days=1)
"""How long it may take until it is noticed that something has come into a group or under a query, or left it."""


class ScopeKind(StrEnum):
    """What an exception is for."""

    GROUP = "group"
    CERTIFICATE = "certificate"
    PLACE = "place"
    QUERY = "query"


class ExceptionState(StrEnum):
    """How far an exception has come; one that is approved holds until its end."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, kw_only=True)
class Lifted:
    """An exception that holds."""

    id: str
    policy_id: str
    rule_id: str
    kind: ScopeKind
    value: str
    ends_at: datetime


def check_end(ends_at: datetime, *, now: datetime) -> None:
    """Raise `Invalid` where an exception would end in the past, or too late."""
    if not now < ends_at <= now + LONGEST:
        raise Invalid(
            "An exception ends within a year.",
            next_step=f"Give an `ends_at` after now and no more than {LONGEST.days} days ahead; ask again when it ends.",
            faults=[Fault(pointer="/body/ends_at", message=f"not within the next {LONGEST.days} days")],
        )


def check_decision(state: str, *, requested_by: str, decided_by: str) -> None:
    """Raise `Forbidden` where somebody decides about an own request, `Conflict` where it is decided already."""
    if state != ExceptionState.REQUESTED:
        raise Conflict(f"The exception is {state} already.", next_step="Ask for a new one.")
    if requested_by == decided_by:
        raise Forbidden(
            "Who asks for an exception does not decide about it.",
            next_step="Ask somebody else who may approve exceptions.",
        )
