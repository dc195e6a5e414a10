"""Routes on reports: made on demand, or mailed again and again."""

from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import Header, Query, Request, Response
from pydantic import Field, StringConstraints, model_validator

from services.notifier.actions.report_schedules import NewSchedule, ReportSchedules, ScheduleChange
from services.notifier.actions.reports import Reports, ordered
from services.notifier.connectors.papers import MEDIA_TYPES, Form
from services.notifier.domain.reports import Report
from shared.access import Principal, requires
from shared.clock import Clock
from shared.groups import Groups
from shared.http import Body, Page, Paging, Routes, View, check_if_match, etag, of_query
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("reports:read")]
Writer = Annotated[Principal, requires("reports:write")]
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The `ETag` you have read.")]
Address = Annotated[
    str, StringConstraints(pattern=r"^[^\s@<>,;]{1,64}@[A-Za-z0-9.-]{1,253}$", max_length=254)
]
_DAYS = "Ahead; for what was done, before."


class ScheduleBody(Body):
    """A report that is to be mailed again and again."""

    name: str = Field(min_length=1, max_length=200, examples=["Monday morning"])
    report: Report
    format: Form = Form.PDF
    query: str | None = Field(None, max_length=2000, examples=["owner = payments"])
    days: int = Field(90, ge=1, le=400, description=_DAYS)
    cron: str = Field(max_length=100, examples=["0 7 * * 1"])
    zone: str = Field("UTC", max_length=60, examples=["Europe/Berlin"])
    channel_id: str = Field(max_length=36, description="Of a channel of the kind email.")
    recipients: list[Address] = Field(
        [], max_length=100, description="Empty: those of the channel.", examples=[["ciso@example.test"]]
    )
    groups: Groups = Field(default=[])


class SchedulePatch(Body):
    """What is to be another; `recipients` and `groups` are replaced whole. `query` may be null: all certificates."""

    name: str | None = Field(None, min_length=1, max_length=200)
    report: Report | None = None
    format: Form | None = None
    query: str | None = Field(None, max_length=2000)
    days: int | None = Field(None, ge=1, le=400, description=_DAYS)
    cron: str | None = Field(None, max_length=100, examples=["0 7 * * 1"])
    zone: str | None = Field(None, max_length=60)
    channel_id: str | None = Field(None, max_length=36, description="Of a channel of the kind email.")
    recipients: list[Address] | None = Field(None, max_length=100)
    groups: Groups | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            msg = "say what to change"
            raise ValueError(msg)
        return self

    def values(self) -> dict[str, Any]:
        """Return what was said, by the names that a schedule has."""
        said = {name: getattr(self, name) for name in self.model_fields_set}
        kept = {name: value for name, value in said.items() if value is not None or name == "query"}
        return {"form" if name == "format" else name: value for name, value in kept.items()}


class ScheduleView(View):
    """A report that is mailed again and again."""

    id: str = Field(examples=["0191d7a2-8f4e-7c3b-9d5e-1f2a3b4c5d6e"])
    name: str
    report: Report
    format: Form = Field(validation_alias="form")
    query: str | None
    days: int
    cron: str
    zone: str
    channel_id: str
    recipients: list[str]
    groups: list[str]
    scope: list[str] | None = Field(
        description="What its reports show: what is in these groups; null is everything."
    )
    next_at: datetime
    last_sent_at: datetime | None
    last_error: str | None
    created_at: datetime
    created_by: str


def report_routes(reports: Reports, *, clock: Clock) -> Routes:
    """Build the routes of reports on demand."""
    routes = Routes(prefix="/v1/reports")
    content = {media_type: {"schema": {"type": "string"}} for media_type in MEDIA_TYPES.values()}

    @routes.get(
        "",
        summary="Make a report of what the caller may see",
        response_class=Response,
        responses={200: {"content": content, "description": "The report, as a file."}},
    )
    async def make_report(
        caller: Reader,
        report: Annotated[Report, Query(description="Which one.")],
        *,
        form: Annotated[Form, Query(alias="format")] = Form.PDF,
        query: Annotated[str | None, Query(max_length=2000, description="Which certificates.")] = None,
        days: Annotated[int, Query(ge=1, le=400, description=_DAYS)] = 90,
    ) -> Response:
        order = ordered(report, form=form, query=query, days=days, caller=caller)
        file = await reports.make(order, now=clock())
        headers = {"Content-Disposition": f'attachment; filename="{file.name}"', "Cache-Control": "no-store"}
        return Response(file.content, media_type=file.media_type, headers=headers)

    return routes


def report_schedule_routes(schedules: ReportSchedules, *, once: Once, clock: Clock) -> Routes:
    """Build the routes of reports that are mailed."""
    routes = Routes(prefix="/v1/report-schedules")

    @routes.post("", status_code=201, summary="Let a report be mailed again and again")
    async def create_schedule(
        caller: Writer, body: ScheduleBody, request: Request, key: IdempotencyKey = None
    ) -> ScheduleView:
        async def create() -> ScheduleView:
            return ScheduleView.model_validate(await schedules.create(_new(body), caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=ScheduleView, create=create)

    @routes.get("", summary="List reports that are mailed, newest first")
    async def list_schedules(
        caller: Reader, paging: Annotated[Paging, of_query(Paging)]
    ) -> Page[ScheduleView]:
        after = next(iter(paging.after or ()), None)
        rows = await schedules.page(after=after, limit=paging.limit, caller=caller)
        return paging.page([ScheduleView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{schedule_id}", summary="Show a report that is mailed")
    async def get_schedule(caller: Reader, schedule_id: str, response: Response) -> ScheduleView:
        row = await schedules.get(schedule_id, caller=caller)
        response.headers["ETag"] = etag(row.version)
        return ScheduleView.model_validate(row)

    @routes.patch(
        "/{schedule_id}",
        summary="Change a report that is mailed",
        description="From then on it shows what the caller may see.",
    )
    async def change_schedule(
        caller: Writer, schedule_id: str, body: SchedulePatch, response: Response, if_match: IfMatch = None
    ) -> ScheduleView:
        present = await schedules.get(schedule_id, caller=caller)
        check_if_match(if_match, version=present.version)
        change = ScheduleChange(values=body.values(), expected=present.version if if_match else None)
        row = await schedules.change(schedule_id, change=change, caller=caller, now=clock())
        response.headers["ETag"] = etag(row.version)
        return ScheduleView.model_validate(row)

    @routes.post("/{schedule_id}/send", status_code=202, summary="Let the next one go out at once")
    async def send_schedule(caller: Writer, schedule_id: str) -> ScheduleView:
        return ScheduleView.model_validate(await schedules.send_now(schedule_id, caller=caller, now=clock()))

    @routes.delete("/{schedule_id}", status_code=204, summary="Let it not be mailed any more")
    async def delete_schedule(caller: Writer, schedule_id: str) -> None:
        await schedules.delete(schedule_id, caller=caller)

    return routes


def _new(body: ScheduleBody) -> NewSchedule:
    return NewSchedule(
        name=body.name,
        report=body.report,
        form=body.format,
        query=body.query,
        days=body.days,
        cron=body.cron,
        zone=body.zone,
        channel_id=body.channel_id,
        recipients=body.recipients,
        groups=body.groups,
    )
