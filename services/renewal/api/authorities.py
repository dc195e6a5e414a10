"""The routes of authorities. Secrets go in and never come out."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import Field, JsonValue, SecretStr

from services.renewal.actions.authorities import Authorities, NewAuthority
from services.renewal.connectors.registry import AUTHORITIES
from services.renewal.domain.policy import Trust
from shared.access import Principal, requires
from shared.clock import Clock
from shared.groups import OpenGroups
from shared.http import Body, Page, Paging, Routes, View, of_query
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("authorities:read")]
Writer = Annotated[Principal, requires("authorities:write")]
AllPages = Annotated[Paging, of_query(Paging)]
PEM = "application/pem-certificate-chain"


class AuthorityBody(Body):
    """A new authority."""

    name: str = Field(min_length=1, max_length=200, examples=["letsencrypt"])
    kind: str = Field(max_length=50, examples=["acme", "builtin"])
    options: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="As the kind of authority wants them.",
        examples=[
            {
                "directory_url": "https://acme-v02.api.letsencrypt.org/directory",
                "contacts": ["mailto:pki@example.com"],
            }
        ],
    )
    secrets: dict[str, SecretStr] = Field(
        default_factory=dict, description="As the kind of authority wants them; never shown.", examples=[{}]
    )
    trust: Trust | None = Field(
        None,
        description="`public` where browsers trust it: then the CA/Browser Forum's rules hold. "
        "Left out: public for the ACME directories that are known to be.",
        examples=["private"],
    )
    groups: OpenGroups = Field(default=[])


class GroupsBody(Body):
    """The groups that an object is to be in."""

    groups: OpenGroups


class SecretsBody(Body):
    """The secrets that an authority is to have, all of them."""

    secrets: dict[str, SecretStr] = Field(
        description="As the kind of authority wants them; never shown.", examples=[{"token": "…"}]
    )


class AuthorityKindView(View):
    """A kind of authority, with the JSON Schemas of its options and its secrets."""

    kind: str = Field(examples=["acme"])
    summary: str
    options: dict[str, Any]
    secrets: dict[str, Any]


class AuthorityKindsView(View):
    """Every kind of authority."""

    items: list[AuthorityKindView]


class AuthorityView(View):
    """An authority, without its secrets."""

    id: str = Field(examples=["0191d7a2-8f4e-7c3b-9d5e-1f2a3b4c5d6e"])
    name: str
    kind: str
    options: dict[str, Any]
    trust: Trust
    groups: list[str] = Field(description="Who sees it; `*` is everybody.")
    created_at: datetime
    created_by: str


def authority_kind_routes() -> Routes:
    """Build the route that says what there is to choose from."""
    routes = Routes(prefix="/v1")

    @routes.get("/authority-kinds", summary="List the kinds of authority")
    async def list_authority_kinds(_caller: Reader) -> AuthorityKindsView:
        items = [
            AuthorityKindView(
                kind=kind.kind,
                summary=kind.summary,
                options=kind.options_type.model_json_schema(),
                secrets=kind.secrets_type.model_json_schema(),
            )
            for kind in AUTHORITIES
        ]
        return AuthorityKindsView(items=items)

    return routes


def authority_routes(authorities: Authorities, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/authorities")

    @routes.post("", summary="Make an authority known", status_code=201)
    async def create_authority(
        caller: Writer, request: Request, body: AuthorityBody, key: IdempotencyKey = None
    ) -> AuthorityView:
        async def create() -> AuthorityView:
            new = NewAuthority(**{name: getattr(body, name) for name in AuthorityBody.model_fields})
            return AuthorityView.model_validate(await authorities.create(new, caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=AuthorityView, create=create)

    @routes.get("", summary="List authorities")
    async def list_authorities(caller: Reader, paging: AllPages) -> Page[AuthorityView]:
        after = paging.after[0] if paging.after else None
        rows = await authorities.page(after=after, limit=paging.limit, caller=caller)
        return paging.page([AuthorityView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/{authority_id}", summary="Show an authority")
    async def get_authority(caller: Reader, authority_id: str) -> AuthorityView:
        return AuthorityView.model_validate(await authorities.get(authority_id, caller=caller))

    @routes.put("/{authority_id}/groups", summary="Put an authority into these groups, and no others")
    async def put_authority_groups(caller: Writer, authority_id: str, body: GroupsBody) -> AuthorityView:
        row = await authorities.put_into(authority_id, body.groups, caller=caller)
        return AuthorityView.model_validate(row)

    @routes.put("/{authority_id}/secrets", summary="Give an authority new secrets, in place of all it had")
    async def put_authority_secrets(caller: Writer, authority_id: str, body: SecretsBody) -> AuthorityView:
        row = await authorities.renew_secrets(authority_id, body.secrets, caller=caller, now=clock())
        return AuthorityView.model_validate(row)

    @routes.get(
        "/{authority_id}/roots",
        summary="Download the roots that clients have to trust",
        response_class=Response,
        responses={200: {"content": {PEM: {"schema": {"type": "string"}}}, "description": "PEM."}},
    )
    async def get_authority_roots(caller: Reader, authority_id: str) -> Response:
        return Response(await authorities.roots_pem(authority_id, caller=caller), media_type=PEM)

    return routes
