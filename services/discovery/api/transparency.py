"""Certificate Transparency logs and the names known, over HTTP."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Annotated, Literal

from fastapi import Header, Query, Request, Response
from pydantic import Field

from services.discovery import store
from services.discovery.actions.transparency import CtLogs, NewLog
from shared.access import Principal, requires
from shared.clock import Clock
from shared.groups import Groups
from shared.http import Body, Page, Paging, Routes, View, check_if_match, etag, of_query
from shared.idempotency import IdempotencyKey, Once

LogReader = Annotated[Principal, requires("ct-logs:read")]
LogWriter = Annotated[Principal, requires("ct-logs:write")]
NameReader = Annotated[Principal, requires("names:read")]
AllPages = Annotated[Paging, of_query(Paging)]
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The `ETag` you have read.")]
Suffixes = Annotated[
    list[str],
    Field(
        min_length=1,
        max_length=1000,
        description="Names that are one of these or below it are kept; all others are passed over.",
        examples=[["example.com", "example.net"]],
    ),
]
Start = Annotated[
    Annotated[int, Field(ge=0, strict=True)] | Literal["now", "beginning"],
    Field(
        description="Where to begin: `now` (only what is added from now on), `beginning`, or an entry's number."
    ),
]


class CtLogBody(Body):
    """A log to be read."""

    url: str = Field(
        max_length=500,
        description="The log's monitoring prefix (https://c2sp.org/static-ct-api); https, or http to this machine.",
        examples=["https://log.example.org/2026h2/"],
    )
    public_key: str | None = Field(
        None,
        max_length=2000,
        description="The log's key, as base64 of its DER or in PEM; without it, signatures are not verified.",
        examples=[None],
    )
    suffixes: Suffixes
    start: Start = "now"
    groups: Groups = Field(default=[])


class CtLogPatch(Body):
    """What is wanted of a log from here on."""

    suffixes: Suffixes
    groups: Groups | None = None


class CtLogView(View):
    """A log, and how far it is read."""

    id: str = Field(examples=["0191d7a2-8f4e-7c3b-9d5e-1f2a3b4c5d6e"])
    url: str
    public_key: str | None
    suffixes: list[str]
    groups: list[str]
    state: str = Field(
        description="new, reading, current (all is read), away (it gave no usable answer), wrong (what it serves "
        "cannot be right) or forked (its tree contradicts the one it showed before).",
        examples=["current"],
    )
    position: int | None = Field(
        description="How many entries are read or left out; null before the first look."
    )
    checkpoint_size: int = Field(description="Entries in the last tree that was found to be consistent.")
    checkpoint_root: str | None = Field(description="The root hash of that tree, hexadecimal.")
    origin: str | None = Field(description="What the log calls itself.")
    signed_at: datetime | None = Field(description="When the log signed it, where its key is known.")
    entries_read: int
    unreadable: int = Field(description="Certificates that hold a suffix and cannot be parsed.")
    last_read_at: datetime | None
    last_error: str | None
    failures: int = Field(description="In a row.")
    evidence: str | None = Field(
        description="The last checkpoint that contradicted an earlier one, as served."
    )
    next_read_at: datetime
    version: int
    created_at: datetime
    created_by: str
    updated_at: datetime


class NameView(View):
    """A host name that is known."""

    name: str = Field(examples=["www.example.com"])
    origins: list[str] = Field(
        description="How it became known: certificate, transparency, reverse, configuration, event."
    )
    addresses: list[str] = Field(description="The IP addresses that it is known to go with.")
    seen_at: datetime = Field(description="When it was last seen, by whichever way.")


def add_ct_logs(routes: Routes, logs: CtLogs, *, once: Once, clock: Clock) -> None:
    """Add the routes on logs."""
    _add_reading(routes, logs)

    @routes.post("/ct-logs", summary="Read a Certificate Transparency log for names", status_code=201)
    async def create_ct_log(
        caller: LogWriter, request: Request, response: Response, body: CtLogBody, key: IdempotencyKey = None
    ) -> CtLogView:
        async def create() -> CtLogView:
            new = NewLog(**{name: getattr(body, name) for name in CtLogBody.model_fields})
            return CtLogView.model_validate(await logs.create(new, caller=caller, now=clock()))

        view = await once.run(request, key=key, caller=caller, body=body, view=CtLogView, create=create)
        response.headers["Location"] = f"/discovery/v1/ct-logs/{view.id}"
        response.headers["ETag"] = etag(view.version)
        return view

    @routes.patch("/ct-logs/{log_id}", summary="Keep names under other suffixes from here on")
    async def change_ct_log(
        caller: LogWriter, log_id: str, body: CtLogPatch, response: Response, if_match: IfMatch = None
    ) -> CtLogView:
        present = (await logs.get(log_id, caller=caller)).version
        check_if_match(if_match, version=present)
        row = await logs.change(
            log_id,
            suffixes=body.suffixes,
            groups=body.groups,
            expected=present,
            caller=caller,
            now=clock(),
        )
        response.headers["ETag"] = etag(row.version)
        return CtLogView.model_validate(row)

    @routes.delete("/ct-logs/{log_id}", status_code=204, summary="Read a log no more; its names stay")
    async def delete_ct_log(caller: LogWriter, log_id: str) -> None:
        await logs.delete(log_id, caller=caller)


def _add_reading(routes: Routes, logs: CtLogs) -> None:
    @routes.get("/ct-logs", summary="List Certificate Transparency logs, newest first")
    async def list_ct_logs(caller: LogReader, paging: AllPages) -> Page[CtLogView]:
        after = paging.after[0] if paging.after else None
        rows = await logs.page(after=after, limit=paging.limit, caller=caller)
        return paging.page([CtLogView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/ct-logs/{log_id}", summary="Show a log and how far it is read")
    async def get_ct_log(caller: LogReader, log_id: str, response: Response) -> CtLogView:
        row = await logs.get(log_id, caller=caller)
        response.headers["ETag"] = etag(row.version)
        return CtLogView.model_validate(row)


def add_names(routes: Routes, logs: CtLogs) -> None:
    """Add the route on names."""

    @routes.get("/names", summary="List the names known under a domain")
    async def list_names(
        caller: NameReader,
        paging: AllPages,
        under: Annotated[
            str, Query(max_length=253, description="This name, and all below it.", examples=["example.com"])
        ],
    ) -> Page[NameView]:
        after = paging.after[0] if paging.after else None
        rows = await logs.names(under=under, after=after, limit=paging.limit, caller=caller)
        return paging.page(_views(rows), key=lambda view: [view.name])


def _views(rows: Sequence[store.KnownName]) -> list[NameView]:
    """Return one view per name; rows come sorted by name."""
    return [_view(name, list(same)) for name, same in groupby(rows, key=lambda row: row.name)]


def _view(name: str, rows: Sequence[store.KnownName]) -> NameView:
    return NameView(
        name=name,
        origins=sorted({row.origin for row in rows}),
        addresses=sorted({row.address for row in rows if row.address}),
        seen_at=max(row.seen_at for row in rows),
    )
