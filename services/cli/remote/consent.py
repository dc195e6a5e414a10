"""Whether somebody agrees before something is done that cannot be taken back."""

import sys

import typer

from services.cli.terminal import say
from shared.errors import Invalid


def agreed(what: str, *, yes: bool) -> None:
    """Say what is meant, and return where a person agrees, or has agreed before by `--yes`. Raises `Invalid`."""
    say(what)
    if yes:
        return
    if not sys.stdin.isatty():
        raise Invalid("Nobody is here to agree.", next_step="Look at it first, then say --yes or --digest.")
    typer.confirm("Go on?", abort=True, err=True)
