"""Routes on hooks, and the one door that is opened by a signature instead of a token."""

from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import Request
from pydantic import Field, SecretStr, model_validator

from services.notifier.actions.hooks import Hooks, NewHook, Passed
from services.notifier.domain.approvals import KnownApprover
from shared.access import Principal, requires
from shared.clock import Clock
from shared.groups import Groups
from shared.http import Body, Page, Paging, Routes, View, of_query, public
from shared.idempotency import IdempotencyKey, Once
from shared.openapi import Problem

Admin = Annotated[Principal, requires("approval-hooks:admin")]
SIGNED = "the message is signed with the hook's secret (Standard Webhooks)"


class ApproverBody(Body):
    """Who somebody is here, by what they are called there."""

    external: str = Field(min_length=1, max_length=300, examples=["ann@example.com"])
    principal: str = Field(min_length=1, max_length=100, description="A principal's id.", examples=["ann"])
    roles: list[Literal["approver", "admin"]] = Field([], description="Those that their word counts with.")


class HookBody(Body):
    """A hook to be made."""

    name: str = Field(min_length=1, max_length=200, examples=["service desk"])
    signing_secret: SecretStr | None = Field(
        None,
        description="`whsec_` and 24 to 64 random bytes in base64; never shown. Without it no message is taken.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAA"],
    )
    channel_id: str | None = Field(
        None,
        max_length=36,
        description="What is decided in the tickets of this channel is passed on, as long as nobody changes its options.",
    )
    approvers: list[ApproverBody] = Field(min_length=1, max_length=1000)
    groups: Groups = Field(default=[])

    @model_validator(mode="after")
    def _is_of_use(self) -> Self:
        if self.signing_secret is None and self.channel_id is None:
            msg = "send a signing_secret, or a channel_id"
            raise ValueError(msg)
        return self


class HookView(View):
    """A hook, without its secret."""

    id: str
    name: str
    approvers: list[ApproverBody]
    channel_id: str | None = Field(description="The channel in whose tickets people decide.")
    groups: list[str] = Field(description="It speaks for people in these; without any, in all.")
    created_at: datetime
    created_by: str


class DecisionData(Body):
    """Somebody's decision."""

    approval_id: str = Field(min_length=1, max_length=36)
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="The one that the notice has told.")
    decided_by: str = Field(min_length=1, max_length=300, description="As the hook's `approvers` name them.")
    reason: str = Field(min_length=1, max_length=2000, examples=["CHG0042, approved by the change board"])


class DecisionMessage(Body):
    """A message of Standard Webhooks."""

    type: Literal["approval.granted", "approval.refused"]
    timestamp: datetime | None = Field(
        None, description="For people: the signed time is `webhook-timestamp`."
    )
    data: DecisionData


class TakenView(View):
    """That the message was taken. Whether the decision counts is for who has asked: see the approval."""

    is_first: bool = Field(
        description="False where the same message has come before, and was not taken again."
    )


def hook_routes(hooks: Hooks, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/approval-hooks")

    @routes.post("", status_code=201, summary="Let an outside system pass on what people decide there")
    async def create_approval_hook(
        caller: Admin, body: HookBody, request: Request, key: IdempotencyKey = None
    ) -> HookView:
        async def create() -> HookView:
            new = NewHook(
                name=body.name,
                signing_secret=body.signing_secret,
                approvers=[KnownApprover(**each.model_dump()) for each in body.approvers],
                groups=body.groups,
                channel_id=body.channel_id,
            )
            return HookView.model_validate(await hooks.create(new, caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=HookView, create=create)

    @routes.get("", summary="List hooks, newest first")
    async def list_approval_hooks(
        caller: Admin, paging: Annotated[Paging, of_query(Paging)]
    ) -> Page[HookView]:
        after = next(iter(paging.after or ()), None)
        rows = await hooks.page(after=after, limit=paging.limit, caller=caller)
        return paging.page([HookView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{hook_id}", summary="Show a hook")
    async def get_approval_hook(caller: Admin, hook_id: str) -> HookView:
        return HookView.model_validate(await hooks.get(hook_id, caller=caller))

    @routes.delete("/{hook_id}", status_code=204, summary="Take a hook away")
    async def delete_approval_hook(caller: Admin, hook_id: str) -> None:
        await hooks.delete(hook_id, caller=caller)

    @routes.post(
        "/{hook_id}/decisions",
        status_code=202,
        summary="Pass on what somebody has decided",
        openapi_extra=public(SIGNED),
        responses={401: {"model": Problem, "description": "The message is not signed so, or not of now."}},
    )
    async def pass_on_decision(hook_id: str, body: DecisionMessage, request: Request) -> TakenView:
        content = await request.body()  # the very bytes: those are signed
        message_id = await hooks.authenticate(hook_id, content, request.headers, now=clock())
        passed = Passed(is_granted=body.type == "approval.granted", **body.data.model_dump())
        first = await hooks.pass_on(hook_id, passed, message_id=message_id, now=clock())
        return TakenView(is_first=first)

    return routes
