"""Whether what an endpoint serves is configured anywhere that is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Front:
    """Addresses under which stores are served together, and how well their configuration is known."""

    id: str
    changed_at: datetime | None
    """When a certificate that was configured there was last seen to be so no more."""
    read_at: datetime | None
    """When the last complete reading of it began; empty where there was none."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What can be said; where it is not known, nothing is wrong as far as we know."""

    is_foreign: bool
    """No configuration there names the certificate."""
    is_awaited: bool
    """It is not known before the endpoint is looked at again."""


def judge(fronts: Sequence[Front], *, is_named: bool, first_seen: datetime, last_seen: datetime) -> Verdict:
    """Decide about an endpoint that is reached under these fronts.

    It is foreign only where every host that answers at the address was read completely since it began to serve the
    certificate, and it was looked at since their configuration has changed.
    """
    if is_named or not fronts:
        return Verdict(is_foreign=False, is_awaited=False)
    is_read = all(front.read_at is not None and front.read_at >= first_seen for front in fronts)
    is_looked_at = all(front.changed_at is None or last_seen >= front.changed_at for front in fronts)
    return Verdict(is_foreign=is_read and is_looked_at, is_awaited=is_read and not is_looked_at)
