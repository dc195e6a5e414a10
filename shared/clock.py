"""The one place that reads the clock. Doors call it and hand `now` down as an argument."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, PlainSerializer, WithJsonSchema

Clock = Callable[[], datetime]


def _written_out(value: object) -> object:
    """Refuse what is a number, be it as a text: seconds since 1970 are no instant in a contract."""
    try:
        float(str(value))
    except ValueError:
        return value
    msg = "an instant is written as 2026-11-23T08:30:00Z"
    raise ValueError(msg)


WrittenOut = BeforeValidator(_written_out)
"""For an instant that a caller sends: it is a text (RFC 3339), as the contract says, and no number."""
Moment = Annotated[AwareDatetime, WrittenOut]
"""An instant that a caller sends, with an offset."""


def in_iso(span: timedelta) -> str:
    """Return a span that is not negative as ISO 8601 has it, in days and below: 400 days are `P400D`.

    How long a year or a month is depends on which, so none is written; and no unit is left out between two that are
    there (RFC 3339, appendix A): 3630 seconds are `PT1H0M30S`.
    """
    minutes, seconds = divmod(span.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{span.microseconds:06d}".rstrip("0") if span.microseconds else ""
    parts = [(hours, f"{hours}H"), (minutes, f"{minutes}M"), (seconds or fraction, f"{seconds}{fraction}S")]
    there = [at for at, (amount, _) in enumerate(parts) if amount]
    time = "T" + "".join(text for _, text in parts[there[0] : there[-1] + 1]) if there else ""
    days = f"{span.days}D" if span.days or not time else ""
    return f"P{days}{time}"


Duration = Annotated[
    timedelta,
    PlainSerializer(in_iso, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "duration"}),
]
"""A span in a contract, as `in_iso` writes it; whatever else is ISO 8601 is taken too."""


def utc_now() -> datetime:
    """Return the present instant, aware, in UTC."""
    return datetime.now(UTC)
