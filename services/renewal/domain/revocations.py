"""Decides what becomes of a revocation: when it begins, when it is tried again, and when it is seen to hold."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.errors import Conflict, Invalid

LONGEST_WAIT = timedelta(days=1)
FIRST_LOOK = timedelta(minutes=1)
"""After the authority has taken it; each further look comes after twice as long, up to a day."""
GIVE_UP_LOOKING = timedelta(days=8)
"""A CRL may be a week old (BR §4.9.7), and one day more is patience."""


class RevocationState(StrEnum):
    """Where a revocation is."""

    AWAITING_REPLACEMENT = "awaiting_replacement"
    AWAITING_APPROVAL = "awaiting_approval"
    PENDING = "pending"
    REVOKED = "revoked"
    """The authority has taken it; that clients hear of it is not seen yet."""
    CONFIRMED = "confirmed"
    """Its CRL or its OCSP responder was seen to say so."""
    UNCONFIRMED = "unconfirmed"
    """The authority has taken it, and nobody can or does say so."""
    FAILED = "failed"


WORKED_ON = (RevocationState.PENDING, RevocationState.REVOKED)
"""Workers take these up."""
RETRIED = (
    RevocationState.PENDING,
    RevocationState.FAILED,
    RevocationState.UNCONFIRMED,
    RevocationState.REVOKED,
)


class Start(StrEnum):
    """When a certificate is revoked."""

    NOW = "now"
    AFTER_REPLACEMENT = "after-replacement"
    """Once another was seen in every place of it."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a revocation is to begin with."""

    start: Start
    is_replaced: bool
    needs_approval: bool


def first_state(wish: Wish) -> RevocationState:
    """Return where a revocation begins."""
    if wish.start is Start.AFTER_REPLACEMENT and not wish.is_replaced:
        return RevocationState.AWAITING_REPLACEMENT
    return RevocationState.AWAITING_APPROVAL if wish.needs_approval else RevocationState.PENDING


def check_worth(*, not_after: datetime | None, now: datetime) -> None:
    """Raise `Invalid` where a certificate has ended: it is trusted no more, and CRLs leave it out (RFC 5280 §5)."""
    if not_after is not None and not_after <= now:
        raise Invalid(
            f"The certificate has ended at {not_after:%Y-%m-%d %H:%M} UTC.",
            next_step="Nothing is to be done: nobody takes it any more.",
        )


def check_again(state: RevocationState, *, start: Start) -> None:
    """Raise `Conflict` unless a revocation that is there waits for a replacement, and is to begin now instead."""
    if state is RevocationState.AWAITING_REPLACEMENT and start is Start.NOW:
        return
    raise Conflict(
        f"The certificate has a revocation already, which is {state}.",
        next_step="Look at it with GET /v1/revocations; one that has failed can be tried again.",
    )


def next_look(*, looks: int, now: datetime) -> datetime:
    """Return when to look again whether a revocation is to be seen."""
    return now + min(FIRST_LOOK * (1 << min(looks, 12)), LONGEST_WAIT)
