"""The routes of orders."""

from datetime import datetime
from typing import Annotated

from fastapi import Query, Request
from pydantic import Field

from services.renewal.actions.orders import NewOrder, Orders
from services.renewal.domain.orders import State
from services.renewal.domain.schedule import Reason
from shared.access import Principal, requires
from shared.clock import Clock
from shared.groups import Groups
from shared.http import Body, Page, Paging, Routes, View, of_query
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("orders:read")]
Writer = Annotated[Principal, requires("orders:write")]
AllPages = Annotated[Paging, of_query(Paging)]


class OrderBody(Body):
    """A certificate to be obtained now."""

    names: list[str] = Field(
        default=[],
        max_length=100,
        description="May be left out where a request is brought in `csr`.",
        examples=[["shop.example.com"]],
    )
    profile: str = Field(max_length=200, description="A profile's name.", examples=["web"])
    lineage_id: str | None = Field(
        None, min_length=1, max_length=100, description="What it renews; left out, it begins a new lineage."
    )
    csr: str | None = Field(
        None,
        max_length=32_768,
        description="A request of your own (PKCS#10) in PEM: its key never comes here, and nobody puts it in place for you.",
        examples=[None],
    )
    groups: Groups = Field(default=[])


class OrderView(View):
    """A certificate on its way here."""

    id: str
    lineage_id: str
    state: State
    names: list[str]
    authority: str
    reason: Reason | None = Field(description="Why it was ordered, where the schedule or `renew-now` did.")
    held_by: str | None = Field(description="What it waits for without having failed: `budget` or `loop`.")
    old_fingerprint: str | None
    fingerprint: str | None
    not_before: datetime | None
    not_after: datetime | None
    attempts: int = Field(description="How many attempts have failed.")
    last_error: str | None
    next_step: str | None = Field(description="What a person can do about it.")
    next_attempt_at: datetime | None
    created_at: datetime
    created_by: str
    renewed_at: datetime | None
    observed_at: datetime | None = Field(
        description="When the new certificate was seen in every place of the old one."
    )


class StepView(View):
    """One thing that was done, or that failed."""

    at: datetime
    step: str = Field(examples=["place"])
    text: str


class OrderReport(OrderView):
    """An order with its steps, oldest first, and what was issued."""

    chain: list[str] | None = Field(description="DER in base64, leaf first.")
    steps: list[StepView]


def order_routes(orders: Orders, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/orders")

    @routes.post("", summary="Order a certificate now", status_code=202)
    async def create_order(
        caller: Writer, request: Request, body: OrderBody, key: IdempotencyKey = None
    ) -> OrderView:
        async def create() -> OrderView:
            new = NewOrder(**{name: getattr(body, name) for name in OrderBody.model_fields})
            return OrderView.model_validate(await orders.create(new, caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=OrderView, create=create)

    @routes.get("", summary="List orders")
    async def list_orders(
        caller: Reader,
        paging: AllPages,
        lineage_id: Annotated[str | None, Query(max_length=100)] = None,
        state: State | None = None,
    ) -> Page[OrderView]:
        after = paging.after[0] if paging.after else None
        rows = await orders.page(
            after=after, limit=paging.limit, caller=caller, lineage_id=lineage_id, state=state
        )
        return paging.page([OrderView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{order_id}", summary="Show an order and its steps")
    async def get_order(caller: Reader, order_id: str) -> OrderReport:
        row, steps = await orders.get(order_id, caller=caller)
        shown = OrderView.model_validate(row).model_dump()
        return OrderReport(**shown, chain=row.chain, steps=[StepView.model_validate(step) for step in steps])

    @routes.post("/{order_id}/retry", summary="Try an order again at once", status_code=202)
    async def retry_order(caller: Writer, order_id: str) -> OrderView:
        return OrderView.model_validate(await orders.retry(order_id, caller=caller, now=clock()))

    return routes
