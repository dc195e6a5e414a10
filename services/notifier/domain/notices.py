"""What people are told: the words of an alert at one turn of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.notifier.domain.alerts import Details, Problem
from services.notifier.domain.text import clean, counted, instant, span
from shared.events.notifier import Severity

MOST_PLACES = 50
_LONGEST = 400


class Turn(StrEnum):
    """What can happen to an alert. Channels hear of it as opened, raised or resolved."""

    OPENED = "opened"
    RAISED = "raised"
    RESOLVED = "resolved"
    CROSSED = "crossed"
    """A threshold of a rule, without being more severe; channels are told as of an alert that was raised."""
    ESCALATED = "escalated"
    """Nobody has taken it up, and others are told."""
    REPEATED = "repeated"
    """It is told again."""
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    MUTED = "muted"
    WOKEN = "woken"
    """Its silence was ended."""
    NOTED = "noted"
    TEST = "test"
    """Not a turn of an alert: somebody tries a channel."""
    DIGEST = "digest"
    """Not a turn of one alert: many are told in one notice."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A line of a notice, or several under one label."""

    label: str
    texts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One telling of one turn, the same at every try of it. `id` never changes for one delivery."""

    id: str
    alert_id: str
    number: int
    """The turn's number within its alert; the first is 1."""
    turn: Turn
    problem: str
    severity: Severity
    headline: str
    details: Details
    lineage_id: str | None = None
    fingerprint: str | None = None
    opened_at: datetime
    at: datetime
    link: str | None = None

    @property
    def title(self) -> str:
        """Return the line that people see first."""
        return f"[Everleaf] {self._stamp()}: {self.headline}"

    def _stamp(self) -> str:
        if self.turn in (Turn.RESOLVED, Turn.TEST):
            return self.turn.upper()
        return self.severity.upper()

    def facts(self) -> tuple[Fact, ...]:
        """Return what is worth knowing, in reading order."""
        return tuple(Fact(label=label, texts=texts) for label, texts in self._rows() if any(texts))

    def _rows(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        details = self.details
        yield "In all", details.counts
        yield "Most urgent", details.urgent
        yield "Names", details.names
        yield "Expires", (instant(details.not_after),) if details.not_after else ()
        yield "Issued by", (details.issuer or "",)
        yield "Owner", (details.owner or "",)
        yield "Target", (details.target or "",)
        yield "Policy", (details.policy or "",)
        yield "Failed step", (details.step or "",)
        yield "Reason", (details.reason or "",)
        yield "Attempt", (_attempts(details),)
        yield "Approval", (details.approval_id or "",)
        yield "Digest", (details.digest or "",)
        yield "Places", _places(details)
        yield "What to do", (details.next_step if self.turn is not Turn.RESOLVED else "",)
        yield "Since", (instant(self.opened_at) if self.turn is not Turn.DIGEST else "",)
        yield "Fingerprint (SHA-256)", (self.fingerprint or "",)


def _attempts(details: Details) -> str:
    if details.attempt is None:
        return ""
    again = details.next_attempt_at
    return f"{details.attempt}; " + (f"the next is at {instant(again)}" if again else "there is no next one")


def _places(details: Details) -> tuple[str, ...]:
    shown = details.places[:MOST_PLACES]
    more = details.place_count - len(shown)
    return (*shown, f"… and {more} more") if more > 0 else shown


_PLAIN: Mapping[str, tuple[str, str]] = {
    Problem.CHANNEL_DEAD: ("The channel {name} does not deliver", "The channel {name} delivers again"),
    Problem.SOURCE_UNREAD: (
        "The source {name} cannot be read",
        "Nothing is wrong with the source {name} any more",
    ),
    Problem.KEY_EXPOSED: (
        "{name}: everybody on the host may read the private key",
        "{name}: the private key is not exposed any more",
    ),
    Problem.KEY_MISMATCH: (
        "{name}: the private key is not the certificate's",
        "{name}: the private key is the certificate's",
    ),
    Problem.KEY_REPLACEABLE: (
        "{name}: everybody on the host may replace the private key",
        "{name}: the private key cannot be replaced by everybody any more",
    ),
    Problem.KEY_SHARED: (
        "{name}: the private key is on other hosts too",
        "{name}: the private key is on no other host any more",
    ),
    Problem.NOT_CONFIGURED: (
        "{name} serves a certificate that no known configuration names",
        "{name}: what is served there is configured, or gone",
    ),
    Problem.NOT_SERVED: (
        "{name} is configured, and another certificate is served",
        "{name}: what is configured is served, or gone",
    ),
    Problem.UNOWNED: (
        "{name} in use without an owner",
        "Every certificate in use has an owner",
    ),
    Problem.AUTHORITY_EXPIRING: (
        "The issuer {name} ends soon",
        "Nothing in use is under the issuer {name} any more",
    ),
    Problem.REVOKED: (
        "{name} is revoked, and in use",
        "{name}: the new certificate was seen at every place",
    ),
    Problem.REVOCATION_FAILED: (
        "{name} could not be revoked, or is not seen to be",
        "{name} is revoked",
    ),
    Problem.AWAITING_APPROVAL: ("{name} waits for approval", "{name} does not wait for approval any more"),
    Problem.ROLLOUT_STOPPED: (
        "The rollout of {name} has stopped",
        "The rollout of {name} goes on, or is over",
    ),
    Problem.DRIFTED: (
        "{name}: somebody else has put another certificate there",
        "{name}: the certificate that belongs there is in its place",
    ),
    Problem.AUDIT_INCOMPLETE: (
        "Changes of {name} are missing from the audit trail",
        "No change of {name} is missing from the audit trail",
    ),
    Problem.AUDIT_BROKEN: ("The audit trail cannot be trusted: {name}", "The audit trail holds: {name}"),
    Problem.NONCOMPLIANT: ("{name} breaks a policy", "{name} does not break the policy any more"),
}
"""What is said of a problem that is no lineage's, while it lasts and when it is over."""


def headline(problem: str, *, name: str, details: Details, now: datetime) -> str:
    """Return one sentence that says what is wrong, as seen at `now`."""
    match problem:
        case Problem.EXPIRING | Problem.AUTHORITY_EXPIRING if details.not_after is not None:
            who = name if problem == Problem.EXPIRING else f"The issuer {name}"
            return f"{who} {_expiry(details.not_after, now=now)}"
        case Problem.STALE:
            verb = "serves" if details.place_count == 1 else "serve"
            return f"{name}: {counted(details.place_count, 'place')} still {verb} the old certificate"
        case Problem.RENEWAL_FAILED:
            return f"{name} could not be renewed (attempt {details.attempt})"
        case Problem.DEPLOYMENT_FAILED:
            return f"{name} could not be put in place on {details.target} (attempt {details.attempt})"
        case Problem.NONCOMPLIANT if details.policy:
            return clean(f"{name} breaks {details.policy}: {'; '.join(details.broken)}", most=_LONGEST)
        case _:
            wrong, _ = _PLAIN.get(problem, (f"{{name}}: {problem}", ""))
            return wrong.format(name=name)


def resolved_headline(problem: str, *, name: str) -> str:
    """Return one sentence that says that it is over."""
    _, over = _PLAIN.get(problem, ("", "{name}: the new certificate was seen at every place"))
    return over.format(name=name)


def _expiry(not_after: datetime, *, now: datetime) -> str:
    if not_after > now:
        return f"expires in {span(not_after - now)}"
    return f"expired {span(now - not_after)} ago"


def trial_notice(notice_id: str, *, channel: str, caller: str, link: str | None, now: datetime) -> Notice:
    """Return what a test of a channel tells."""
    return Notice(
        id=notice_id,
        alert_id=notice_id,
        number=1,
        turn=Turn.TEST,
        problem="none",
        severity=Severity.INFO,
        headline=f"a test of the channel {channel}",
        details=Details(next_step=f"Nothing: {caller} asked for this to see that the channel works."),
        opened_at=now,
        at=now,
        link=link,
    )
