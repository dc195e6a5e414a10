"""Secret stores, which keep credentials of sources, over HTTP."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Request
from pydantic import Field, JsonValue

from services.discovery.actions.secret_stores import NewSecretStore, SecretStores
from services.discovery.api.sources import AllPages, GroupsBody, SourceChecksView, SourceCheckView
from services.discovery.connectors.registry import SECRET_STORES
from shared.access import Principal, requires
from shared.clock import Clock
from shared.groups import Groups
from shared.http import Body, Page, Routes, View
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("secret-stores:read")]
Writer = Annotated[Principal, requires("secret-stores:write")]
Secret = Annotated[
    dict[str, JsonValue],
    Field(
        description="Write-only: it is sealed, and never shown again.",
        examples=[{"role_id": "…", "secret_id": "…"}],
    ),
]


class SecretStoreBody(Body):
    """A new secret store."""

    name: str = Field(min_length=1, max_length=200, examples=["vault"])
    kind: str = Field(max_length=50, examples=["vault-kv"])
    settings: dict[str, JsonValue] = Field(
        examples=[{"url": "https://vault.example.com:8200", "mount": "secret"}]
    )
    credential: Secret
    groups: Groups = Field(default=[])


class SecretStoreCredentialBody(Body):
    """A credential that takes the place of the one before."""

    credential: Secret


class SecretStoreView(View):
    """A secret store, without our credential for it."""

    id: str
    name: str
    kind: str
    settings: dict[str, Any]
    groups: list[str]
    version: int
    created_at: datetime
    created_by: str
    updated_at: datetime


class SecretStoreKindView(View):
    """A kind of secret store, with the JSON Schemas of its settings and its credential."""

    kind: str = Field(examples=["vault-kv"])
    summary: str
    settings: dict[str, Any]
    credential: dict[str, Any]


class SecretStoreKindsView(View):
    """Every kind of secret store."""

    items: list[SecretStoreKindView]


def add_secret_stores(routes: Routes, stores: SecretStores, *, once: Once, clock: Clock) -> None:
    """Add the routes."""
    _add_reading(routes, stores)

    @routes.post("/secret-stores", summary="Make a secret store known", status_code=201)
    async def create_secret_store(
        caller: Writer, request: Request, body: SecretStoreBody, key: IdempotencyKey = None
    ) -> SecretStoreView:
        async def create() -> SecretStoreView:
            new = NewSecretStore(**{name: getattr(body, name) for name in SecretStoreBody.model_fields})
            return SecretStoreView.model_validate(await stores.create(new, caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=SecretStoreView, create=create)

    @routes.put("/secret-stores/{store_id}/credential", summary="Give a secret store a new credential")
    async def renew_secret_store_credential(
        caller: Writer, store_id: str, body: SecretStoreCredentialBody
    ) -> SecretStoreView:
        return SecretStoreView.model_validate(
            await stores.renew_credential(store_id, body.credential, caller=caller, now=clock())
        )

    @routes.put(
        "/secret-stores/{store_id}/groups", summary="Put a secret store into these groups, and no others"
    )
    async def put_secret_store_groups(caller: Writer, store_id: str, body: GroupsBody) -> SecretStoreView:
        row = await stores.put_into(store_id, body.groups, caller=caller, now=clock())
        return SecretStoreView.model_validate(row)

    @routes.delete(
        "/secret-stores/{store_id}",
        summary="Forget a secret store that no source refers to",
        status_code=204,
    )
    async def delete_secret_store(caller: Writer, store_id: str) -> None:
        await stores.delete(store_id, caller=caller)

    @routes.post(
        "/secret-stores/{store_id}/check", summary="Log into a secret store and try what sources refer to"
    )
    async def check_secret_store(caller: Writer, store_id: str) -> SourceChecksView:
        checks = [
            SourceCheckView.model_validate(check) for check in await stores.check(store_id, caller=caller)
        ]
        return SourceChecksView(ok=all(check.ok for check in checks), checks=checks)


def _add_reading(routes: Routes, stores: SecretStores) -> None:
    @routes.get("/secret-stores", summary="List secret stores, newest first")
    async def list_secret_stores(caller: Reader, paging: AllPages) -> Page[SecretStoreView]:
        after = paging.after[0] if paging.after else None
        rows = await stores.page(after=after, limit=paging.limit, caller=caller)
        return paging.page([SecretStoreView.model_validate(row) for row in rows], key=lambda view: [view.id])

    @routes.get("/secret-stores/{store_id}", summary="Show a secret store")
    async def get_secret_store(caller: Reader, store_id: str) -> SecretStoreView:
        return SecretStoreView.model_validate(await stores.get(store_id, caller=caller))

    @routes.get("/secret-store-kinds", summary="List the kinds of secret store")
    async def list_secret_store_kinds(_caller: Reader) -> SecretStoreKindsView:
        items = [
            SecretStoreKindView(
                kind=kind.kind,
                summary=kind.summary,
                settings=kind.settings_type.model_json_schema(),
                credential=kind.credential_type.model_json_schema(),
            )
            for kind in SECRET_STORES
        ]
        return SecretStoreKindsView(items=items)
