"""Scans that repeat, over HTTP."""

from datetime import datetime, time
from typing import Annotated, Any, Literal

from fastapi import Header, Request, Response
from pydantic import Field

from services.discovery import store
from services.discovery.actions.scans import NewScan, Pace
from services.discovery.actions.schedules import Schedules, Wanted
from services.discovery.api.scans import ScanBody, ScanView
from services.discovery.domain.schedules import QuietHours
from shared.access import Principal, requires
from shared.clock import Clock
from shared.groups import Groups
from shared.http import Body, Page, Paging, Routes, View, check_if_match, etag, of_query
from shared.idempotency import IdempotencyKey, Once
from shared.local_time import LocalTime

ScheduleReader = Annotated[Principal, requires("scans:read")]
ScheduleWriter = Annotated[Principal, requires("scans:write")]
AllPages = Annotated[Paging, of_query(Paging)]
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The `ETag` you have read.")]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
A_YEAR = 366 * 86_400


class QuietHoursBody(Body):
    """Hours in which nothing is started and what goes on rests; they may pass midnight."""

    start: LocalTime = Field(examples=["08:00"])
    end: LocalTime = Field(
        description="Where it is not after `start`, it is on the next day.", examples=["18:00"]
    )
    days: list[Day] = Field(list(DAYS), min_length=1, description="The days on which they begin.")


class ScheduleBody(Body):
    """A scan, and when to repeat it: either by `cron` or `every` so many seconds."""

    name: str = Field(min_length=1, max_length=100, examples=["Data centre, every night"])
    scan: ScanBody
    cron: str | None = Field(
        None,
        max_length=100,
        description="Minute, hour, day of month, month, day of week.",
        examples=["30 2 * * *"],
    )
    every: int | None = Field(None, ge=60, le=A_YEAR, description="Seconds.", examples=[None])
    timezone: str = Field("UTC", max_length=100, examples=["Europe/Berlin"])
    jitter: int = Field(
        0,
        ge=0,
        le=86_400,
        description="Each run comes up to so many seconds later, so that not all come at once.",
    )
    quiet_hours: list[QuietHoursBody] = Field(default=[], max_length=50)
    is_enabled: bool = True
    groups: Groups | None = None

    def wanted(self, pace: Pace) -> Wanted:
        """Return it as the service means it."""
        return Wanted(
            name=self.name,
            scan=self.scan.new(pace),
            cron=self.cron,
            every=self.every,
            timezone=self.timezone,
            jitter=self.jitter,
            quiet_hours=tuple(
                QuietHours(start=each.start, end=each.end, days=tuple(DAYS.index(day) for day in each.days))
                for each in self.quiet_hours
            ),
            is_enabled=self.is_enabled,
            groups=self.groups,
        )


class ScheduleView(View):
    """A scan that repeats, and how it went."""

    id: str
    name: str
    scan: ScanBody
    cron: str | None
    every: int | None
    timezone: str
    jitter: int
    quiet_hours: list[QuietHoursBody]
    is_enabled: bool
    groups: list[str] = Field(description="Its scans are in them too.")
    is_resting: bool = Field(description="Its scan rests until quiet hours are over.")
    next_run_at: datetime | None
    last_scan_id: str | None
    last_started_at: datetime | None
    last_error: str | None = Field(description="Why it did not run when it should have last.")
    skipped: int = Field(description="How often it did not run because the scan before was not done.")
    version: int
    created_at: datetime
    created_by: str
    updated_at: datetime

    @classmethod
    def of(cls, row: store.Schedule) -> "ScheduleView":
        """Show a schedule as it stands."""
        shared = {name: getattr(row, name) for name in cls.model_fields}
        return cls(
            **{
                **shared,
                "scan": _body(NewScan.read(row.scan)),
                "quiet_hours": [_hours(each) for each in row.quiet_hours],
                "next_run_at": row.next_run_at if row.is_enabled else None,
            }
        )


def _body(new: NewScan) -> ScanBody:
    return ScanBody(
        targets=list(new.targets),
        ports=new.ports,
        exclude=list(new.exclude),
        server_names=list(new.server_names),
        timeout=new.timeout,
        concurrency=new.concurrency,
        per_host=new.per_host,
        per_network=new.per_network,
        rate=new.rate,
        depth=new.reach,
        starttls=new.starttls or "none",
        fan_out=new.does_fan_out,
    )


def _hours(row: dict[str, Any]) -> QuietHoursBody:
    return QuietHoursBody(
        start=time.fromisoformat(row["start"]),
        end=time.fromisoformat(row["end"]),
        days=[DAYS[day] for day in row["days"]],
    )


def add_schedules(routes: Routes, schedules: Schedules, *, once: Once, clock: Clock, pace: Pace) -> None:
    """Add the routes; `pace` is what holds where a scan does not ask for less."""
    _add_reading(routes, schedules)

    @routes.post("/schedules", summary="Repeat a scan", status_code=201)
    async def create_schedule(
        caller: ScheduleWriter, request: Request, body: ScheduleBody, key: IdempotencyKey = None
    ) -> ScheduleView:
        async def create() -> ScheduleView:
            return ScheduleView.of(await schedules.create(body.wanted(pace), caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=ScheduleView, create=create)

    @routes.put("/schedules/{schedule_id}", summary="Repeat it otherwise from here on")
    async def replace_schedule(
        caller: ScheduleWriter,
        schedule_id: str,
        body: ScheduleBody,
        response: Response,
        if_match: IfMatch = None,
    ) -> ScheduleView:
        present = (await schedules.get(schedule_id, caller=caller)).version
        check_if_match(if_match, version=present)
        row = await schedules.replace(
            schedule_id, body.wanted(pace), expected=present, caller=caller, now=clock()
        )
        response.headers["ETag"] = etag(row.version)
        return ScheduleView.of(row)

    @routes.delete("/schedules/{schedule_id}", summary="Repeat it no more", status_code=204)
    async def delete_schedule(caller: ScheduleWriter, schedule_id: str) -> None:
        await schedules.delete(schedule_id, caller=caller)

    @routes.post("/schedules/{schedule_id}/run", summary="Start its scan now", status_code=202)
    async def run_schedule(caller: ScheduleWriter, schedule_id: str, response: Response) -> ScanView:
        now = clock()
        view = ScanView.of(await schedules.run_now(schedule_id, caller=caller, now=now), now=now)
        response.headers["Location"] = f"/discovery/v1/scans/{view.id}"
        return view


def _add_reading(routes: Routes, schedules: Schedules) -> None:
    @routes.get("/schedules", summary="List schedules, newest first")
    async def list_schedules(caller: ScheduleReader, paging: AllPages) -> Page[ScheduleView]:
        after = paging.after[0] if paging.after else None
        rows = await schedules.page(after=after, limit=paging.limit, caller=caller)
        return paging.page([ScheduleView.of(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/schedules/{schedule_id}", summary="Show a schedule")
    async def get_schedule(caller: ScheduleReader, schedule_id: str, response: Response) -> ScheduleView:
        row = await schedules.get(schedule_id, caller=caller)
        response.headers["ETag"] = etag(row.version)
        return ScheduleView.of(row)
