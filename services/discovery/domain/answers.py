"""What looking at a place can come to."""

from enum import StrEnum


class Outcome(StrEnum):
    """What became of one place that was asked."""

    TLS = "tls"
    NO_TLS = "no_tls"
    """Something answered, and it was not TLS."""
    REFUSED = "refused"
    SILENT = "silent"
    """Nobody answered in time."""
    EXCLUDED = "excluded"
    """Not asked, because the operator's lists say so."""
    FAILED = "failed"
    """It could not be reached, or what it sent could not be read; the reason says why."""
