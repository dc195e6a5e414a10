"""How often a wrong credential may be tried before nobody looks at it for a while."""

from collections import OrderedDict, deque
from datetime import datetime, timedelta

from shared.errors import TooMany

MOST = 10
WITHIN = timedelta(minutes=1)
REMEMBERED = 10_000
"""So many are remembered at once: guesses under ever new names must not fill the memory."""


class Attempts:
    """The failures of late, by who tried and what: in this process, since a key is too long to be guessed anyway.

    It is there against scripts that go on with a key that was revoked, and against the load of guessing.
    """

    def __init__(self) -> None:
        self._failures: OrderedDict[str, deque[datetime]] = OrderedDict()

    def check(self, who: str, *, now: datetime) -> None:
        """Raise `TooMany` where there were too many failures."""
        failures = self._failures.get(who)
        if failures is None:
            return
        while failures and failures[0] <= now - WITHIN:
            failures.popleft()
        if len(failures) >= MOST:
            raise TooMany(
                f"This credential was refused {MOST} times within {WITHIN.total_seconds():.0f} seconds.",
                next_step="Correct it, and wait as long as `Retry-After` says.",
                retry_after=failures[0] + WITHIN - now,
            )

    def failed(self, who: str, *, now: datetime) -> None:
        """Note a failure."""
        self._failures.setdefault(who, deque(maxlen=MOST)).append(now)
        self._failures.move_to_end(who)
        while len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)
