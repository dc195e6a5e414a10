"""What commands say to people, and how a stranger's text is made harmless first."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def say(line: str) -> None:
    """Say a line on standard error: results alone go to standard output."""
    print(line, file=sys.stderr)  # noqa: T201 - this is where a program speaks


def plain(text: str) -> str:
    """Return a stranger's text without what a terminal would obey."""
    return "".join(each if each.isprintable() else "?" for each in text)


def unmarked(text: str) -> str:
    """Return a stranger's text for `rich`, which would obey markup too."""
    from rich.markup import escape  # noqa: PLC0415 - only a terminal needs it

    return escape(plain(text))


@contextmanager
def until_nobody_reads() -> Iterator[None]:
    """Write to standard output until its reader goes away, as `head` does: then the program has done its work."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # No complaint, and nothing for the interpreter to flush at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
