"""Many alerts in one notice: how many, how bad, and the worst of them by name."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from services.notifier.domain.alerts import AlertState, Details, worst
from services.notifier.domain.notices import Notice, Turn
from services.notifier.domain.text import clean, counted
from shared.events.notifier import Severity

MOST_SHOWN = 20
_LONGEST = 300
_BEST_FIRST = tuple(Severity)
_FAR = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Member:
    """An alert as it is when the digest is made."""

    alert_id: str
    severity: Severity
    problem: str
    state: AlertState
    summary: str
    not_after: datetime | None


class Digest(BaseModel):
    """What a digest says; kept as it was made, so that it is the same at every try."""

    model_config = ConfigDict(frozen=True)

    headline: str
    severity: Severity
    counts: tuple[str, ...]
    urgent: tuple[str, ...]
    made_at: datetime

    def notice(self, notice_id: str, *, link: str | None) -> Notice:
        """Return it as what a channel sends."""
        details = Details(
            counts=self.counts,
            urgent=self.urgent,
            next_step="Open the list of alerts, and begin with these.",
        )
        return Notice(
            id=notice_id,
            alert_id=notice_id,
            number=1,
            turn=Turn.DIGEST,
            problem="digest",
            severity=self.severity,
            headline=self.headline,
            details=details,
            opened_at=self.made_at,
            at=self.made_at,
            link=link,
        )


def digest(members: Sequence[Member], *, now: datetime) -> Digest:
    """Return the digest of at least one alert, each once: what is open by urgency, then what is over."""
    still = [each for each in members if each.state is AlertState.OPEN]
    over = len(members) - len(still)
    counts = Counter(each.severity for each in still)
    lines = [f"{counts[severity]} {severity}" for severity in reversed(_BEST_FIRST) if counts[severity]]
    problems = Counter(each.problem for each in still).most_common()
    shown = sorted(still, key=_urgency)[:MOST_SHOWN]
    more = len(still) - len(shown)
    urgent = [clean(f"{each.severity.upper()}: {each.summary}", most=_LONGEST) for each in shown]
    return Digest(
        headline=_headline(len(still), over=over),
        severity=worst([each.severity for each in still] or [Severity.INFO]),
        counts=(
            *lines,
            *(f"{problem}: {count}" for problem, count in problems),
            *([f"{over} over since"] if over else []),
        ),
        urgent=(*urgent, *([f"… and {more} more"] if more else [])),
        made_at=now,
    )


def _headline(still: int, *, over: int) -> str:
    if not still:
        return f"{counted(over, 'alert')} resolved"
    return counted(still, "alert") + (f", and {over} resolved" if over else "")


def _urgency(member: Member) -> tuple[int, datetime, str]:
    return -_BEST_FIRST.index(member.severity), member.not_after or _FAR, member.summary
