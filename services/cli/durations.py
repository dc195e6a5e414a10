"""Durations as people write them: `90s`, `10m`, `12h`, `14d`, `2w`."""

import re
from datetime import timedelta

_DURATION = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def read(text: str) -> timedelta | None:
    """Return what a text means; nothing where it is no duration."""
    found = _DURATION.fullmatch(text)
    return None if found is None else timedelta(**{_UNITS[found[2]]: int(found[1])})


def duration(text: str) -> timedelta:
    """Read an option. Raises what Typer shows to whoever wrote it."""
    import typer  # noqa: PLC0415 - a scan that only reads `--fail-on` does not wait for it to be imported

    found = read(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no duration. Write 90s, 10m, 12h, 14d or 2w.")
    return found
