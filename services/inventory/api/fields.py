"""The routes of custom fields."""

from datetime import datetime
from typing import Annotated

from fastapi import Header, Query, Request, Response
from pydantic import Field

from services.inventory.actions.fields import Fields, FieldText
from services.inventory.domain.fields import LONGEST_VALUE, FieldKind
from services.inventory.domain.slugs import FIELD
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Page, Paging, Routes, View, check_if_match, etag, of_query
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("fields:read")]
Admin = Annotated[Principal, requires("fields:admin", everything=True)]
AllPages = Annotated[Paging, of_query(Paging)]
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The `ETag` you have read.")]
Choices = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=LONGEST_VALUE, pattern=r"\S")]],
    Field(max_length=200, description="Of the kind `choice`.", examples=[["prod", "test"]]),
]


class FieldBody(Body):
    """A field to be made."""

    name: str = Field(min_length=1, max_length=50, pattern=FIELD, examples=["environment"])
    kind: FieldKind = Field(examples=["choice"])
    description: str = Field("", max_length=2000)
    is_required: bool = Field(
        False, description="Certificates without a value are listed with it as missing."
    )
    choices: Choices = Field([])


class FieldPatch(Body):
    """What is to be another; what is left out stays."""

    description: str = Field("", max_length=2000)
    is_required: bool = False
    choices: Choices = Field([])


class FieldView(View):
    """A custom field."""

    name: str
    kind: FieldKind
    description: str
    is_required: bool
    choices: list[str]
    version: int
    created_at: datetime
    created_by: str


def field_routes(fields: Fields, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/fields")

    @routes.post("", status_code=201, summary="Make a custom field")
    async def create_field(
        caller: Admin, body: FieldBody, request: Request, key: IdempotencyKey = None
    ) -> FieldView:
        async def create() -> FieldView:
            text = _text(body)
            row = await fields.create(body.name, body.kind, text, caller=caller, now=clock())
            return FieldView.model_validate(row)

        return await once.run(request, key=key, caller=caller, body=body, view=FieldView, create=create)

    @routes.get("", summary="List custom fields")
    async def list_fields(_caller: Reader, paging: AllPages) -> Page[FieldView]:
        rows = await fields.page(after=next(iter(paging.after or ()), None), limit=paging.limit)
        return paging.page([FieldView.model_validate(row) for row in rows], key=lambda view: [view.name])

    @routes.get("/{name}", summary="Show a custom field")
    async def get_field(_caller: Reader, name: str, response: Response) -> FieldView:
        row = await fields.get(name)
        response.headers["ETag"] = etag(row.version)
        return FieldView.model_validate(row)

    @routes.patch("/{name}", summary="Change a custom field; its kind stays")
    async def change_field(
        caller: Admin, name: str, body: FieldPatch, response: Response, if_match: IfMatch = None
    ) -> FieldView:
        present = FieldView.model_validate(await fields.get(name))
        check_if_match(if_match, version=present.version)
        # What is built on what was just read is only kept while that still is the newest.
        kept = present.model_dump(include=set(FieldPatch.model_fields))
        text = _text(FieldPatch.model_validate({**kept, **body.model_dump(exclude_unset=True)}))
        row = await fields.replace(name, text, version=present.version, caller=caller)
        response.headers["ETag"] = etag(row.version)
        return FieldView.model_validate(row)

    @routes.delete("/{name}", status_code=204, summary="Delete a custom field")
    async def delete_field(
        caller: Admin,
        name: str,
        *,
        drop_values: Annotated[bool, Query(description="Delete its values too.")] = False,
    ) -> None:
        await fields.delete(name, drops_values=drop_values, caller=caller, now=clock())

    return routes


def _text(body: FieldBody | FieldPatch) -> FieldText:
    return FieldText(description=body.description, is_required=body.is_required, choices=body.choices)
