"""The verbs on profiles: on which terms, and for which names, certificates are ordered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from services.renewal import store
from services.renewal.actions.authorities import Authorities
from services.renewal.actions.scopes import is_for, put_into
from services.renewal.connectors import Challenge, Terms
from services.renewal.domain.keys import KeyType
from services.renewal.domain.names import pattern
from shared.access import Principal
from shared.errors import Conflict, Fault, Invalid, NotFound
from shared.groups import listed
from shared.ids import new_id
from shared.store import Database


@dataclass(frozen=True, kw_only=True)
class NewProfile:
    """What a profile is made of; `authority` is a name."""

    name: str
    authority: str
    key_type: KeyType
    lifetime: timedelta
    allowed_names: Sequence[str]
    challenge: Challenge | None
    groups: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class NamedProfile:
    """A profile with its authority's name."""

    row: store.Profile
    authority: str


class Profiles:
    """Terms of orders."""

    def __init__(self, database: Database, authorities: Authorities) -> None:
        self._database = database
        self._authorities = authorities

    async def create(self, new: NewProfile, *, caller: Principal, now: datetime) -> NamedProfile:
        """Make a profile. Raises `Forbidden`, `Invalid` where its authority cannot issue so, or `Conflict`."""
        groups = listed(caller.grouped(new.groups))
        allowed = [pattern(text) for text in new.allowed_names]
        async with self._database.transaction() as tx:
            authority = await store.authority_named(tx.session, new.authority)
            if authority is None or not is_for(caller, authority):
                raise unknown("authority", new.authority, path="/v1/authorities")
            terms = Terms(challenge=new.challenge, lifetime=new.lifetime)
            self._authorities.check_terms(authority, terms=terms)
            if await store.profile_named(tx.session, new.name) is not None:
                raise Conflict(
                    f"There is a profile named {new.name!r} already.", next_step="Choose another name."
                )
            row = store.Profile(
                id=new_id(),
                name=new.name,
                authority_id=authority.id,
                key_type=new.key_type,
                lifetime=int(new.lifetime.total_seconds()),
                allowed_names=list(dict.fromkeys(allowed)),
                challenge=new.challenge,
                groups=groups,
                created_at=now,
                created_by=caller.id,
            )
            tx.session.add(row)
        return NamedProfile(row=row, authority=authority.name)

    async def put_into(self, profile_id: str, groups: Sequence[str], *, caller: Principal) -> NamedProfile:
        """Put a profile into these groups and no others. Raises `NotFound` or `Forbidden`."""
        async with self._database.transaction() as tx:
            row = await tx.session.get(store.Profile, profile_id, with_for_update=True)
            if row is None or not is_for(caller, row):
                raise NotFound(
                    f"There is no profile {profile_id}.", next_step="List them with GET /v1/profiles."
                )
            put_into(row, groups, caller=caller)
            names = await store.names_of(tx.session, store.Authority, {row.authority_id})
        return NamedProfile(row=row, authority=names[row.authority_id])

    async def page(self, *, after: str | None, limit: int, caller: Principal) -> list[NamedProfile]:
        """Return profiles that the caller sees, newest first, one more than `limit` where there are more."""
        async with self._database.read() as session:
            rows = await store.newest(session, store.Profile, after=after, limit=limit, scope=caller.scope)
            names = await store.names_of(session, store.Authority, {row.authority_id for row in rows})
        return [NamedProfile(row=row, authority=names[row.authority_id]) for row in rows]


async def profile_named(session: AsyncSession, name: str, *, caller: Principal) -> store.Profile:
    """Return the profile of this name, which speaks for its authority too. Raises `Invalid`.

    Whoever sees a profile may order by it, without seeing the authority: so the names that a team may have
    certificates for can be given to it, and nothing else that the authority issues.
    """
    found = await store.profile_named(session, name)
    if found is None or not is_for(caller, found):
        raise unknown("profile", name, path="/v1/profiles")
    return found


def terms_of(profile: store.Profile) -> Terms:
    """Return what an authority is asked for."""
    challenge = Challenge(profile.challenge) if profile.challenge is not None else None
    return Terms(challenge=challenge, lifetime=timedelta(seconds=profile.lifetime))


def unknown(what: str, name: str, *, path: str) -> Invalid:
    """Return the error for a name in a request that means nothing."""
    text = f"There is no {what} named {name!r}."
    return Invalid(
        text, next_step=f"List them with GET {path}.", faults=[Fault(pointer=f"/body/{what}", message=text)]
    )
