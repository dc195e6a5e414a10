"""Decides whether an authority may be asked now: its limits, a way out, and that nothing is renewed round and round."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from urllib.parse import urlsplit

LOOP_MOST = 3
"""So many renewals of one lineage that were not seen in place, within `loop_window`, are a loop."""
_LOOP_LONGEST = timedelta(days=7)
ORDERS, SAME_NAMES = "orders were placed", "orders for the same names were placed"
FAILURES = "attempts at one of its names have failed"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """At most so many within any window of this length."""

    most: int
    window: timedelta


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What may be asked of an authority; None where there is no limit."""

    orders: Limit | None = None
    same_names: Limit | None = None
    """Orders for exactly the same set of names."""
    failures: Limit | None = None
    """Failed attempts at one name: then nothing is tried for it for a while."""
    exempts_replacements: bool = False
    """Whether the authority does not count orders that say what they replace (RFC 9773 §5)."""

    @property
    def longest(self) -> timedelta:
        """The longest window there is."""
        limits = (self.orders, self.same_names, self.failures)
        return max((each.window for each in limits if each is not None), default=timedelta())


LETS_ENCRYPT = Budget(
    orders=Limit(most=300, window=timedelta(hours=3)),
    same_names=Limit(most=5, window=timedelta(days=7)),
    failures=Limit(most=5, window=timedelta(hours=1)),
    exempts_replacements=True,
)
"""https://letsencrypt.org/docs/rate-limits/: per account, per exact set of names, per name and account."""
UNLIMITED = Budget()
PUBLIC_ACME = (
    "letsencrypt.org",
    "api.buypass.com",
    "dv.acme-v02.api.pki.goog",
    "acme.zerossl.com",
    "acme.ssl.com",
    "acme.sectigo.com",
    "acme.digicert.com",
)
"""Hosts, and what is below them, whose ACME authorities browsers trust."""


def is_public_directory(url: str) -> bool:
    """Return whether an ACME directory is one of those that browsers trust."""
    host = (urlsplit(url).hostname or "").lower()
    return any(host == known or host.endswith(f".{known}") for known in PUBLIC_ACME)


def names_key(names: Sequence[str]) -> str:
    """Return what the same set of names is counted by."""
    return sha256(" ".join(sorted(names)).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Spent:
    """When an authority was asked, oldest first, within the windows of its budget."""

    orders: Sequence[datetime] = ()
    same_names: Sequence[datetime] = ()
    failures: Sequence[datetime] = ()
    waiting: int = 0
    """Other orders that wait for it already: each gets a turn of its own, or all would come at once."""


@dataclass(frozen=True, kw_only=True)
class Wait:
    """It may not be asked before then, and why."""

    until: datetime
    reason: str


def afford(budget: Budget, spent: Spent, *, replaces: bool, now: datetime) -> Wait | None:
    """Return None where an order may be placed now, else until when it waits and why.

    A replacement that the authority does not count is placed whatever was spent; names that keep failing wait even then.
    """
    waits = [_wait(FAILURES, budget.failures, spent.failures, now=now)]
    if not (replaces and budget.exempts_replacements):
        waits.append(_wait(ORDERS, budget.orders, spent.orders, behind=spent.waiting, now=now))
        waits.append(_wait(SAME_NAMES, budget.same_names, spent.same_names, now=now))
    return max((each for each in waits if each is not None), key=lambda wait: wait.until, default=None)


def _wait(
    what: str, limit: Limit | None, at: Sequence[datetime], *, behind: int = 0, now: datetime
) -> Wait | None:
    recent = [each for each in at if limit is not None and each > now - limit.window]
    if limit is None or len(recent) < limit.most:
        return None
    # The next place is free when the oldest of the last `most` leaves the window; those that wait take one each.
    rounds, place = divmod(behind, limit.most)
    until = recent[-limit.most :][place] + limit.window * (1 + rounds)
    return Wait(
        until=until,
        reason=f"{len(recent)} {what} within {limit.window}, and {limit.most} are what its budget allows.",
    )


def loop_window(lifetime: timedelta) -> timedelta:
    """Return the time in which renewals are counted: half of a lifetime holds one, and a week is long enough."""
    return min(lifetime / 2, _LOOP_LONGEST)


def is_loop(renewed_unseen: int) -> bool:
    """Return whether a lineage was renewed so often without being seen in place that something is wrong there."""
    return renewed_unseen >= LOOP_MOST


FALLBACK_AFTER = 3
"""Failed attempts, before another authority is asked."""


def falls_back(*, failed: int, is_final: bool, left: timedelta | None, lifetime: timedelta | None) -> bool:
    """Return whether to ask the fallback authority after so many failures, the last of them a plain no (`is_final`) or not.

    It is asked where less than a sixth of the lifetime is left, half of what a renewal begins with; where no
    certificate runs out, or its time is not known, failing is enough.
    """
    if failed < FALLBACK_AFTER and not is_final:
        return False
    return left is None or lifetime is None or left <= lifetime / 6
