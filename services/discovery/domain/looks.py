"""How thoroughly, and how fast, places are looked at."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from services.discovery.domain.limits import Limits


class Reach(StrEnum):
    """How far a look goes."""

    FAST = "fast"
    """The chain, and what is negotiated at the highest version."""
    FULL = "full"
    """Also everything else that would be: versions, suites, groups, the other certificate."""


@dataclass(frozen=True, kw_only=True)
class LookOptions:
    """`timeout` bounds each connection as a whole; the rest bounds how many there are, and to whom."""

    timeout: timedelta = timedelta(seconds=3)
    concurrency: int = 1000
    """Connections at a time."""
    rate: float | None = None
    """New connections per second."""
    per_host: int | None = 10
    """Connections at a time to one address …"""
    per_network: int | None = 256
    """… and to one /24 or /64."""
    limits: Limits = field(default_factory=Limits)
    reach: Reach = Reach.FAST
