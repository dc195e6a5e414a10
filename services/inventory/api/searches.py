"""The routes that answer a question about all certificates: how many, by what they differ, and all of them."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from services.inventory.actions.searching import Searching
from services.inventory.api.wanted import Sorted, Wanted
from services.inventory.domain.exports import COLUMNS, Format, Writer, columns
from services.inventory.domain.query import CATALOGUE, Operator, Subject, Term, ValueKind, counted, write
from services.inventory.domain.query import Query as Question
from services.inventory.store.facets import Facet
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Page, Routes, View, of_query

Reader = Annotated[Principal, requires("certificates:read")]
Wishes = Annotated[Wanted, of_query(Wanted)]
Sorting = Annotated[Sorted, of_query(Sorted)]
_MEDIA_TYPES = {
    Format.CSV: "text/csv; charset=utf-8; header=present",
    Format.JSON: "application/json",
    Format.NDJSON: "application/x-ndjson",
}
_EXPORTED: dict[str, Any] = {
    kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in _MEDIA_TYPES.values()
} | {_MEDIA_TYPES[Format.JSON]: {"schema": {"type": "array", "items": {"type": "object"}}}}


class CountView(View):
    """How many certificates were asked for."""

    count: int = Field(examples=[42])


class BucketView(View):
    """A value, and how many certificates or places have it."""

    value: str | int | bool = Field(examples=["rsa"])
    count: int
    query: str = Field(description="What finds the certificates.", examples=["key.type = rsa"])


class FacetView(View):
    """The commonest values of a field, the commonest first."""

    field: str = Field(examples=["key.type"])
    buckets: list[BucketView]
    counts: Subject = Field(
        description="What is counted: for a field of places, the places that the certificates are at."
    )
    missing: int | None = Field(description="How many have no value; null for fields of places.")
    values: int = Field(description="How many values there are, also those not shown.")


class FacetsView(View):
    """How the certificates that were asked for differ."""

    facets: list[FacetView]


class QueryFieldView(View):
    """A field of the query language."""

    name: str = Field(examples=["key.size"], description="`.*` at its end stands for any name below it.")
    kind: ValueKind
    about: str
    subject: Subject = Field(
        description="Terms about a place that are joined by `and` are about one and the same place."
    )
    operators: list[Operator] = Field(description="`has` is the field alone.")
    choices: list[str] = Field(
        description="The values it can have, the least first where they have an order."
    )
    is_sortable: bool
    is_countable: bool = Field(description="Whether facets count by it.")


def search_routes(searching: Searching, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    @routes.get("/query-fields", summary="List what a query may ask, and how")
    async def list_query_fields(_caller: Reader) -> Page[QueryFieldView]:
        return Page(
            items=[QueryFieldView.model_validate(each) for each in CATALOGUE.fields], next_cursor=None
        )

    @routes.get("/certificates/count", summary="Count the certificates that a query finds")
    async def count_certificates(caller: Reader, wanted: Wishes) -> CountView:
        return CountView(count=await searching.count(wanted.seen_by(caller, now=clock())))

    @routes.get("/certificates/facets", summary="Show by what the certificates that a query finds differ")
    async def get_certificate_facets(
        caller: Reader,
        wanted: Wishes,
        by: Annotated[
            str,
            Query(max_length=500, description="Fields, with commas between.", examples=["key.type,issuer"]),
        ],
        limit: Annotated[int, Query(ge=1, le=100, description="Values shown of each field.")] = 20,
    ) -> FacetsView:
        found = await searching.facets(wanted.seen_by(caller, now=clock()), fields=counted(by), limit=limit)
        return FacetsView(facets=[_facet(each) for each in found])

    @routes.get(
        "/certificates/export",
        summary="Download all certificates that a query finds",
        response_class=StreamingResponse,
        responses={200: {"content": _EXPORTED, "description": "The file, as it is read."}},
    )
    async def export_certificates(
        caller: Reader,
        wanted: Wishes,
        sorting: Sorting,
        form: Annotated[Format, Query(alias="format")] = Format.CSV,
        named: Annotated[
            str | None,
            Query(
                alias="columns",
                max_length=500,
                description=f"Some of {', '.join(COLUMNS)}, with commas between; by default all.",
                examples=["subject,not_after"],
            ),
        ] = None,
    ) -> StreamingResponse:
        writer = Writer(form, columns(named))
        batches = searching.export(wanted.seen_by(caller, now=clock()), order=sorting.order)
        # The first batch is read before the answer begins: where the database is away, that is an error and no file.
        first = await anext(batches)
        return StreamingResponse(
            _written(writer, first, batches),
            media_type=_MEDIA_TYPES[form],
            headers={"Content-Disposition": f'attachment; filename="certificates.{form}"'},
        )

    return routes


async def _written(
    writer: Writer, first: Sequence[Any], batches: AsyncIterator[Sequence[Any]]
) -> AsyncIterator[str]:
    yield writer.begin() + writer.rows(first)
    async for batch in batches:
        yield writer.rows(batch)
    yield writer.end()


def _facet(found: Facet) -> FacetView:
    return FacetView(
        field=found.field,
        counts=found.counts,
        buckets=[
            BucketView(value=value, count=count, query=_narrowing(found.field, value=value))
            for value, count in found.buckets
        ],
        missing=found.missing,
        values=found.values,
    )


def _narrowing(field: str, *, value: str | int | bool) -> str:
    return write(Question(node=Term(field=field, operator=Operator.EQUAL, values=(value,))))
