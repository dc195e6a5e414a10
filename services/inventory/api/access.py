"""The routes of tokens, principals and API keys."""

import binascii
from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import Depends, Header, Request
from pydantic import Field

from services.inventory.actions.access import Access, MadeKey, NewPrincipal
from services.inventory.domain.credentials import Kind
from services.inventory.store.tables import PrincipalRow
from shared.access import Principal, base64url, requires, unbase64url
from shared.clock import Clock
from shared.errors import Fault, Invalid, Unauthenticated
from shared.http import Body, Page, Paging, Routes, View, public
from shared.idempotency import IdempotencyKey, Once

Admin = Annotated[Principal, requires("principals:admin")]
AllPages = Annotated[Paging, Depends()]
_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


class TokenBody(Body):
    """What a token is asked with, beside the API key in `Authorization`."""

    sealing_key: str | None = Field(
        None,
        max_length=100,
        description="The caller's raw X25519 public key, base64url; the first one sent is pinned.",
        examples=["3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"],
    )


class TokenView(View):
    """A token and when it ends."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the scheme, not a secret
    expires_at: datetime


class PrincipalBody(Body):
    """Somebody or something that is to ask."""

    name: str = Field(
        min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9 @._-]*$", examples=["ci"]
    )
    kind: Kind = Field(examples=["machine"])
    roles: list[str] = Field(default=[], max_length=20, examples=[["viewer"]])
    permissions: list[str] = Field(default=[], max_length=100, examples=[["scans:write"]])


class PrincipalView(View):
    """A principal."""

    id: str = Field(examples=[_ID])
    name: str
    kind: Kind
    roles: list[str]
    permissions: list[str]
    sealing_key: str | None = Field(description="The X25519 public key it is pinned to, base64url.")
    created_at: datetime
    created_by: str


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


class KeysView(View):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, str]]


def access_routes(access: Access, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    @routes.get(
        "/jwks.json",
        summary="The keys tokens are verified with",
        openapi_extra=public("the keys tokens are verified with"),
    )
    async def get_jwks() -> KeysView:
        return KeysView(keys=await access.published_keys())

    @routes.post(
        "/tokens",
        summary="Exchange an API key, sent as bearer, for a token",
        openapi_extra=public("an API key is sent instead of a token"),
    )
    async def create_token(
        body: TokenBody, authorization: Annotated[str | None, Header()] = None
    ) -> TokenView:
        granted = await access.exchange(
            _bearer(authorization), sealing_key=_raw_key(body.sealing_key), now=clock()
        )
        return TokenView(access_token=granted.token, expires_at=granted.expires_at)

    @routes.post("/principals", summary="Make a principal", status_code=201)
    async def create_principal(
        caller: Admin, request: Request, body: PrincipalBody, key: IdempotencyKey = None
    ) -> PrincipalView:
        async def create() -> PrincipalView:
            new = NewPrincipal(name=body.name, kind=body.kind, roles=body.roles, permissions=body.permissions)
            return _shown(await access.create_principal(new, caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=PrincipalView, create=create)

    @routes.get("/principals", summary="List principals")
    async def list_principals(_caller: Admin, paging: AllPages) -> Page[PrincipalView]:
        after = paging.after[0] if paging.after else None
        rows = await access.principals(after=after, limit=paging.limit)
        return paging.page([_shown(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/principals/{principal_id}", summary="Show a principal and its API keys")
    async def get_principal(_caller: Admin, principal_id: str) -> PrincipalReportView:
        row, keys = await access.principal(principal_id)
        return PrincipalReportView(
            **_shown(row).model_dump(), api_keys=[ApiKeyView.model_validate(key) for key in keys]
        )

    # No Idempotency-Key here: a remembered answer would hold the key in clear.
    @routes.post(
        "/principals/{principal_id}/api-keys", summary="Make an API key, shown this once", status_code=201
    )
    async def create_api_key(caller: Admin, principal_id: str, body: ApiKeyBody) -> MadeKeyView:
        made = await access.create_api_key(
            principal_id, lifetime=timedelta(days=body.days), caller=caller, now=clock()
        )
        return _made(made)

    @routes.post("/principals/{principal_id}/unpin", summary="Let a principal send another sealing key")
    async def unpin_principal(_caller: Admin, principal_id: str) -> PrincipalView:
        return _shown(await access.unpin(principal_id))

    @routes.delete("/api-keys/{key_id}", summary="Revoke an API key", status_code=204)
    async def revoke_api_key(_caller: Admin, key_id: str) -> None:
        await access.revoke_api_key(key_id, now=clock())

    return routes


def _shown(row: PrincipalRow) -> PrincipalView:
    sealing_key = base64url(row.sealing_key) if row.sealing_key is not None else None
    return PrincipalView.model_validate({**row.model_dump(), "sealing_key": sealing_key})


def _made(made: MadeKey) -> MadeKeyView:
    return MadeKeyView(**ApiKeyView.model_validate(made.row).model_dump(), key=made.key)


def _bearer(authorization: str | None) -> str:
    scheme, _, key = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise Unauthenticated(
            "The request carries no API key.", next_step="Send it as `Authorization: Bearer evl_…`."
        )
    return key.strip()


def _raw_key(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return unbase64url(text)
    except (binascii.Error, ValueError) as error:
        raise Invalid(
            "The sealing key is not base64url.",
            next_step="Send the 32 bytes of the X25519 public key in base64url, without padding.",
            faults=[Fault(pointer="/body/sealing_key", message="not base64url")],
        ) from error
