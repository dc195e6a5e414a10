"""Routes on the audit trail: search, checkpoints, export, and the keys that it is signed with."""

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from services.notifier.actions.trail import Trail
from services.notifier.store.trail import TrailCheckpoint, TrailCosignature, TrailEntry, TrailSource, Wanted
from shared.access import Principal, requires
from shared.audit.keys import PUBLISHED, AuditKeysView
from shared.clock import Clock, Moment
from shared.http import Page, Paging, Routes, View, of_query, public

Auditor = Annotated[Principal, requires("audit-trail:audit")]
Keeper = Annotated[Principal, requires("audit-trail:admin", everything=True)]
WholeAuditor = Annotated[Principal, requires("audit-trail:audit", everything=True)]
_EXPORT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}, "description": "The trail."}
}


class TrailEntryView(View):
    """An entry."""

    number: int
    source: str = Field(description="The service that has recorded it.", examples=["renewal"])
    sequence: int = Field(description="That service's own count, without a gap.")
    at: datetime
    actor_id: str = Field(description="A principal, or the service itself.")
    actor_name: str
    on_behalf_of: str | None
    action: str = Field(examples=["channel.changed"])
    object_kind: str
    object_id: str
    object_name: str | None
    groups: list[str]
    lineage_id: str | None
    before: dict[str, Any] | None = Field(description="What changed, as it was; no secret is in it.")
    after: dict[str, Any] | None
    reason: str | None
    approval_id: str | None
    cause: str | None = Field(description="The event that it was the answer to.")
    operation: str | None
    address: str | None
    agent: str | None
    trace_id: str
    previous: str = Field(description="SHA-256 of the entry before.")
    digest: str = Field(description="SHA-256 of this entry as it is exported.")

    @classmethod
    def of(cls, row: TrailEntry) -> "TrailEntryView":
        """Show an entry."""
        return cls.model_validate({**json.loads(row.line), "digest": row.digest})


class CheckpointView(View):
    """A signed end of a segment."""

    number: int
    first: int
    last: int
    head: str
    at: datetime
    is_let_go: bool = Field(description="Its entries were older than they are kept.")
    checkpoint: str = Field(description="A JWS.")
    cosigned_by: dict[str, str] = Field(description="The JWS of each service that has co-signed.")

    @classmethod
    def of(cls, row: TrailCheckpoint, cosignatures: list[TrailCosignature]) -> "CheckpointView":
        """Show a checkpoint."""
        return cls(
            number=row.number,
            first=row.first,
            last=row.last,
            head=row.head,
            at=row.at,
            is_let_go=row.tombstone is not None,
            checkpoint=row.token,
            cosigned_by={each.source: each.token for each in cosignatures},
        )


class SourceView(View):
    """What a service has told."""

    source: str
    entries: int
    missing: int = Field(description="Changes that it has numbered and that have not come (yet).")

    @classmethod
    def of(cls, row: TrailSource) -> "SourceView":
        """Show a source."""
        return cls(source=row.source, entries=row.entries, missing=row.highest - row.entries)


class Sources(View):
    """All services that have told something."""

    items: list[SourceView]


class NextKeyView(View):
    """The key that the trail is to be signed with."""

    key: dict[str, str] = Field(description="Its public half, as a JWK.")
    made_at: datetime


class Sought:
    """What an entry is searched by."""

    def __init__(
        self,
        *,
        actor_id: Annotated[str | None, Query(max_length=100, description="Who has done it.")] = None,
        action: Annotated[str | None, Query(max_length=100, description="As `channel.changed`.")] = None,
        object_kind: Annotated[str | None, Query(max_length=50, description="As `channel`.")] = None,
        object_id: Annotated[str | None, Query(max_length=300, description="What was changed.")] = None,
        lineage_id: Annotated[str | None, Query(max_length=100, description="About this lineage.")] = None,
        source: Annotated[str | None, Query(max_length=30, description="Recorded by this service.")] = None,
        trace_id: Annotated[
            str | None, Query(max_length=32, description="Of one request and all it caused.")
        ] = None,
        since: Annotated[Moment | None, Query(description="Not before.")] = None,
        until: Annotated[Moment | None, Query(description="Before.")] = None,
    ) -> None:
        named = {
            "actor_id": actor_id,
            "action": action,
            "object_kind": object_kind,
            "object_id": object_id,
            "lineage_id": lineage_id,
            "source": source,
            "trace_id": trace_id,
        }
        exactly = {name: value for name, value in named.items() if value is not None}
        self.wanted = Wanted(exactly=exactly, since=since, until=until)


def trail_routes(trail: Trail, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    @routes.get("/audit", summary="Search the audit trail, newest first")
    async def list_audit_entries(
        caller: Auditor,
        sought: Annotated[Sought, of_query(Sought)],
        paging: Annotated[Paging, of_query(Paging)],
    ) -> Page[TrailEntryView]:
        before = paging.after_number()
        rows = await trail.page(sought.wanted, before=before, limit=paging.limit, caller=caller)
        return paging.page([TrailEntryView.of(row) for row in rows], key=lambda view: [str(view.number)])

    @routes.get("/audit/checkpoints", summary="List signed checkpoints, oldest first")
    async def list_audit_checkpoints(
        _caller: WholeAuditor, paging: Annotated[Paging, of_query(Paging)]
    ) -> Page[CheckpointView]:
        rows, cosignatures = await trail.checkpoints(after=paging.after_number() or 0, limit=paging.limit)
        views = [CheckpointView.of(row, cosignatures[row.number]) for row in rows]
        return paging.page(views, key=lambda view: [str(view.number)])

    @routes.get("/audit/sources", summary="Show what each service has recorded, and what is missing")
    async def list_audit_sources(_caller: WholeAuditor) -> Sources:
        return Sources(items=[SourceView.of(row) for row in await trail.sources()])

    @routes.get(
        "/audit/export",
        summary="Export the whole trail as signed lines of JSON",
        response_class=StreamingResponse,
        responses=_EXPORT,
    )
    async def export_audit_trail(_caller: WholeAuditor) -> StreamingResponse:
        return StreamingResponse(trail.export(now=clock()), media_type="application/x-ndjson")

    @routes.get(
        "/audit-keys",
        summary="Show what the audit trail is signed and co-signed with",
        openapi_extra=public(PUBLISHED),
    )
    async def list_audit_keys() -> AuditKeysView:
        return AuditKeysView(keys=await trail.keys())

    @routes.post(
        "/audit-keys",
        status_code=202,
        summary="Have the audit trail signed with a new key",
        description="The next checkpoint is the last that the present key signs, and names the new one; "
        "the other services follow it. What was signed before stays verifiable.",
    )
    async def rotate_audit_key(caller: Keeper) -> NextKeyView:
        row = await trail.rotate_key(caller=caller, now=clock())
        return NextKeyView(key=row.jwk, made_at=row.made_at)

    return routes
