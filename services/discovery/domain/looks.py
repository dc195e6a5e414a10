"""How thoroughly, and how fast, places are looked at."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

from services.discovery.domain.limits import Limits


class Reach(StrEnum):
    """How far a look goes."""

    FAST = "fast"
    """The chain, and what is negotiated at the highest version."""
    FULL = "full"
    """Also everything else that would be: versions, suites, groups, the other certificate."""


@dataclass(kw_only=True)
class Sharers:
    """How many look at the places of the same scan at this moment; whoever counts them says so."""

    number: int = 1


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
    sharers: Sharers = field(default_factory=Sharers)

    def share(self) -> "LookOptions":
        """Return the limits of one of the sharers: together they keep those of the scan."""
        number = self.sharers.number
        if number <= 1:
            return self
        return replace(
            self,
            concurrency=max(1, self.concurrency // number),
            rate=self.rate / number if self.rate is not None else None,
            per_host=_part(self.per_host, number),
            per_network=_part(self.per_network, number),
        )


def _part(limit: int | None, number: int) -> int | None:
    return None if limit is None else max(1, limit // number)
