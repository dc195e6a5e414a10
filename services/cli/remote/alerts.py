"""`everleaf alerts`: what somebody should look at."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from everleaf import Call, Listing
from everleaf.contracts import notifier
from services.cli.durations import duration
from services.cli.remote.commands import does, lists

app = typer.Typer(help="Alerts: what somebody should look at.")

Alert = Annotated[str, typer.Argument(metavar="ALERT", help="Its id.")]
Note = Annotated[str, typer.Option(help="What others should know.")]


@lists(
    app,
    {
        "ID": "id",
        "SEVERITY": "severity",
        "PROBLEM": "problem",
        "SUMMARY": "summary",
        "OPENED": "opened_at",
        "SEEN BY": "acknowledged_by",
    },
)
def alerts(
    *,
    resolved: Annotated[bool, typer.Option("--resolved", help="Those that are over, instead.")] = False,
    severity: Annotated[notifier.Severity | None, typer.Option()] = None,
    problem: Annotated[notifier.ProblemInput | None, typer.Option()] = None,
) -> Listing[notifier.AlertView]:
    """List open alerts."""
    return notifier.list_alerts(state="resolved" if resolved else "open", severity=severity, problem=problem)


@does(app, "show")
def show(alert: Alert) -> Call[notifier.AlertStory]:
    """Show an alert: what happened, and who was told."""
    return notifier.get_alert(alert)


@does(app, "acknowledge")
def acknowledge(alert: Alert, *, note: Note = "") -> Call[notifier.AlertStory]:
    """Say that you look after it."""
    return notifier.acknowledge_alert(alert, {"note": note})


@does(app, "snooze")
def snooze(
    alert: Alert,
    *,
    for_: Annotated[timedelta, typer.Option("--for", parser=duration, metavar="DURATION", help="As 8h.")],
    note: Note = "",
) -> Call[notifier.AlertStory]:
    """Tell nobody of it for a while."""
    return notifier.snooze_alert(alert, {"until": (datetime.now(UTC) + for_).isoformat(), "note": note})


@does(app, "mute")
def mute(alert: Alert, *, reason: Annotated[str, typer.Option()]) -> Call[notifier.AlertStory]:
    """Tell nobody of it any more."""
    return notifier.mute_alert(alert, {"reason": reason})


@does(app, "wake")
def wake(alert: Alert) -> Call[notifier.AlertStory]:
    """Tell of it again."""
    return notifier.wake_alert(alert)
