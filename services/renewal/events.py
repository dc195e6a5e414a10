"""What renewal says, and what it does when others say something."""

from typing import Any

from services.renewal.actions.enrolments import Enrolments
from shared.clock import Clock
from shared.events import Event
from shared.events.inventory import CertificateExpiring, CertificateReplaced, LineagesGrouped
from shared.events.renewal import CertificateRenewed, LineageEnrolled, LineageWithdrawn, RenewalFailed
from shared.reactions import Reaction
from shared.store import Transaction

EMITS = (CertificateRenewed, LineageEnrolled, LineageWithdrawn, RenewalFailed)


def reactions(enrolments: Enrolments, *, clock: Clock) -> tuple[Reaction[Any], ...]:
    """Return the table of event and action."""

    async def expiring(tx: Transaction, event: Event[CertificateExpiring]) -> None:
        await enrolments.expiring(tx, event.data, now=clock())

    async def replaced(tx: Transaction, event: Event[CertificateReplaced]) -> None:
        await enrolments.replaced(tx, event.data, now=clock())

    async def grouped(tx: Transaction, event: Event[LineagesGrouped]) -> None:
        await enrolments.grouped(tx, event.data, at=event.time)

    return (
        Reaction(CertificateExpiring, expiring),
        Reaction(CertificateReplaced, replaced),
        Reaction(LineagesGrouped, grouped),
    )
