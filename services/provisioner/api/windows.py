"""The routes of change windows and freezes."""

from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Header, Request, Response
from pydantic import Field

from services.provisioner import store
from services.provisioner.actions.scopes import Scope
from services.provisioner.actions.windows import (
    FreezeChange,
    NewFreeze,
    NewWindow,
    WindowChange,
    Windows,
)
from services.provisioner.domain.windows import Weekly
from shared.access import Principal, requires
from shared.clock import Clock, Duration, Moment
from shared.http import Body, Page, Paging, Routes, View, etag, of_query
from shared.idempotency import IdempotencyKey, Once
from shared.local_time import LocalTime

Reader = Annotated[Principal, requires("windows:read")]
Writer = Annotated[Principal, requires("windows:write")]
AllPages = Annotated[Paging, of_query(Paging)]
IfMatch = Annotated[str | None, Header()]
_VERSION = "Send it back as `If-Match` with a change."
_SCOPE = "Left out with the other of the two, it holds for all targets."
TargetId = Annotated[str | None, Field(max_length=36, description=_SCOPE)]
Group = Annotated[str | None, Field(max_length=100, description=f"Of targets in this group. {_SCOPE}")]


class Day(StrEnum):
    """A day of the week."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


_DAYS = tuple(Day)


class WeeklyBody(Body):
    """It opens every week on this day at this time of the time zone, and stays open for so long."""

    day: Day
    start: LocalTime = Field(examples=["22:00"])
    duration: Duration = Field(description="ISO 8601; a week at most.", examples=["PT4H"])


class WindowBody(Body):
    """When targets may be changed."""

    name: str = Field(min_length=1, max_length=200, examples=["nights of the shop"])
    target_id: TargetId = None
    group: Group = None
    time_zone: str = Field("UTC", max_length=100, examples=["Europe/Berlin"])
    weekly: list[WeeklyBody] = Field(min_length=1, max_length=50)


class WindowChangeBody(Body):
    """What is to be changed; what is left out stays, as does for which targets it is."""

    name: str | None = Field(None, min_length=1, max_length=200)
    time_zone: str | None = Field(None, max_length=100)
    weekly: list[WeeklyBody] | None = Field(None, min_length=1, max_length=50)


class WindowView(View):
    """When targets may be changed."""

    id: str
    name: str
    target_id: str | None
    group: str | None
    time_zone: str
    weekly: list[WeeklyBody]
    version: int = Field(description=_VERSION)
    created_at: datetime
    created_by: str


class FreezeBody(Body):
    """When targets are not changed, and why."""

    reason: str = Field(min_length=3, max_length=2000, examples=["Black Friday"])
    target_id: TargetId = None
    group: Group = None
    starts_at: Moment
    ends_at: Moment


class FreezeChangeBody(Body):
    """What is to be changed; what is left out stays, as does for which targets it is."""

    reason: str | None = Field(None, min_length=3, max_length=2000)
    starts_at: Moment | None = None
    ends_at: Moment | None = None


class FreezeView(View):
    """When targets are not changed, and why."""

    id: str
    reason: str
    target_id: str | None
    group: str | None
    starts_at: datetime
    ends_at: datetime
    version: int = Field(description=_VERSION)
    created_at: datetime
    created_by: str


def window_routes(windows: Windows, *, once: Once, clock: Clock) -> Routes:
    """Build the routes of windows."""
    routes = Routes(prefix="/v1/change-windows")

    @routes.post(
        "", summary="Let targets be changed only in this window, and others that they have", status_code=201
    )
    async def create_window(
        caller: Writer, request: Request, body: WindowBody, key: IdempotencyKey = None
    ) -> WindowView:
        async def create() -> WindowView:
            new = NewWindow(
                name=body.name,
                scope=Scope(target_id=body.target_id, group=body.group),
                time_zone=body.time_zone,
                weekly=[_weekly(each) for each in body.weekly],
            )
            return _shown(await windows.create(new, caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=WindowView, create=create)

    @routes.get("", summary="List change windows")
    async def list_windows(caller: Reader, paging: AllPages) -> Page[WindowView]:
        after = paging.after[0] if paging.after else None
        rows = await windows.page(store.ChangeWindow, after=after, limit=paging.limit, caller=caller)
        return paging.page([_shown(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{window_id}", summary="Show a change window")
    async def get_window(caller: Reader, window_id: str, response: Response) -> WindowView:
        row = await windows.get(store.ChangeWindow, window_id, caller=caller)
        response.headers["ETag"] = etag(row.version)
        return _shown(row)

    @routes.patch("/{window_id}", summary="Change a change window; what waits is looked at anew")
    async def change_window(
        caller: Writer, window_id: str, body: WindowChangeBody, response: Response, if_match: IfMatch = None
    ) -> WindowView:
        weekly = [_weekly(each) for each in body.weekly] if body.weekly is not None else None
        change = WindowChange(name=body.name, time_zone=body.time_zone, weekly=weekly)
        row = await windows.change(window_id, change, if_match=if_match, caller=caller, now=clock())
        response.headers["ETag"] = etag(row.version)
        return _shown(row)

    @routes.delete("/{window_id}", summary="Forget a change window", status_code=204)
    async def delete_window(caller: Writer, window_id: str) -> None:
        await windows.delete(store.ChangeWindow, window_id, caller=caller, now=clock())

    return routes


def freeze_routes(windows: Windows, *, once: Once, clock: Clock) -> Routes:
    """Build the routes of freezes."""
    routes = Routes(prefix="/v1/freezes")

    @routes.post("", summary="Let targets not be changed for a time", status_code=201)
    async def create_freeze(
        caller: Writer, request: Request, body: FreezeBody, key: IdempotencyKey = None
    ) -> FreezeView:
        async def create() -> FreezeView:
            new = NewFreeze(
                reason=body.reason,
                scope=Scope(target_id=body.target_id, group=body.group),
                starts_at=body.starts_at,
                ends_at=body.ends_at,
            )
            return FreezeView.model_validate(await windows.freeze(new, caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=FreezeView, create=create)

    @routes.get("", summary="List freezes")
    async def list_freezes(caller: Reader, paging: AllPages) -> Page[FreezeView]:
        after = paging.after[0] if paging.after else None
        rows = await windows.page(store.Freeze, after=after, limit=paging.limit, caller=caller)
        return paging.page([FreezeView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{freeze_id}", summary="Show a freeze")
    async def get_freeze(caller: Reader, freeze_id: str, response: Response) -> FreezeView:
        row = await windows.get(store.Freeze, freeze_id, caller=caller)
        response.headers["ETag"] = etag(row.version)
        return FreezeView.model_validate(row)

    @routes.patch("/{freeze_id}", summary="Change a freeze; what waits is looked at anew")
    async def change_freeze(
        caller: Writer, freeze_id: str, body: FreezeChangeBody, response: Response, if_match: IfMatch = None
    ) -> FreezeView:
        change = FreezeChange(reason=body.reason, starts_at=body.starts_at, ends_at=body.ends_at)
        row = await windows.change_freeze(freeze_id, change, if_match=if_match, caller=caller, now=clock())
        response.headers["ETag"] = etag(row.version)
        return FreezeView.model_validate(row)

    @routes.delete("/{freeze_id}", summary="End or forget a freeze", status_code=204)
    async def delete_freeze(caller: Writer, freeze_id: str) -> None:
        await windows.delete(store.Freeze, freeze_id, caller=caller, now=clock())

    return routes


def _weekly(body: WeeklyBody) -> Weekly:
    start = body.start.replace(second=0, microsecond=0, tzinfo=None)
    return Weekly(day=_DAYS.index(body.day), start=start, duration=body.duration)


def _shown(row: store.ChangeWindow) -> WindowView:
    view: dict[str, Any] = row.model_dump(exclude={"weekly"})
    weekly = [
        WeeklyBody(
            day=_DAYS[each["day"]],
            start=time.fromisoformat(each["start"]),
            duration=timedelta(seconds=each["seconds"]),
        )
        for each in row.weekly
    ]
    return WindowView(**view, weekly=weekly)
