"""Routes on channels. Secrets go in and never come out."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import Header, Request, Response
from pydantic import Field, SecretStr, model_validator

from services.notifier.actions.channels import ChannelChange, Channels, NewChannel
from services.notifier.connectors import Delivered, Later, Sent
from services.notifier.connectors.registry import CHANNELS
from shared.access import Principal, requires
from shared.clock import Clock
from shared.groups import Groups
from shared.http import Body, Page, Paging, Routes, View, check_if_match, etag, of_query
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("channels:read")]
Writer = Annotated[Principal, requires("channels:write")]
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The `ETag` you have read.")]

_OPTIONS: list[dict[str, Any]] = [
    {"host": "mail.example.test", "from": "everleaf@example.test", "to": ["operators@example.test"]},
    {"url": "https://hooks.example.test/everleaf"},
]
"""Of a channel by mail, and of a webhook, as the kinds of the examples are."""
_SECRETS: list[dict[str, str]] = [{}, {"signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAA"}]
"""Examples for documents, in the same order; nobody has them."""

Secrets = Annotated[
    dict[str, SecretStr],
    Field(description="As the kind of channel wants them; never shown.", examples=_SECRETS),
]
Options = Annotated[
    dict[str, Any], Field(description="As the kind of channel wants them.", examples=_OPTIONS)
]
Name = Annotated[str, Field(min_length=1, max_length=200, examples=["operators by mail"])]


class ChannelBody(Body):
    """A channel to be made."""

    name: Name
    kind: str = Field(max_length=50, examples=["email", "webhook"])
    options: Options
    secrets: Secrets = Field(default_factory=dict)
    enabled: bool = True
    groups: Groups = Field(default=[])


class ChannelPatch(Body):
    """What is to be another; options and secrets are replaced whole."""

    name: Name | None = None
    options: Options | None = None
    secrets: Secrets | None = None
    enabled: bool | None = None
    groups: Groups | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            msg = "say what to change"
            raise ValueError(msg)
        return self


class ChannelView(View):
    """A channel, without its secrets."""

    id: str = Field(examples=["0191d7a2-8f4e-7c3b-9d5e-1f2a3b4c5d6e"])
    name: str
    kind: str
    options: dict[str, Any]
    enabled: bool
    disabled_because: str | None = Field(description="Why the notifier itself turned it off.")
    groups: list[str] = Field(description="It is told of what is in one of them; without any, of everything.")
    version: int
    created_at: datetime
    updated_at: datetime


class ChannelKindView(View):
    """A kind of channel, with the JSON Schemas of its options and its secrets."""

    kind: str = Field(examples=["email"])
    summary: str
    options: dict[str, Any]
    secrets: dict[str, Any]


class ChannelKindsView(View):
    """Every kind of channel."""

    items: list[ChannelKindView]


def channel_kind_routes() -> Routes:
    """Build the route that says what there is to choose from."""
    routes = Routes(prefix="/v1")

    @routes.get("/channel-kinds", summary="List the kinds of channel")
    async def list_channel_kinds(_caller: Reader) -> ChannelKindsView:
        items = [
            ChannelKindView(
                kind=kind.kind,
                summary=kind.summary,
                options=kind.options_type.model_json_schema(),
                secrets=kind.secrets_type.model_json_schema(),
            )
            for kind in CHANNELS
        ]
        return ChannelKindsView(items=items)

    return routes


class TrialView(View):
    """What became of a test: `later` may pass, or is to be put right; `never` is the receiver's last word."""

    outcome: Literal["delivered", "later", "never"]
    answer: str = Field(description="What the other side said, or why nothing was said.")
    refused: dict[str, str] = Field(description="Recipients that were refused, and why.")

    @classmethod
    def of(cls, sent: Sent) -> "TrialView":
        """Show what became of it."""
        refused = dict(sent.progress.refused)
        if isinstance(sent, Delivered):
            return cls(outcome="delivered", answer=sent.answer, refused=refused)
        return cls(
            outcome="later" if isinstance(sent, Later) else "never", answer=sent.reason, refused=refused
        )


def channel_routes(channels: Channels, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/channels")

    @routes.post("", status_code=201, summary="Make a channel")
    async def create_channel(
        caller: Writer, body: ChannelBody, request: Request, key: IdempotencyKey = None
    ) -> ChannelView:
        new = NewChannel(
            name=body.name,
            kind=body.kind,
            options=body.options,
            secrets=body.secrets,
            enabled=body.enabled,
            groups=body.groups,
        )

        async def create() -> ChannelView:
            return ChannelView.model_validate(await channels.create(new, caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=ChannelView, create=create)

    @routes.get("", summary="List channels, newest first")
    async def list_channels(caller: Reader, paging: Annotated[Paging, of_query(Paging)]) -> Page[ChannelView]:
        after = next(iter(paging.after or ()), None)
        rows = await channels.page(after=after, limit=paging.limit, caller=caller)
        return paging.page([ChannelView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{channel_id}", summary="Show a channel")
    async def get_channel(caller: Reader, channel_id: str, response: Response) -> ChannelView:
        row = await channels.get(channel_id, caller=caller)
        response.headers["ETag"] = etag(row.version)
        return ChannelView.model_validate(row)

    @routes.patch("/{channel_id}", summary="Change a channel")
    async def change_channel(
        caller: Writer, channel_id: str, body: ChannelPatch, response: Response, if_match: IfMatch = None
    ) -> ChannelView:
        present = await channels.get(channel_id, caller=caller)
        check_if_match(if_match, version=present.version)
        change = ChannelChange(
            name=body.name,
            options=body.options,
            secrets=body.secrets,
            enabled=body.enabled,
            groups=body.groups,
            expected=present.version if if_match else None,
        )
        row = await channels.change(channel_id, change=change, caller=caller, now=clock())
        response.headers["ETag"] = etag(row.version)
        return ChannelView.model_validate(row)

    @routes.delete("/{channel_id}", status_code=204, summary="Take a channel away")
    async def delete_channel(caller: Writer, channel_id: str) -> None:
        await channels.delete(channel_id, caller=caller)

    @routes.post("/{channel_id}/test", summary="Send a test through a channel now, and say what came back")
    async def test_channel(caller: Writer, channel_id: str) -> TrialView:
        return TrialView.of(await channels.test(channel_id, caller=caller, now=clock()))

    return routes
