"""The routes of profiles."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request
from pydantic import Field

from services.renewal.actions.profiles import NamedProfile, NewProfile, Profiles
from services.renewal.connectors import Challenge
from services.renewal.domain.keys import KeyType
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Page, Paging, Routes, View
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("profiles:read")]
Writer = Annotated[Principal, requires("profiles:write")]
AllPages = Annotated[Paging, Depends()]
Pattern = Annotated[str, Field(min_length=1, max_length=255)]


class ProfileBody(Body):
    """On which terms, and for which names, certificates are to be ordered."""

    name: str = Field(min_length=1, max_length=200, examples=["web"])
    authority: str = Field(max_length=200, description="An authority's name.", examples=["letsencrypt"])
    key_type: KeyType = KeyType.ECDSA_P256
    lifetime: timedelta = Field(
        timedelta(days=90),
        ge=timedelta(minutes=5),
        le=timedelta(days=3650),
        description="ISO 8601. An ACME authority decides it by itself.",
        examples=["P90D"],
    )
    allowed_names: list[Pattern] = Field(
        min_length=1,
        max_length=1000,
        description="A name, `*.` before a name (exactly one label), or an IP network.",
        examples=[["*.example.com", "example.com", "10.0.0.0/8"]],
    )
    challenge: Challenge | None = Field(None, description="How an ACME authority is shown control.")


class ProfileView(View):
    """A profile."""

    id: str
    name: str
    authority: str
    key_type: KeyType
    lifetime: timedelta
    allowed_names: list[str]
    challenge: Challenge | None
    created_at: datetime
    created_by: str


def profile_routes(profiles: Profiles, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/profiles")

    @routes.post("", summary="Make a profile", status_code=201)
    async def create_profile(
        caller: Writer, request: Request, body: ProfileBody, key: IdempotencyKey = None
    ) -> ProfileView:
        async def create() -> ProfileView:
            new = NewProfile(**{name: getattr(body, name) for name in ProfileBody.model_fields})
            return _shown(await profiles.create(new, caller=caller, now=clock()))

        return await once.run(request, key=key, caller=caller, body=body, view=ProfileView, create=create)

    @routes.get("", summary="List profiles")
    async def list_profiles(_caller: Reader, paging: AllPages) -> Page[ProfileView]:
        after = paging.after[0] if paging.after else None
        found = await profiles.page(after=after, limit=paging.limit)
        return paging.page([_shown(each) for each in found], key=lambda view: [view.id])

    return routes


def _shown(profile: NamedProfile) -> ProfileView:
    row = profile.row
    return ProfileView(
        id=row.id,
        name=row.name,
        authority=profile.authority,
        key_type=KeyType(row.key_type),
        lifetime=timedelta(seconds=row.lifetime),
        allowed_names=row.allowed_names,
        challenge=Challenge(row.challenge) if row.challenge is not None else None,
        created_at=row.created_at,
        created_by=row.created_by,
    )
