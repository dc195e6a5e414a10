"""Text from outside, made harmless: what a certificate or a server says never steers a mail or a page."""

import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta

_MOST = 253
"""Characters kept of a name: the longest DNS name (RFC 1035 §2.3.4)."""
_UNITS = ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute"))


def clean(text: str, *, most: int = _MOST) -> str:
    """Return text of one line: control and formatting characters (also bidirectional ones) replaced, cut at `most`."""
    shown = "".join(" " if _is_hidden(char) else char for char in text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def clean_all(texts: Iterable[str]) -> tuple[str, ...]:
    """Return each text cleaned."""
    return tuple(clean(text) for text in texts)


def _is_hidden(char: str) -> bool:
    category = unicodedata.category(char)
    return category.startswith("C") or category in ("Zl", "Zp")


def instant(at: datetime) -> str:
    """Write an instant for people."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def span(length: timedelta) -> str:
    """Write a positive duration in its largest unit, rounded down: `3 days`, `1 hour`, `less than a minute`."""
    for unit, name in _UNITS:
        if length >= unit:
            return counted(length // unit, name)
    return "less than a minute"


def counted(number: int, noun: str) -> str:
    """Write a number and its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
