"""The routes of profiles."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request
from pydantic import Field

from services.renewal.actions.profiles import NamedProfile, NewProfile, Profiles
from services.renewal.api.authorities import GroupsBody
from services.renewal.connectors import Challenge
from services.renewal.domain.keys import KeyType
from shared.access import Principal, requires
from shared.clock import Clock
from shared.groups import OpenGroups
from shared.http import Body, Page, Paging, Routes, View
from shared.idempotency import IdempotencyKey, Once
from shared.validity import exceeded

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
    groups: OpenGroups = Field(default=[])


class CeilingView(View):
    """The longest that a publicly trusted certificate may last, from a day on."""

    begins: datetime
    longest: timedelta


class ProfileView(View):
    """A profile."""

    id: str
    name: str
    authority: str
    key_type: KeyType
    lifetime: timedelta
    allowed_names: list[str]
    challenge: Challenge | None
    groups: list[str] = Field(description="Who may order by it; `*` is everybody.")
    exceeds: list[CeilingView] = Field(
        description="Ceilings of the CA/Browser Forum, in force or to come, that `lifetime` is over. They hold where the authority is publicly trusted: then the profile breaks on that day."
    )
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
            return _shown(await profiles.create(new, caller=caller, now=clock()), now=clock())

        return await once.run(request, key=key, caller=caller, body=body, view=ProfileView, create=create)

    @routes.get("", summary="List profiles")
    async def list_profiles(caller: Reader, paging: AllPages) -> Page[ProfileView]:
        after = paging.after[0] if paging.after else None
        found = await profiles.page(after=after, limit=paging.limit, caller=caller)
        return paging.page([_shown(each, now=clock()) for each in found], key=lambda view: [view.id])

    @routes.put("/{profile_id}/groups", summary="Put a profile into these groups, and no others")
    async def put_profile_groups(caller: Writer, profile_id: str, body: GroupsBody) -> ProfileView:
        return _shown(await profiles.put_into(profile_id, body.groups, caller=caller), now=clock())

    return routes


def _shown(profile: NamedProfile, *, now: datetime) -> ProfileView:
    row = profile.row
    lifetime = timedelta(seconds=row.lifetime)
    return ProfileView(
        id=row.id,
        name=row.name,
        authority=profile.authority,
        key_type=KeyType(row.key_type),
        lifetime=lifetime,
        exceeds=[CeilingView.model_validate(each) for each in exceeded(lifetime, at=now)],
        allowed_names=row.allowed_names,
        challenge=Challenge(row.challenge) if row.challenge is not None else None,
        groups=row.groups,
        created_at=row.created_at,
        created_by=row.created_by,
    )
