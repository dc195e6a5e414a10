"""The routes of targets, their kinds, and the host keys they are known by."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Header, Query, Request, Response
from pydantic import Field, JsonValue

from services.provisioner import store
from services.provisioner.actions.targets import NewTarget, TargetChange, Targets
from services.provisioner.connectors.registry import TARGETS, is_host
from shared.access import Principal, requires
from shared.clock import Clock
from shared.groups import Groups
from shared.http import Body, Page, Paging, Routes, View, etag, of_query
from shared.idempotency import IdempotencyKey, Once
from shared.openapi import may_fail

Reader = Annotated[Principal, requires("targets:read")]
Writer = Annotated[Principal, requires("targets:write")]
AllPages = Annotated[Paging, of_query(Paging)]
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The `ETag` that was read.")]

HOST = Field(min_length=1, max_length=253, pattern=r"^[0-9A-Za-z.:_-]+$", examples=["web-1.example.com"])
PORT = Field(ge=1, le=65535, examples=[22])
USERNAME = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$", examples=["everleaf"])
HOST_KEY = Field(
    min_length=20,
    max_length=4000,
    description="The OpenSSH public key the host must prove to have; compare it with the host's console.",
    examples=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKuvWfH8bCRX0sMpXnHnzEgTMw0CzXmCcQsGlvUvrJ"],
)
CREDENTIAL = Field(
    description="Write-only: it is sealed, and never shown again. Of the shape that GET /v1/target-kinds says for the kind.",
    examples=[{"private_key": "…"}, {"token": "…"}],
)


class TargetBody(Body):
    """A new target: a host with `host`, `username` and `host_key`, or an API whose `options` say where it is."""

    name: str = Field(min_length=1, max_length=200, examples=["web-1"])
    kind: str = Field(max_length=50, examples=["nginx"])
    host: Annotated[str | None, HOST] = None
    port: Annotated[int | None, PORT] = Field(None, description="Of a host; left out, 22.")
    username: Annotated[str | None, USERNAME] = None
    host_key: Annotated[str | None, HOST_KEY] = None
    credential: Annotated[dict[str, JsonValue], CREDENTIAL] = Field(default_factory=dict)
    options: dict[str, JsonValue] = Field({}, examples=[{"command_prefix": "sudo -n"}])
    groups: Groups = Field(default=[])


class TargetChangeBody(Body):
    """What to change; what is left out stays."""

    host: Annotated[str, HOST] | None = None
    port: Annotated[int, PORT] | None = None
    username: Annotated[str, USERNAME] | None = None
    host_key: Annotated[str, HOST_KEY] | None = None
    credential: Annotated[dict[str, JsonValue] | None, CREDENTIAL] = None
    options: dict[str, JsonValue] | None = None
    groups: Groups | None = None


class TargetView(View):
    """A target, without its credential; only a host has host, port, username and host key."""

    id: str
    name: str = Field(examples=["web-1"])
    kind: str
    host: str | None
    port: int | None
    username: str | None
    host_key: str | None
    options: dict[str, Any]
    groups: list[str]
    version: int
    created_at: datetime
    created_by: str
    updated_at: datetime


class CheckView(View):
    """One thing that was tried."""

    name: str = Field(examples=["host_key"])
    ok: bool
    text: str


class ChecksView(View):
    """Whether a target can be worked on; the checks end at the first that fails."""

    ok: bool
    checks: list[CheckView]


class HostKeyView(View):
    """The key a host shows. Compare its fingerprint with the host's own before it is trusted."""

    host_key: str
    fingerprint: str = Field(examples=["SHA256:8h3UoTWBvlJkmcWJW8iWNUMoYdPkyYtt4Qk2TXKVK4U"])


class KindView(View):
    """A kind of target, with the JSON Schemas of its credential, options and slots."""

    kind: str = Field(examples=["nginx"])
    summary: str
    is_host: bool = Field(description="Whether it is reached by SSH; else it is an API.")
    credential: dict[str, Any]
    options: dict[str, Any]
    slot: dict[str, Any]


class KindsView(View):
    """Every kind of target."""

    items: list[KindView]


def target_routes(targets: Targets, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")
    _add_reading(routes, targets)
    _add_looking(routes, targets)

    @routes.post("/targets", summary="Make a target known", status_code=201)
    async def create_target(
        caller: Writer, request: Request, body: TargetBody, key: IdempotencyKey = None
    ) -> TargetView:
        async def create() -> TargetView:
            new = NewTarget(**{name: getattr(body, name) for name in TargetBody.model_fields})
            return TargetView.model_validate(await targets.create(new, caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=TargetView, create=create)

    @routes.patch("/targets/{target_id}", summary="Change how a target is reached, or its groups")
    async def change_target(
        caller: Writer,
        target_id: str,
        body: TargetChangeBody,
        response: Response,
        if_match: IfMatch = None,
    ) -> TargetView:
        change = TargetChange(**{name: getattr(body, name) for name in TargetChangeBody.model_fields})
        row = await targets.change(target_id, change, if_match=if_match, caller=caller, now=clock())
        return _shown(row, response)

    @routes.delete("/targets/{target_id}", summary="Forget a target", status_code=204)
    async def delete_target(caller: Writer, target_id: str) -> None:
        await targets.delete(target_id, caller=caller)

    return routes


def _add_reading(routes: Routes, targets: Targets) -> None:
    @routes.get("/targets", summary="List targets")
    async def list_targets(caller: Reader, paging: AllPages) -> Page[TargetView]:
        after = paging.after[0] if paging.after else None
        rows = await targets.page(after=after, limit=paging.limit, caller=caller)
        return paging.page([TargetView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/targets/{target_id}", summary="Show a target")
    async def get_target(caller: Reader, target_id: str, response: Response) -> TargetView:
        return _shown(await targets.get(target_id, caller=caller), response)

    @routes.get("/target-kinds", summary="List the kinds of target")
    async def list_target_kinds(_caller: Reader) -> KindsView:
        items = [
            KindView(
                kind=kind.kind,
                summary=kind.summary,
                is_host=is_host(kind),
                credential=kind.credential_type.model_json_schema(),
                options=kind.options_type.model_json_schema(),
                slot=kind.slot_type.model_json_schema(),
            )
            for kind in TARGETS
        ]
        return KindsView(items=items)


def _add_looking(routes: Routes, targets: Targets) -> None:
    @routes.post("/targets/{target_id}/check", summary="Connect to a target and say what works")
    async def check_target(caller: Writer, target_id: str) -> ChecksView:
        checks = [CheckView.model_validate(check) for check in await targets.check(target_id, caller=caller)]
        return ChecksView(ok=all(check.ok for check in checks), checks=checks)

    @routes.get(
        "/host-keys",
        summary="Show the SSH host key that is seen at an address now",
        responses=may_fail(502),
    )
    async def get_host_key(
        _caller: Writer,
        host: Annotated[str, Query(max_length=253, pattern=r"^[0-9A-Za-z.:_-]+$", examples=["192.0.2.10"])],
        port: Annotated[int, Query(ge=1, le=65535)] = 22,
    ) -> HostKeyView:
        return HostKeyView.model_validate(await targets.host_key(host, port=port))


def _shown(row: store.Target, response: Response) -> TargetView:
    response.headers["ETag"] = etag(row.version)
    return TargetView.model_validate(row)
