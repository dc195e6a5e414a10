"""The routes of profiles."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import Header, Request, Response
from pydantic import Field

from services.renewal.actions.profiles import NamedProfile, NewProfile, Profiles
from services.renewal.api.authorities import GroupsBody
from services.renewal.connectors import Challenge
from services.renewal.domain.keys import KeyType
from services.renewal.domain.policy import Custody, Trust
from shared.access import Principal, requires
from shared.clock import Clock, Duration
from shared.events.inventory import RuleSeverity
from shared.groups import GroupId, OpenGroups
from shared.http import Body, Page, Paging, Routes, View, check_if_match, etag, of_query
from shared.idempotency import IdempotencyKey, Once
from shared.validity import exceeded

Reader = Annotated[Principal, requires("profiles:read")]
Writer = Annotated[Principal, requires("profiles:write")]
AllPages = Annotated[Paging, of_query(Paging)]
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The `ETag` you have read.")]
Pattern = Annotated[str, Field(min_length=1, max_length=255)]


class ProfileTerms(Body):
    """On which terms, and for which names, certificates are to be ordered."""

    name: str = Field(min_length=1, max_length=200, examples=["web"])
    authority: str = Field(max_length=200, description="An authority's name.", examples=["letsencrypt"])
    key_type: KeyType = KeyType.ECDSA_P256
    lifetime: Duration = Field(
        timedelta(days=90),
        ge=timedelta(minutes=5),
        le=timedelta(days=3650),
        description="ISO 8601: from five minutes to 3650 days. An ACME authority decides it by itself.",
        examples=["P90D"],
    )
    allowed_names: list[Pattern] = Field(
        min_length=1,
        max_length=1000,
        description="A name, `*.` before a name (exactly one label), or an IP network.",
        examples=[["*.example.com", "example.com", "10.0.0.0/8"]],
    )
    challenge: Challenge | None = Field(None, description="How an ACME authority is shown control.")
    fallback_authority: str | None = Field(
        None,
        max_length=200,
        description="Asked where the authority keeps failing and time runs out.",
        examples=[None],
    )
    authority_profile: str | None = Field(
        None,
        max_length=200,
        description="What the authority calls its terms: a profile, a template, a product.",
        examples=[None],
    )
    renew_before: Duration | None = Field(
        None,
        ge=timedelta(minutes=1),
        description="ISO 8601: how long before the end it is renewed, at least a minute. "
        "Only for a lifetime of more than 200 days.",
        examples=[None],
    )
    renew_fraction: float | None = Field(
        None,
        ge=0.1,
        le=0.95,
        description="The part of the lifetime after which it is renewed. Left out: two thirds, half below 10 days.",
        examples=[0.66],
    )
    renew_noncompliant: RuleSeverity | None = Field(
        None,
        description="Renew at once what breaks a rule of a policy that is at least as bad; left out, never.",
        examples=[None],
    )
    key_custody: Custody = Field(
        Custody.CENTRAL,
        description="Where keys are made and kept; `central`: sealed here, `target`: there, `pkcs11`: in the token.",
    )
    reuse_key: bool = Field(False, description="Renew with the same key instead of a new one each time.")
    reuse_key_reason: str | None = Field(None, max_length=1000, examples=[None])
    approvals_needed: int = Field(
        0,
        ge=0,
        le=10,
        description="How many people, none of them who asks, have to agree to each order. Unchanged automated renewal goes on without.",
    )
    approver_groups: list[GroupId] = Field(
        default=[], max_length=100, description="They are in one of these groups; with none, in any."
    )
    approver_roles: list[Literal["approver", "admin"]] = Field(
        default=[], description="They have one of these roles; with none, any right to approve will do."
    )
    revoke_replaced: bool = Field(
        default=False, description="Revoke a certificate some days after another was seen in all its places."
    )


class ProfileBody(ProfileTerms):
    """A new profile."""

    groups: OpenGroups = Field(default=[])


class CeilingView(View):
    """The longest that a publicly trusted certificate may last, from a day on."""

    begins: datetime
    longest: Duration


class ProfileView(View):
    """A profile."""

    id: str
    name: str
    authority: str
    key_type: KeyType
    lifetime: Duration
    allowed_names: list[str]
    challenge: Challenge | None
    trust: Trust = Field(description="Of its authority: the CA/Browser Forum's rules hold for a public one.")
    fallback_authority: str | None
    authority_profile: str | None
    renew_before: Duration | None
    renew_fraction: float | None
    renew_noncompliant: RuleSeverity | None
    key_custody: Custody
    reuse_key: bool
    reuse_key_reason: str | None
    approvals_needed: int
    approver_groups: list[str]
    approver_roles: list[str]
    revoke_replaced: bool
    version: int
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

    @routes.get("/{profile_id}", summary="Show a profile")
    async def get_profile(caller: Reader, profile_id: str, response: Response) -> ProfileView:
        found = await profiles.get(profile_id, caller=caller)
        response.headers["ETag"] = etag(found.row.version)
        return _shown(found, now=clock())

    @routes.put("/{profile_id}", summary="Change a profile: on which terms is ordered from here on")
    async def replace_profile(
        caller: Writer, profile_id: str, body: ProfileTerms, response: Response, if_match: IfMatch = None
    ) -> ProfileView:
        present = (await profiles.get(profile_id, caller=caller)).row.version
        check_if_match(if_match, version=present)
        new = NewProfile(**{name: getattr(body, name) for name in ProfileTerms.model_fields})
        found = await profiles.replace(profile_id, new, expected=present, caller=caller)
        response.headers["ETag"] = etag(found.row.version)
        return _shown(found, now=clock())

    @routes.put("/{profile_id}/groups", summary="Put a profile into these groups, and no others")
    async def put_profile_groups(caller: Writer, profile_id: str, body: GroupsBody) -> ProfileView:
        return _shown(await profiles.put_into(profile_id, body.groups, caller=caller), now=clock())

    @routes.delete("/{profile_id}", summary="Forget a profile that nothing goes by", status_code=204)
    async def delete_profile(caller: Writer, profile_id: str) -> None:
        await profiles.delete(profile_id, caller=caller)

    return routes


_AS_THEY_ARE = (
    "id",
    "name",
    "key_type",
    "allowed_names",
    "challenge",
    "authority_profile",
    "renew_before",
    "renew_fraction",
    "renew_noncompliant",
    "key_custody",
    "reuse_key",
    "reuse_key_reason",
    "approvals_needed",
    "approver_groups",
    "approver_roles",
    "revoke_replaced",
    "version",
    "groups",
    "created_at",
    "created_by",
)


def _shown(profile: NamedProfile, *, now: datetime) -> ProfileView:
    lifetime = timedelta(seconds=profile.row.lifetime)
    return ProfileView(
        **{name: getattr(profile.row, name) for name in _AS_THEY_ARE},
        authority=profile.authority,
        fallback_authority=profile.fallback_authority,
        trust=profile.trust,
        lifetime=lifetime,
        exceeds=[CeilingView.model_validate(each) for each in exceeded(lifetime, at=now)],
    )
