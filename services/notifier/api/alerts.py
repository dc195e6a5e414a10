"""Routes on alerts: what is wrong now, what was, and who has taken it up."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Query
from pydantic import AwareDatetime, Field

from services.notifier.actions.alerts import Alerts, Story
from services.notifier.api.deliveries import DeliveryView
from services.notifier.domain.alerts import AlertState, Details, Problem
from services.notifier.domain.notices import Turn
from shared.access import Principal, requires
from shared.clock import Clock
from shared.events.notifier import Severity
from shared.http import Body, Page, Paging, Routes, View, of_query

Reader = Annotated[Principal, requires("alerts:read")]
Writer = Annotated[Principal, requires("alerts:write")]


class AlertView(View):
    """A problem: open, or seen to be over."""

    id: str = Field(examples=["0191d7a2-8f4e-7c3b-9d5e-1f2a3b4c5d6e"])
    lineage_id: str | None
    fingerprint: str | None = Field(description="SHA-256 of the certificate in trouble.")
    problem: Problem = Field(examples=["expiring"])
    severity: Severity
    summary: str = Field(examples=["www.example.test expires in 3 days"])
    details: Details
    state: AlertState
    opened_at: datetime
    updated_at: datetime
    resolved_at: datetime | None
    resolved_because: str | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    snoozed_until: datetime | None = Field(
        description="Nobody is told until then, unless it becomes more severe."
    )
    snoozed_by: str | None
    muted_at: datetime | None = Field(description="Since then nobody is told, until it is over.")
    muted_by: str | None
    muted_because: str | None


class EntryView(View):
    """One thing that happened to an alert."""

    number: int = Field(examples=[1])
    turn: Turn
    at: datetime
    severity: Severity
    text: str
    by: str | None = Field(description="The caller, where it was one.")


class AlertStory(AlertView):
    """An alert, its history and its deliveries."""

    history: list[EntryView]
    deliveries: list[DeliveryView]


class Acknowledgement(Body):
    """Somebody has taken it up."""

    note: str = Field("", max_length=1000, examples=["Vendor called; new certificate on Monday."])


class Snooze(Body):
    """Not now."""

    until: AwareDatetime = Field(description="At most 90 days ahead.", examples=["2026-12-01T08:00:00Z"])
    note: str = Field("", max_length=1000, examples=["Change CHG0042 is planned for the 30th."])


class Muting(Body):
    """Not at all."""

    reason: str = Field(min_length=1, max_length=1000, examples=["The host is switched off on Friday."])


def alert_routes(alerts: Alerts, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/alerts")

    @routes.get("", summary="List alerts, newest first")
    async def list_alerts(
        caller: Reader,
        paging: Annotated[Paging, of_query(Paging)],
        *,
        state: Annotated[Literal["open", "resolved"] | None, Query()] = None,
        severity: Annotated[Severity | None, Query()] = None,
        problem: Annotated[Problem | None, Query()] = None,
        lineage_id: Annotated[str | None, Query(max_length=100)] = None,
    ) -> Page[AlertView]:
        wanted = {"state": state, "severity": severity, "problem": problem, "lineage_id": lineage_id}
        only = {name: str(value) for name, value in wanted.items() if value is not None}
        after = next(iter(paging.after or ()), None)
        rows = await alerts.page(only=only, after=after, limit=paging.limit, caller=caller)
        return paging.page([AlertView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{alert_id}", summary="Show an alert with its history and deliveries")
    async def get_alert(caller: Reader, alert_id: str) -> AlertStory:
        return _story(await alerts.get(alert_id, caller=caller))

    @routes.post("/{alert_id}/acknowledge", summary="Say that somebody has taken it up")
    async def acknowledge_alert(caller: Writer, alert_id: str, body: Acknowledgement) -> AlertStory:
        return _story(await alerts.acknowledge(alert_id, text=body.note, caller=caller, now=clock()))

    _add_silencing(routes, alerts, clock=clock)
    return routes


def _add_silencing(routes: Routes, alerts: Alerts, *, clock: Clock) -> None:
    @routes.post(
        "/{alert_id}/snooze", summary="Let nobody be told until an instant, unless it becomes more severe"
    )
    async def snooze_alert(caller: Writer, alert_id: str, body: Snooze) -> AlertStory:
        return _story(
            await alerts.snooze(alert_id, until=body.until, text=body.note, caller=caller, now=clock())
        )

    @routes.post("/{alert_id}/mute", summary="Let nobody be told until it is over, and say why")
    async def mute_alert(caller: Writer, alert_id: str, body: Muting) -> AlertStory:
        return _story(await alerts.mute(alert_id, reason=body.reason, caller=caller, now=clock()))

    @routes.post("/{alert_id}/wake", summary="End what keeps an alert from being told, and tell it again")
    async def wake_alert(caller: Writer, alert_id: str) -> AlertStory:
        return _story(await alerts.wake(alert_id, caller=caller, now=clock()))


def _story(story: Story) -> AlertStory:
    return AlertStory(
        **AlertView.model_validate(story.alert).model_dump(),
        history=[EntryView.model_validate(entry) for entry in story.history],
        deliveries=[DeliveryView.model_validate(delivery) for delivery in story.deliveries],
    )
