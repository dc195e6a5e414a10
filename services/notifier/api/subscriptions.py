"""Routes on subscriptions: consumers declare what they want, read it, and have it played again."""

import json
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from fastapi import Query
from pydantic import AfterValidator, Field, ValidationError, model_validator

from services.notifier.actions.subscriptions import Batch, Made, NewSubscription, Subscriptions
from services.notifier.connectors.webhook import Options as WebhookOptions
from services.notifier.domain.subscriptions import State, Way
from shared.access import Principal, requires
from shared.clock import Clock, Moment
from shared.groups import Groups
from shared.http import Body, Page, Paging, Routes, View, of_query

Reader = Annotated[Principal, requires("subscriptions:read")]
Writer = Annotated[Principal, requires("subscriptions:write")]
Name = Annotated[str, Field(min_length=1, max_length=200, examples=["CMDB"])]
_ONCE = "What the consumer needs, shown this once."


def _safe(url: str) -> str:
    """Return an address that a webhook may have. Raises `ValueError`."""
    try:
        return WebhookOptions(url=url).url
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"]) from None


class WebhookBody(Body):
    """Where messages are sent to."""

    url: Annotated[str, AfterValidator(_safe)] = Field(
        max_length=2000, examples=["https://consumer.example.test/everleaf"]
    )
    ca_pem: str | None = Field(None, max_length=100_000, description="Trust only these authorities (PEM).")
    signature: Literal["hmac", "ed25519"] = "hmac"


class SubscriptionBody(Body):
    """What a consumer wants, and how it gets it."""

    name: Name
    way: Literal["poll", "webhook", "queue"] = Field(
        description="It asks; or it is sent signed requests; or it gets a RabbitMQ queue of its own.",
        examples=["poll"],
    )
    types: list[Annotated[str, Field(max_length=100)]] = Field(
        [], max_length=100, description="Types of events; left out, all.", examples=[["certificate.renewed"]]
    )
    names: list[Annotated[str, Field(min_length=1, max_length=253)]] = Field(
        [],
        max_length=100,
        description="Only what is about one of these DNS names, or below one: `*.example.com`.",
    )
    groups: Groups = Field(default=[])
    webhook: WebhookBody | None = Field(None, description="Where `way` is `webhook`, and only then.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.way == "webhook") != (self.webhook is not None):
            msg = "say `webhook` where `way` is `webhook`, and only then"
            raise ValueError(msg)
        return self


class SubscriptionView(View):
    """A subscription, without its secrets."""

    id: str
    name: str
    way: Way
    types: list[str]
    names: list[str]
    groups: list[str] = Field(description="It is told of what is in one of them; without any, of everything.")
    options: dict[str, Any]
    state: State
    position: int = Field(description="The number of the last event that was handed over.")
    failures: int = Field(description="How often in a row its consumer has not taken what was to come.")
    last_error: str | None
    created_at: datetime
    created_by: str


class MadeView(SubscriptionView):
    """A subscription, and what its consumer needs."""

    credential: dict[str, str] = Field(description=_ONCE)

    @classmethod
    def of(cls, made: Made) -> "MadeView":
        """Show it."""
        shown = SubscriptionView.model_validate(made.row).model_dump()
        return cls(**shown, credential=dict(made.credential))


class ReplayBody(Body):
    """From when on."""

    since: Moment = Field(examples=["2026-11-27T08:00:00Z"])


class EventsView(View):
    """Some events, in their order."""

    items: list[dict[str, Any]] = Field(description="CloudEvents 1.0, as docs/events.md lists them.")
    after: int = Field(description="Send it as `after` to get what comes next.")

    @classmethod
    def of(cls, batch: Batch) -> "EventsView":
        """Show them."""
        return cls(items=[json.loads(item.body) for item in batch.items], after=batch.after)


def subscription_routes(subscriptions: Subscriptions, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/subscriptions")

    @routes.post("", status_code=201, summary="Subscribe to events")
    async def create_subscription(caller: Writer, body: SubscriptionBody) -> MadeView:
        # Without `Idempotency-Key`: its answer, with a credential in it, would be kept. A name is taken once.
        new = NewSubscription(
            name=body.name,
            way=Way(body.way),
            types=body.types,
            names=body.names,
            groups=body.groups,
            options=body.webhook.model_dump() if body.webhook is not None else {},
        )
        return MadeView.of(await subscriptions.create(new, caller=caller, now=clock()))

    @routes.get("", summary="List subscriptions, newest first")
    async def list_subscriptions(
        caller: Reader, paging: Annotated[Paging, of_query(Paging)]
    ) -> Page[SubscriptionView]:
        after = next(iter(paging.after or ()), None)
        rows = await subscriptions.page(after=after, limit=paging.limit, caller=caller)
        return paging.page([SubscriptionView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{subscription_id}", summary="Show a subscription")
    async def get_subscription(caller: Reader, subscription_id: str) -> SubscriptionView:
        return SubscriptionView.model_validate(await subscriptions.get(subscription_id, caller=caller))

    @routes.delete(
        "/{subscription_id}", status_code=204, summary="Take a subscription away, and its queue with it"
    )
    async def delete_subscription(caller: Writer, subscription_id: str) -> None:
        await subscriptions.delete(subscription_id, caller=caller)

    @routes.post("/{subscription_id}/replay", summary="Hand over again what was kept since an instant")
    async def replay_subscription(caller: Writer, subscription_id: str, body: ReplayBody) -> SubscriptionView:
        row = await subscriptions.replay(subscription_id, since=body.since, caller=caller, now=clock())
        return SubscriptionView.model_validate(row)

    @routes.get(
        "/{subscription_id}/events", summary="Read what comes next, and wait for it where it is to come yet"
    )
    async def read_subscription_events(
        caller: Reader,
        subscription_id: str,
        after: Annotated[
            int | None, Query(ge=0, lt=2**63, description="`after` of the answer before.")
        ] = None,
        wait: Annotated[float, Query(ge=0, le=30, description="Seconds to wait for the first.")] = 0,
        limit: Annotated[int, Query(ge=1, le=100)] = 100,
    ) -> EventsView:
        batch = await subscriptions.events(
            subscription_id,
            after=after,
            limit=limit,
            wait=timedelta(seconds=wait),
            caller=caller,
            now=clock(),
        )
        return EventsView.of(batch)

    return routes
