"""How an order comes to be: who issues for it, whether the policy allows it, and its row."""

import base64
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.renewal import store
from services.renewal.actions.outcomes import give_up
from services.renewal.actions.profiles import rules_of
from services.renewal.domain.orders import State
from services.renewal.domain.policy import Key, Wanted, judge
from services.renewal.domain.schedule import Reason
from shared import x509
from shared.errors import Conflict, Invalid
from shared.ids import new_id
from shared.store import Transaction
from shared.store.traces import remember

ANOTHER_AUTHORITY = (
    "Give the profile another authority, or a fallback, with PUT /v1/profiles/{id}; then try again."
)


async def new_order(
    tx: Transaction,
    profile: store.Profile,
    authority: store.Authority,
    *,
    lineage_id: str,
    names: Sequence[str],
    old: str | None,
    by: str,
    now: datetime,
) -> store.Order:
    """Add an order, due at once."""
    order = _order(profile, authority, lineage_id=lineage_id, names=names, old=old, by=by, now=now)
    tx.session.add(order)
    await tx.session.flush()
    await remember(tx, order.id, now=now)
    return order


async def new_orders(
    tx: Transaction, items: Sequence[store.CampaignItem], *, by: str, now: datetime
) -> dict[str, store.Order]:
    """Order for lineages that have none open; return the orders by lineage. What policy forbids has failed already."""
    profiles = {
        profile.id: (profile, await authority_for(tx.session, profile))
        for profile in await store.profiles_of(tx.session, {each.profile_id for each in items})
    }
    made = {}
    for each in items:
        profile, (authority, fault) = profiles[each.profile_id or ""]
        order = made[each.lineage_id] = _order(
            profile,
            authority,
            lineage_id=each.lineage_id,
            names=each.names,
            old=each.fingerprint,
            by=by,
            now=now,
        )
        order.reason = Reason.ASKED
        tx.session.add(order)
        try:
            if fault is not None:
                raise fault
            judge(Wanted(names=each.names), rules_of(profile, authority), now=now).require()
        except (Conflict, Invalid) as error:
            await tx.session.flush()
            give_up(tx, order, reason=error.detail, what_to_do=error.next_step, now=now)
    await tx.session.flush()
    await remember(tx, *(order.id for order in made.values()), now=now)
    return made


def _order(
    profile: store.Profile,
    authority: store.Authority,
    *,
    lineage_id: str,
    names: Sequence[str],
    old: str | None,
    by: str,
    now: datetime,
) -> store.Order:
    return store.Order(
        id=new_id(),
        lineage_id=lineage_id,
        profile_id=profile.id,
        authority_id=authority.id,
        authority=authority.name,
        names=list(names),
        state=State.PENDING,
        old_fingerprint=old,
        next_attempt_at=now,
        created_at=now,
        created_by=by,
    )


async def trusted_authority(session: AsyncSession, profile: store.Profile) -> store.Authority:
    """Return who issues for a profile: its fallback, where the authority is distrusted. Raises `Conflict`."""
    authority, fault = await authority_for(session, profile)
    if fault is not None:
        raise fault
    return authority


async def authority_for(
    session: AsyncSession, profile: store.Profile
) -> tuple[store.Authority, Conflict | None]:
    """Return who issues for a profile, and why nobody of the trusted can where that is so."""
    distrusted = await store.distrusted_authorities(session)
    for authority_id in (profile.authority_id, profile.fallback_authority_id):
        if authority_id is not None and authority_id not in distrusted:
            return await session.get_one(store.Authority, authority_id), None
    authority = await session.get_one(store.Authority, profile.authority_id)
    text = f"The authority {authority.name} is not trusted any more, and the profile {profile.name} has no other."
    return authority, Conflict(text, next_step=ANOTHER_AUTHORITY)


async def judged(
    session: AsyncSession,
    profile: store.Profile,
    authority: store.Authority,
    names: Sequence[str],
    *,
    key: Key | None = None,
    lineage_id: str,
    now: datetime,
) -> tuple[str, ...]:
    """Return the policy's notes on what may be had. Raises `Invalid` where a rule of it is broken."""
    chains = await store.chains_of(session, lineage_id=lineage_id) if key is not None else ()
    known = frozenset(x509.read(base64.b64decode(der)).key_fingerprint for der in chains)
    verdict = judge(Wanted(names=names, key=key, known_keys=known), rules_of(profile, authority), now=now)
    verdict.require()
    return verdict.notes


async def refuse_second(tx: Transaction, lineage_id: str) -> None:
    """Raise `Conflict` where the lineage has an open order."""
    other = await store.open_order(tx.session, lineage_id)
    if other is not None:
        raise Conflict(
            f"The order {other.id} of this lineage is {other.state}.",
            next_step="Wait until it is renewed or failed; one that waits can be tried again at once.",
        )
