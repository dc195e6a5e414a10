"""The routes of principals and API keys."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Header, Query, Request, Response
from pydantic import Field

from services.inventory.actions.principals import MadeKey, NewPrincipal, Principals
from services.inventory.domain.credentials import Kind
from services.inventory.domain.rights import Rights
from services.inventory.store.tables import PrincipalRow
from shared.access import Principal, base64url, requires
from shared.clock import Clock
from shared.groups import GroupId
from shared.http import Body, Page, Paging, Routes, View, check_if_match, etag, of_query
from shared.idempotency import IdempotencyKey, Once

Admin = Annotated[Principal, requires("principals:admin")]
Reader = Annotated[Principal, requires("principal-names:read")]
Auditor = Annotated[Principal, requires("principal-names:audit")]
AllPages = Annotated[Paging, of_query(Paging)]
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The `ETag` you have read.")]
Roles = Annotated[list[str], Field(max_length=20, examples=[["viewer"]])]
Permissions = Annotated[list[str], Field(max_length=100, examples=[["scans:write"]])]
Groups = Annotated[
    list[GroupId],
    Field(
        max_length=100,
        description="Ids of groups; roles and permissions hold for what is in one of them. None means everything.",
        examples=[["web"]],
    ),
]
_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


class PrincipalBody(Body):
    """Somebody or something that is to ask."""

    name: str = Field(
        min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9 @._-]*$", examples=["ci"]
    )
    kind: Kind = Field(examples=["machine"])
    roles: Roles = Field(default=[])
    permissions: Permissions = Field(default=[])
    groups: Groups = Field(default=[])


class RightsBody(Body):
    """What a principal may do, instead of what it could before: all three, so that none is widened by being left out."""

    roles: Roles
    permissions: Permissions
    groups: Groups


class PrincipalView(View):
    """A principal."""

    id: str = Field(examples=[_ID])
    name: str
    kind: Kind
    roles: list[str]
    permissions: list[str]
    groups: list[str] = Field(description="What roles and permissions are scoped to; none means everything.")
    is_from_provider: bool = Field(
        description="Whether it signs in through the OpenID provider, which decides what it may do."
    )
    version: int
    disabled_at: datetime | None
    void_until: datetime | None = Field(description="Tokens issued at this instant or before are refused.")
    sealing_key: str | None = Field(description="The X25519 public key it is pinned to, base64url.")
    created_at: datetime
    created_by: str


class NameView(View):
    """What a principal is called."""

    id: str = Field(examples=[_ID])
    name: str = Field(examples=["ada"])


class NamesView(View):
    """What principals are called, in the order of the names."""

    items: list[NameView]

    @classmethod
    def of(cls, names: Mapping[str, str]) -> "NamesView":
        """Show names, by the ids of whose they are."""
        return cls(items=[NameView(id=principal_id, name=name) for principal_id, name in names.items()])


class ApiKeyView(View):
    """An API key, without the key."""

    id: str = Field(examples=[_ID])
    principal_id: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class PrincipalReportView(PrincipalView):
    """A principal and its API keys."""

    api_keys: list[ApiKeyView]


class ApiKeyBody(Body):
    """How long the key is to last."""

    days: int = Field(90, ge=1, le=365, examples=[90])


class MadeKeyView(ApiKeyView):
    """An API key, in clear this once: nobody can show it again."""

    key: str = Field(examples=["evl_…"])


def principal_routes(principals: Principals, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")
    _add_reading(routes, principals)
    _add_names(routes, principals)
    _add_rights(routes, principals, clock=clock)
    _add_keys(routes, principals, clock=clock)

    @routes.post("/principals", summary="Make a principal", status_code=201)
    async def create_principal(
        caller: Admin, request: Request, body: PrincipalBody, key: IdempotencyKey = None
    ) -> PrincipalView:
        async def create() -> PrincipalView:
            new = NewPrincipal(**body.model_dump())
            return _shown(await principals.create(new, caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=PrincipalView, create=create)

    return routes


def _add_reading(routes: Routes, principals: Principals) -> None:
    @routes.get("/principals", summary="List principals")
    async def list_principals(caller: Admin, paging: AllPages) -> Page[PrincipalView]:
        after = paging.after[0] if paging.after else None
        rows = await principals.page(caller=caller, after=after, limit=paging.limit)
        return paging.page([_shown(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/principals/{principal_id}", summary="Show a principal and its API keys")
    async def get_principal(caller: Admin, principal_id: str, response: Response) -> PrincipalReportView:
        row, keys = await principals.get(principal_id, caller=caller)
        response.headers["ETag"] = etag(row.version)
        return PrincipalReportView(
            **_shown(row).model_dump(), api_keys=[ApiKeyView.model_validate(key) for key in keys]
        )


def _add_names(routes: Routes, principals: Principals) -> None:
    @routes.get(
        "/principal-names",
        summary="Show what principals are called, by their ids",
        description="Whoever sees what somebody did may know by name who it was: of principals that are limited to "
        "other groups than the caller nothing is told, as if they were not there.",
    )
    async def list_principal_names(
        caller: Reader,
        ids: Annotated[list[str], Query(alias="id", min_length=1, max_length=100, examples=[[_ID]])],
    ) -> NamesView:
        return NamesView.of(await principals.names(ids, caller=caller))

    @routes.get(
        "/principal-names/search",
        summary="Find principals by a part of their names",
        description="For who searches the audit trail: only they, and administrators, may find out who there is.",
    )
    async def search_principal_names(
        caller: Auditor,
        text: Annotated[str, Query(max_length=100, description="Whatever its case.", examples=["ada"])] = "",
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> NamesView:
        return NamesView.of(await principals.names_with(text, caller=caller, limit=limit))


def _add_rights(routes: Routes, principals: Principals, *, clock: Clock) -> None:
    @routes.put(
        "/principals/{principal_id}/rights", summary="Give a principal other roles, permissions and groups"
    )
    async def set_rights(
        caller: Admin, principal_id: str, body: RightsBody, response: Response, if_match: IfMatch = None
    ) -> PrincipalView:
        present, _ = await principals.get(principal_id, caller=caller)
        check_if_match(if_match, version=present.version)
        wanted = Rights(kind=Kind(present.kind), **body.model_dump())
        row = await principals.set_rights(
            principal_id, wanted, expected=present.version, caller=caller, now=clock()
        )
        response.headers["ETag"] = etag(row.version)
        return _shown(row)

    @routes.post("/principals/{principal_id}/disable", summary="Let a principal do nothing any more")
    async def disable_principal(caller: Admin, principal_id: str) -> PrincipalView:
        return _shown(await principals.disable(principal_id, caller=caller, now=clock()))

    @routes.post("/principals/{principal_id}/enable", summary="Let a disabled principal ask again")
    async def enable_principal(caller: Admin, principal_id: str) -> PrincipalView:
        return _shown(await principals.enable(principal_id, caller=caller, now=clock()))

    @routes.post("/principals/{principal_id}/unpin", summary="Let a principal send another sealing key")
    async def unpin_principal(caller: Admin, principal_id: str) -> PrincipalView:
        return _shown(await principals.unpin(principal_id, caller=caller))


def _add_keys(routes: Routes, principals: Principals, *, clock: Clock) -> None:
    # No Idempotency-Key here: a remembered answer would hold the key in clear.
    @routes.post(
        "/principals/{principal_id}/api-keys", summary="Make an API key, shown this once", status_code=201
    )
    async def create_api_key(caller: Admin, principal_id: str, body: ApiKeyBody) -> MadeKeyView:
        made = await principals.create_api_key(
            principal_id, lifetime=timedelta(days=body.days), caller=caller, now=clock()
        )
        return _made(made)

    @routes.delete(
        "/api-keys/{key_id}", summary="Revoke an API key and the tokens of its holder", status_code=204
    )
    async def revoke_api_key(caller: Admin, key_id: str) -> None:
        await principals.revoke_api_key(key_id, caller=caller, now=clock())


def _shown(row: PrincipalRow) -> PrincipalView:
    sealing_key = base64url(row.sealing_key) if row.sealing_key is not None else None
    shown = {**row.model_dump(), "sealing_key": sealing_key, "is_from_provider": row.identity is not None}
    return PrincipalView.model_validate(shown)


def _made(made: MadeKey) -> MadeKeyView:
    return MadeKeyView(**ApiKeyView.model_validate(made.row).model_dump(), key=made.key)
