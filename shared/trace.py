"""W3C trace context: one trace id from the first request to the last event it caused.

The `traceparent` header (https://www.w3.org/TR/trace-context/) is read at the doors, kept in a
context variable, written to every log line and carried by every event.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# All zeros is no id (W3C Trace Context §3.2.2.3, §3.2.2.4).
_SHAPE = re.compile(r"00-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def traceparent() -> str:
    """Return the traceparent in force, starting a new trace where there is none."""
    value = _current.get()
    if value is None:
        value = _fresh()
        _current.set(value)
    return value


def trace_id() -> str:
    """Return the 32 hexadecimal digits of the trace in force."""
    return traceparent().split("-")[1]


@contextmanager
def following(header: str | None) -> Iterator[None]:
    """Go on with the trace of a received header; a missing or broken one starts a new trace."""
    match = _SHAPE.fullmatch(header or "")
    value = f"00-{match['trace']}-{os.urandom(8).hex()}-01" if match else _fresh()
    token = _current.set(value)
    try:
        yield
    finally:
        _current.reset(token)


def _fresh() -> str:
    return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"
