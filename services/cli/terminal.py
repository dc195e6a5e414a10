"""What commands say to people, and how a stranger's text is made harmless first."""

import sys


def say(line: str) -> None:
    """Say a line on standard error: results alone go to standard output."""
    print(line, file=sys.stderr)  # noqa: T201 - this is where a program speaks


def plain(text: str) -> str:
    """Return what a stranger has written as text that can do nothing to a terminal."""
    from rich.markup import escape  # noqa: PLC0415 - only a terminal needs it

    return escape("".join(each if each.isprintable() else "?" for each in text))
