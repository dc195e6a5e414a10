"""The routes of saved queries."""

from datetime import datetime
from typing import Annotated

from fastapi import Header, Request, Response
from pydantic import Field

from services.inventory.actions.saved_queries import SavedQueries, SavedQueryText
from services.inventory.domain.exports import columns
from services.inventory.domain.query import parse_order
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Page, Paging, Routes, View, check_if_match, etag, of_query
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("saved-queries:read")]
Writer = Annotated[Principal, requires("saved-queries:write")]
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The `ETag` you have read.")]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$", examples=["weak keys"])]
QueryText = Annotated[
    str,
    Field(
        description="In the query language; it is kept in its canonical text.",
        examples=["key.type = rsa and key.size < 2048"],
    ),
]


class SavedQueryBody(Body):
    """A question to be kept."""

    name: Name
    query: QueryText
    sort: str = Field("seen", max_length=100, examples=["-expires"])
    columns: list[str] = Field(
        [], max_length=100, description="Of an export; empty for all.", examples=[["subject", "not_after"]]
    )
    is_shared: bool = Field(False, description="Whether others may use it; only you may change it.")


class SavedQueryPatch(Body):
    """What is to be another; what is left out stays."""

    name: Name = ""
    query: QueryText = ""
    sort: str = Field("seen", max_length=100)
    columns: list[str] = Field([], max_length=100)
    is_shared: bool = False


class SavedQueryView(View):
    """A question that is kept."""

    id: str
    owner_id: str = Field(description="The principal who made it.")
    name: str
    query: str
    sort: str
    columns: list[str]
    is_shared: bool
    version: int
    created_at: datetime
    updated_at: datetime


def saved_query_routes(saved: SavedQueries, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/saved-queries")

    @routes.post("", status_code=201, summary="Save a query")
    async def create_saved_query(
        caller: Writer, body: SavedQueryBody, request: Request, key: IdempotencyKey = None
    ) -> SavedQueryView:
        async def create() -> SavedQueryView:
            row = await saved.create(_text(body), caller=caller, now=clock())
            return SavedQueryView.model_validate(row)

        return await once.run(request, key=key, caller=caller, body=body, view=SavedQueryView, create=create)

    @routes.get("", summary="List saved queries: your own, and those that others share")
    async def list_saved_queries(
        caller: Reader, paging: Annotated[Paging, of_query(Paging)]
    ) -> Page[SavedQueryView]:
        after = paging.after[0] if paging.after else None
        rows = await saved.page(caller=caller, after=after, limit=paging.limit)
        return paging.page([SavedQueryView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{query_id}", summary="Show a saved query")
    async def get_saved_query(caller: Reader, query_id: str, response: Response) -> SavedQueryView:
        row = await saved.get(query_id, caller=caller)
        response.headers["ETag"] = etag(row.version)
        return SavedQueryView.model_validate(row)

    @routes.patch("/{query_id}", summary="Change a saved query of your own")
    async def change_saved_query(
        caller: Writer, query_id: str, body: SavedQueryPatch, response: Response, if_match: IfMatch = None
    ) -> SavedQueryView:
        present = SavedQueryView.model_validate(await saved.get(query_id, caller=caller))
        check_if_match(if_match, version=present.version)
        kept = present.model_dump(include=set(SavedQueryBody.model_fields))
        text = _text(SavedQueryBody.model_validate({**kept, **body.model_dump(exclude_unset=True)}))
        row = await saved.replace(query_id, text=text, expected=present.version, caller=caller, now=clock())
        response.headers["ETag"] = etag(row.version)
        return SavedQueryView.model_validate(row)

    @routes.delete("/{query_id}", status_code=204, summary="Forget a saved query of your own")
    async def delete_saved_query(caller: Writer, query_id: str) -> None:
        await saved.delete(query_id, caller=caller)

    return routes


def _text(body: SavedQueryBody) -> SavedQueryText:
    return SavedQueryText(
        name=body.name,
        query=body.query,
        sort=str(parse_order(body.sort)),
        columns=columns(",".join(body.columns)) if body.columns else [],
        is_shared=body.is_shared,
    )
