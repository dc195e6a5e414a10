"""What EVERLEAF-MIB says, as numbers: which notification a notice is, and the values that go with it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from services.notifier.domain.notices import Notice, Turn
from shared.events.notifier import Severity

DOCUMENTATION = 32473
"""The enterprise number for examples (RFC 5612): it says that nobody has registered one here."""
_TEXT = Path(__file__).with_name("EVERLEAF-MIB.txt")
_LONGEST = 255
"""Octets of an SnmpAdminString (RFC 3411 §5)."""
_NOTIFICATIONS = {"opened": 1, "raised": 2, "resolved": 3, "acknowledged": 4, "test": 5, "digest": 6}
"""By the turn; any other turn tells that the alert still stands, as one that was raised does."""
_SEVERITIES = {Severity.INFO: 1, Severity.WARNING: 2, Severity.ERROR: 3, Severity.CRITICAL: 4}
_INTEGER = range(-(2**31), 2**31)

Oid = tuple[int, ...]
Value = str | int


def module(enterprise: int) -> str:
    """Return EVERLEAF-MIB under an enterprise number (`enterprises` is 1.3.6.1.4.1: RFC 2578 §2)."""
    text = _TEXT.read_text()
    return text.replace(f"{{ enterprises {DOCUMENTATION} }}", f"{{ enterprises {enterprise} }}")


def root(enterprise: int) -> Oid:
    """Return what `everleaf` is in the module."""
    return (1, 3, 6, 1, 4, 1, enterprise, 1)


def notification(notice: Notice, *, enterprise: int) -> Oid:
    """Return the notification that a notice is."""
    return (*root(enterprise), 0, _NOTIFICATIONS.get(notice.turn, _NOTIFICATIONS[Turn.RAISED]))


def unsigned(column: int) -> bool:
    """Return whether the object of this number is an Unsigned32, and no Integer32."""
    return column in (3, 11)


def objects(notice: Notice) -> Iterator[tuple[int, Value]]:
    """Yield number and value of each object, as the module numbers them."""
    details = notice.details
    left = int((details.not_after - notice.at).total_seconds()) if details.not_after else 0
    values: tuple[Value, ...] = (
        notice.id,
        notice.alert_id,
        notice.number,
        _SEVERITIES[notice.severity],
        notice.problem,
        notice.headline,
        " ".join(details.names),
        _instant(details.not_after),
        min(max(left, _INTEGER.start), _INTEGER.stop - 1),
        "; ".join(details.places),
        details.place_count,
        notice.fingerprint or "",
        details.owner or "",
        details.next_step if notice.turn is not Turn.RESOLVED else "",
        notice.link or "",
    )
    for number, value in enumerate(values, start=1):
        yield number, _fitted(value) if isinstance(value, str) else value


def _instant(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if at else ""


def _fitted(text: str) -> str:
    return text.encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")
