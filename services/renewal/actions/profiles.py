"""The verbs on profiles: on which terms, and for which names, certificates are ordered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from services.renewal import store
from services.renewal.actions.authorities import Authorities
from services.renewal.actions.scopes import is_for, put_into, require_own
from services.renewal.actions.token_keys import WHERE_TO_SET_IT
from services.renewal.connectors import Challenge, Terms
from services.renewal.domain.keys import KeyType
from services.renewal.domain.names import pattern
from services.renewal.domain.policy import Custody, Rules, Trust, clamped
from services.renewal.domain.schedule import FIXED_ONLY_ABOVE
from shared.access import Principal
from shared.errors import Conflict, Fault, Invalid, NotFound, Stale
from shared.events.inventory import RuleSeverity
from shared.groups import listed
from shared.ids import new_id
from shared.store import Database, Transaction


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
    fallback_authority: str | None = None
    """A name."""
    authority_profile: str | None = None
    renew_before: timedelta | None = None
    renew_fraction: float | None = None
    renew_noncompliant: RuleSeverity | None = None
    key_custody: Custody = Custody.CENTRAL
    reuse_key: bool = False
    reuse_key_reason: str | None = None
    approvals_needed: int = 0
    approver_groups: Sequence[str] = ()
    approver_roles: Sequence[str] = ()
    revoke_replaced: bool = False


@dataclass(frozen=True, kw_only=True)
class NamedProfile:
    """A profile with the names of its authorities."""

    row: store.Profile
    authority: str
    fallback_authority: str | None
    trust: Trust


class Profiles:
    """Terms of orders."""

    def __init__(self, database: Database, authorities: Authorities) -> None:
        self._database = database
        self._authorities = authorities

    async def create(self, new: NewProfile, *, caller: Principal, now: datetime) -> NamedProfile:
        """Make a profile. Raises `Forbidden`, `Invalid` where its authority cannot issue so, or `Conflict`."""
        groups = listed(caller.grouped(new.groups))
        async with self._database.transaction() as tx:
            row = store.Profile(
                id=new_id(),
                name=new.name,
                authority_id="",
                key_type=new.key_type,
                lifetime=0,
                allowed_names=[],
                groups=groups,
                created_at=now,
                created_by=caller.id,
            )
            await self._fill(tx, row, new, caller=caller)
            tx.session.add(row)
            return await _named(tx.session, row)

    async def get(self, profile_id: str, *, caller: Principal) -> NamedProfile:
        """Return a profile. Raises `NotFound`."""
        async with self._database.read() as session:
            row = _found(await session.get(store.Profile, profile_id), profile_id, caller=caller)
            return await _named(session, row)

    async def replace(
        self, profile_id: str, new: NewProfile, *, expected: int, caller: Principal
    ) -> NamedProfile:
        """Order on other terms from here on; the groups stay as they are, and what is scheduled is timed anew.

        Raises `NotFound`, `Stale` where it is not of the version `expected`, and what `create` raises.
        """
        async with self._database.transaction() as tx:
            row = await tx.session.get(store.Profile, profile_id, with_for_update=True)
            row = _found(row, profile_id, caller=caller)
            require_own(row, caller=caller)
            if row.version != expected:
                raise Stale(
                    "The profile was changed in the meantime.", next_step="Read it again, then repeat."
                )
            await self._fill(tx, row, new, caller=caller)
            row.version += 1
            await store.retime_lineages_of(tx, profile_id)
            return await _named(tx.session, row)

    async def _fill(self, tx: Transaction, row: store.Profile, new: NewProfile, *, caller: Principal) -> None:
        _check(new, has_token=self._authorities.token is not None)
        authority = await self._authority(tx, new.authority, new, caller=caller, field="authority")
        fallback = None
        if new.fallback_authority is not None:
            fallback = await self._authority(
                tx, new.fallback_authority, new, caller=caller, field="fallback_authority"
            )
        other = await store.profile_named(tx.session, new.name)
        if other is not None and other.id != row.id:
            raise Conflict(
                f"There is a profile named {new.name!r} already.", next_step="Choose another name."
            )
        for name in _AS_THEY_ARE:
            setattr(row, name, getattr(new, name))
        row.authority_id = authority.id
        row.fallback_authority_id = fallback.id if fallback is not None else None
        row.lifetime = int(new.lifetime.total_seconds())
        row.renew_before = int(new.renew_before.total_seconds()) if new.renew_before is not None else None
        row.allowed_names = list(dict.fromkeys(pattern(text) for text in new.allowed_names))
        row.approver_groups = listed(new.approver_groups)
        row.approver_roles = listed(new.approver_roles)

    async def _authority(
        self, tx: Transaction, name: str, new: NewProfile, *, caller: Principal, field: str
    ) -> store.Authority:
        found = await store.authority_named(tx.session, name)
        if found is None or not is_for(caller, found):
            raise unknown("authority", name, path="/v1/authorities", field=field)
        terms = Terms(challenge=new.challenge, lifetime=new.lifetime, profile=new.authority_profile)
        self._authorities.check_terms(found, terms=terms)
        return found

    async def put_into(self, profile_id: str, groups: Sequence[str], *, caller: Principal) -> NamedProfile:
        """Put a profile into these groups and no others. Raises `NotFound` or `Forbidden`."""
        async with self._database.transaction() as tx:
            row = await tx.session.get(store.Profile, profile_id, with_for_update=True)
            row = _found(row, profile_id, caller=caller)
            put_into(row, groups, caller=caller)
            return await _named(tx.session, row)

    async def delete(self, profile_id: str, *, caller: Principal) -> None:
        """Forget a profile that nothing goes by. Raises `NotFound`, `Forbidden` or `Conflict`."""
        async with self._database.transaction() as tx:
            row = await tx.session.get(store.Profile, profile_id, with_for_update=True)
            row = _found(row, profile_id, caller=caller)
            require_own(row, caller=caller)
            _refuse_used(row, await store.uses_of(tx.session, profile_id))
            await tx.session.delete(row)

    async def page(self, *, after: str | None, limit: int, caller: Principal) -> list[NamedProfile]:
        """Return profiles that the caller sees, newest first, one more than `limit` where there are more."""
        async with self._database.read() as session:
            rows = await store.newest(session, store.Profile, after=after, limit=limit, scope=caller.scope)
            authorities = await store.authorities_of(session, rows)
        return [_with_names(row, authorities) for row in rows]


_AS_THEY_ARE = (
    "name",
    "key_type",
    "challenge",
    "authority_profile",
    "renew_fraction",
    "renew_noncompliant",
    "key_custody",
    "reuse_key",
    "reuse_key_reason",
    "approvals_needed",
    "revoke_replaced",
)


def _check(new: NewProfile, *, has_token: bool) -> None:
    """Raise `Invalid` where what a profile says contradicts itself."""
    if new.key_custody == Custody.PKCS11:
        _check_token(new, has_token=has_token)
    if new.key_custody != Custody.CENTRAL and new.reuse_key:
        raise _wrong("reuse_key", "A key that is made on the target is new each time.", "Leave it out.")
    if new.renew_before is not None and new.renew_fraction is not None:
        raise _wrong("renew_before", "It is renewed at one time, not at two.", "Leave one of them out.")
    if new.renew_before is not None and new.lifetime <= FIXED_ONLY_ABOVE:
        raise _wrong(
            "renew_before",
            f"A fixed time before the end is for lifetimes of more than {FIXED_ONLY_ABOVE.days} days.",
            "Use renew_fraction, such as 0.66.",
        )
    if new.renew_before is not None and new.renew_before >= new.lifetime:
        raise _wrong("renew_before", "It is not shorter than the lifetime.", "Use less.")
    if new.reuse_key and not (new.reuse_key_reason or "").strip():
        raise _wrong("reuse_key_reason", "Keys are new each time unless there is a reason.", "Say why.")
    if new.fallback_authority == new.authority:
        raise _wrong("fallback_authority", "It is the authority itself.", "Name another, or none.")


def _check_token(new: NewProfile, *, has_token: bool) -> None:
    if not has_token:
        raise _wrong("key_custody", "There is no PKCS#11 token.", WHERE_TO_SET_IT)
    if new.key_type == KeyType.ED25519:
        raise _wrong("key_type", f"No {new.key_type} key is made in a token.", "Choose ECDSA or RSA.")


def _wrong(field: str, text: str, advice: str) -> Invalid:
    return Invalid(text, next_step=advice, faults=[Fault(pointer=f"/body/{field}", message=text)])


def _refuse_used(row: store.Profile, uses: store.Uses) -> None:
    """Raise `Conflict` where something goes by a profile."""
    if uses.is_enrolled:
        raise Conflict(
            f"Lineages are renewed by {row.name}.",
            next_step="Have each renewed by another profile, or no more: PUT or DELETE /v1/enrolments/{lineage_id}.",
        )
    if uses.is_planned:
        raise Conflict(
            f"A campaign is to order by {row.name}.", next_step="Wait until it is over, or abort it."
        )
    if uses.is_ordered:
        raise Conflict(
            f"Certificates were ordered by {row.name}, which stays as the record of their terms.",
            next_step="Let nobody order by it: PUT /v1/profiles/{profile_id}/groups with none.",
        )


def _found(row: store.Profile | None, profile_id: str, *, caller: Principal) -> store.Profile:
    if row is None or not is_for(caller, row):
        raise NotFound(f"There is no profile {profile_id}.", next_step="List them with GET /v1/profiles.")
    return row


async def _named(session: AsyncSession, row: store.Profile) -> NamedProfile:
    return _with_names(row, await store.authorities_of(session, [row]))


def _with_names(row: store.Profile, authorities: Mapping[str, store.Authority]) -> NamedProfile:
    fallback = authorities.get(row.fallback_authority_id or "")
    authority = authorities[row.authority_id]
    return NamedProfile(
        row=row,
        authority=authority.name,
        fallback_authority=fallback.name if fallback is not None else None,
        trust=Trust(authority.trust),
    )


async def profile_named(session: AsyncSession, name: str, *, caller: Principal) -> store.Profile:
    """Return the profile of this name, which speaks for its authority too. Raises `Invalid`.

    Whoever sees a profile may order by it, without seeing the authority: so the names that a team may have
    certificates for can be given to it, and nothing else that the authority issues.
    """
    found = await store.profile_named(session, name)
    if found is None or not is_for(caller, found):
        raise unknown("profile", name, path="/v1/profiles")
    return found


def terms_of(profile: store.Profile, *, trust: Trust, now: datetime) -> Terms:
    """Return what an authority is asked for now: a lifetime within the ceiling of the day."""
    challenge = Challenge(profile.challenge) if profile.challenge is not None else None
    lifetime, _ = clamped(timedelta(seconds=profile.lifetime), trust=trust, now=now)
    return Terms(challenge=challenge, lifetime=lifetime, profile=profile.authority_profile)


def rules_of(profile: store.Profile, authority: store.Authority) -> Rules:
    """Return what the policy goes by."""
    return Rules(
        allowed_names=profile.allowed_names,
        key_type=KeyType(profile.key_type),
        lifetime=timedelta(seconds=profile.lifetime),
        trust=Trust(authority.trust),
        reuses_key=profile.reuse_key,
    )


def unknown(what: str, name: str, *, path: str, field: str | None = None) -> Invalid:
    """Return the error for a name in a request that means nothing."""
    text = f"There is no {what} named {name!r}."
    pointer = f"/body/{field or what}"
    return Invalid(
        text, next_step=f"List them with GET {path}.", faults=[Fault(pointer=pointer, message=text)]
    )
