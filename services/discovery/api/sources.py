"""Sources, their runs, and what they hold, over HTTP."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from pydantic import Field, JsonValue

from services.discovery.actions.sources import NewSource, Sources
from services.discovery.connectors.registry import KINDS
from shared.access import Principal, requires
from shared.clock import Clock
from shared.groups import Groups
from shared.http import Body, Page, Paging, Routes, View, of_query
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("sources:read")]
Writer = Annotated[Principal, requires("sources:write")]
AllPages = Annotated[Paging, of_query(Paging)]
Secret = Annotated[
    dict[str, JsonValue],
    Field(
        description=(
            "Write-only: it is sealed, and never shown again. Or where it lies: "
            "`secret_store`, `path` and, where names differ, `fields` (see `credential_from` of a source)."
        ),
        examples=[
            {"password": "…"},
            {"secret_store": "vault", "path": "web-1", "fields": {"password": "pw"}},
        ],
    ),
]


class SourceBody(Body):
    """A new source."""

    name: str = Field(min_length=1, max_length=200, examples=["web-1"])
    kind: str = Field(max_length=50, examples=["linux-ssh"])
    settings: dict[str, JsonValue] = Field(
        examples=[{"host": "web-1.example.com", "username": "everleaf", "host_key": "ssh-ed25519 AAAA…"}]
    )
    credential: Secret = Field(default_factory=dict)
    every: int | None = Field(
        None,
        ge=60,
        le=31_536_000,
        description="Seconds between runs; left out, it runs on request.",
        examples=[21600],
    )
    groups: Groups = Field(default=[])


class GroupsBody(Body):
    """The groups that an object is to be in."""

    groups: Groups


class CredentialBody(Body):
    """A credential that takes the place of the one before."""

    credential: Secret


class CredentialFromView(View):
    """Where a credential lies that is fetched at each opening, and is not kept here."""

    secret_store: str = Field(description="Its name.", examples=["vault"])
    path: str = Field(examples=["web-1"])
    fields: dict[str, str] = Field(
        description="Which field of the credential is which member of the secret; empty: each the one of its name."
    )


class SourceView(View):
    """A source, without its credential."""

    id: str
    name: str
    kind: str
    group: str | None = Field(description="The name that it was made known by together with others.")
    groups: list[str] = Field(description="Who sees it.")
    settings: dict[str, Any]
    credential_from: CredentialFromView | None = Field(
        description="Where its credential lies; nothing where it is sealed here."
    )
    every: int | None
    next_run_at: datetime | None
    last_run_id: str | None
    version: int
    created_at: datetime
    created_by: str
    updated_at: datetime


class SourceCheckView(View):
    """One thing that was tried."""

    name: str = Field(examples=["folder"])
    ok: bool
    text: str


class SourceChecksView(View):
    """Whether a source can be read, and what of it."""

    ok: bool
    checks: list[SourceCheckView]


class GapView(View):
    """Something that could not be read."""

    scope: str = Field(description="A path, or the beginning of paths; empty for all.")
    reason: str
    next_step: str
    is_absent: bool = Field(description="It is known that nothing is there, though something else names it.")


class SourceRunView(View):
    """One reading of a source."""

    id: str
    source_id: str
    state: Literal["queued", "running", "finished", "failed", "sending", "superseded"]
    attempts: int
    next_attempt_at: datetime
    holdings: int = Field(description="Certificates seen.")
    gaps: list[GapView]
    error: str | None
    next_step: str | None
    created_at: datetime
    finished_at: datetime | None


class HoldingView(View):
    """One certificate in a source, as it was read last."""

    address: str
    path: str = Field(examples=["/etc/nginx/tls/www.pem"])
    fingerprint: str
    details: dict[str, Any] = Field(
        description="Format, owner, group, mode; its key (never the key itself), and what configurations use it for."
    )
    first_seen: datetime
    last_seen: datetime
    misses: int = Field(description="How many runs in a row did not show it.")


class SourceWatchView(View):
    """How a source is listened to, so that a change in it is read at once."""

    state: Literal["starting", "watching", "off", "failed"] = Field(
        description="`off` where its kind, its settings, or that it has no schedule, do not let it be watched."
    )
    error: str | None = Field(description="Why it is not watched now; runs by the schedule go on.")
    next_step: str | None
    next_attempt_at: datetime | None
    updated_at: datetime | None = Field(description="When it was heard of last.")


class SourceKindView(View):
    """A kind of source, with the JSON Schemas of its settings and its credential."""

    kind: str = Field(examples=["linux-ssh"])
    summary: str
    settings: dict[str, Any]
    credential: dict[str, Any]


class SourceKindsView(View):
    """Every kind of source."""

    items: list[SourceKindView]


def add_sources(routes: Routes, sources: Sources, *, once: Once, clock: Clock) -> None:
    """Add the routes."""
    _add_reading(routes, sources)

    @routes.post("/sources", summary="Make a source known", status_code=201)
    async def create_source(
        caller: Writer, request: Request, body: SourceBody, key: IdempotencyKey = None
    ) -> SourceView:
        async def create() -> SourceView:
            new = NewSource(**{name: getattr(body, name) for name in SourceBody.model_fields})
            return SourceView.model_validate(await sources.create(new, caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=SourceView, create=create)

    @routes.put("/sources/{source_id}/credential", summary="Give a source a new credential")
    async def renew_source_credential(caller: Writer, source_id: str, body: CredentialBody) -> SourceView:
        return SourceView.model_validate(
            await sources.renew_credential(source_id, body.credential, caller=caller, now=clock())
        )

    @routes.put("/sources/{source_id}/groups", summary="Put a source into these groups, and no others")
    async def put_source_groups(caller: Writer, source_id: str, body: GroupsBody) -> SourceView:
        row = await sources.put_into(source_id, body.groups, caller=caller, now=clock())
        return SourceView.model_validate(row)

    @routes.delete("/sources/{source_id}", summary="Forget a source", status_code=204)
    async def delete_source(caller: Writer, source_id: str) -> None:
        await sources.delete(source_id, caller=caller, now=clock())

    @routes.post("/sources/{source_id}/check", summary="Log into a source and say what can be read")
    async def check_source(caller: Writer, source_id: str) -> SourceChecksView:
        checks = [
            SourceCheckView.model_validate(check) for check in await sources.check(source_id, caller=caller)
        ]
        return SourceChecksView(ok=all(check.ok for check in checks), checks=checks)

    @routes.post("/sources/{source_id}/runs", summary="Read a source now", status_code=202)
    async def run_source(caller: Writer, source_id: str, response: Response) -> SourceRunView:
        run = SourceRunView.model_validate(await sources.run(source_id, caller=caller, now=clock()))
        response.headers["Location"] = f"/discovery/v1/sources/{source_id}/runs"
        return run


def _add_reading(routes: Routes, sources: Sources) -> None:
    @routes.get("/sources", summary="List sources, newest first")
    async def list_sources(
        caller: Reader, paging: AllPages, group: Annotated[str | None, Query(max_length=100)] = None
    ) -> Page[SourceView]:
        after = paging.after[0] if paging.after else None
        rows = await sources.page(group=group, after=after, limit=paging.limit, caller=caller)
        return paging.page([SourceView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/sources/{source_id}", summary="Show a source")
    async def get_source(caller: Reader, source_id: str) -> SourceView:
        return SourceView.model_validate(await sources.get(source_id, caller=caller))

    @routes.get("/sources/{source_id}/runs", summary="List the runs of a source, newest first")
    async def list_source_runs(caller: Reader, source_id: str, paging: AllPages) -> Page[SourceRunView]:
        after = paging.after[0] if paging.after else None
        rows = await sources.runs(source_id, after=after, limit=paging.limit, caller=caller)
        return paging.page([SourceRunView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/sources/{source_id}/watch", summary="Show how a source is listened to for changes")
    async def get_source_watch(caller: Reader, source_id: str) -> SourceWatchView:
        row = await sources.watch(source_id, caller=caller)
        if row is None:
            return SourceWatchView(
                state="off", error=None, next_step=None, next_attempt_at=None, updated_at=None
            )
        return SourceWatchView.model_validate(row)

    @routes.get("/sources/{source_id}/holdings", summary="List the certificates in a source")
    async def list_holdings(caller: Reader, source_id: str, paging: AllPages) -> Page[HoldingView]:
        after = paging.after_parts(2)
        rows = await sources.holdings(source_id, after=after, limit=paging.limit, caller=caller)
        views = [HoldingView.model_validate(row) for row in rows]
        return paging.page(views, key=lambda view: [view.address, view.path])

    @routes.get("/source-kinds", summary="List the kinds of source")
    async def list_source_kinds(_caller: Reader) -> SourceKindsView:
        items = [
            SourceKindView(
                kind=kind.kind,
                summary=kind.summary,
                settings=kind.settings_type.model_json_schema(),
                credential=kind.credential_type.model_json_schema(),
            )
            for kind in KINDS
        ]
        return SourceKindsView(items=items)
