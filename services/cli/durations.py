"""Durations as people write them: `90s`, `10m`, `12h`, `14d`, `2w`."""

import re
from datetime import timedelta

import typer

_DURATION = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(text: str) -> timedelta:
    """Read one."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no duration. Write 90s, 10m, 12h, 14d or 2w.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
