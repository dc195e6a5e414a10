"""Whether something is tried again, and after how long: decided without a clock of its own or a network."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from everleaf.calls import Call

PROBLEM = "application/problem+json"
_TOO_MANY = 429
_REFUSED = 502
_AGAIN = {502, 503, 504}


@dataclass(frozen=True, kw_only=True)
class Retries:
    """How often, and how patiently, what did not work is tried again.

    Waits double from `first` up to `longest` seconds, each shortened by chance so that many clients do
    not come back at once; what `Retry-After` says counts for more, up to `patience`.
    """

    times: int = 4
    first: float = 0.5
    longest: float = 20
    patience: float = 120

    def wait(
        self, attempt: int, call: Call[Any], outcome: httpx.Response | httpx.TransportError
    ) -> float | None:
        """Return the seconds until the next attempt, `attempt` being the first's 0; None where there is none.

        What may be done twice by being sent twice is sent again only where it surely was not taken:
        nobody answered at the address, or it was turned away for coming too often.
        """
        if attempt >= self.times or not _may_be_sent_again(call, outcome):
            return None
        said = _said(outcome) if isinstance(outcome, httpx.Response) else None
        if said is None:
            return min(self.longest, self.first * 2.0**attempt) * random.uniform(0.5, 1)  # noqa: S311 - spreads load, keeps no secret
        return said if said <= self.patience else None


def _may_be_sent_again(call: Call[Any], outcome: httpx.Response | httpx.TransportError) -> bool:
    if isinstance(outcome, httpx.Response):
        return outcome.status_code == _TOO_MANY or (call.is_repeatable and _may_pass(outcome))
    return call.is_repeatable or isinstance(outcome, httpx.ConnectError | httpx.ConnectTimeout)


def _may_pass(answer: httpx.Response) -> bool:
    if answer.status_code == _REFUSED and answer.headers.get("Content-Type", "").startswith(PROBLEM):
        return False  # an outside system has refused: only a gateway's own 502 may pass
    return answer.status_code in _AGAIN


def _said(answer: httpx.Response) -> float | None:
    """Return what `Retry-After` says, in seconds (RFC 9110 §10.2.3: a number or a date)."""
    text = answer.headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (until - datetime.now(UTC)).total_seconds()) if until.tzinfo else None
