"""The one place that reads the clock. Doors call it and hand `now` down as an argument."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator

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


def utc_now() -> datetime:
    """Return the present instant, aware, in UTC."""
    return datetime.now(UTC)
