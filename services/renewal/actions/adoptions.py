"""Takes a certificate that was found into automated renewal: proposed with all that is known, done in one call."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from services.renewal import store
from services.renewal.actions.enrolments import Enrolments
from services.renewal.actions.profiles import NewProfile, Profiles
from services.renewal.connectors import Challenge
from services.renewal.connectors.inventory import Inventory, KnownCertificate
from services.renewal.domain.adoption import Facts, Fit, Offer, fits, like
from services.renewal.domain.keys import KeyType
from services.renewal.domain.policy import Trust
from shared.access import Principal
from shared.errors import Conflict, EverleafError
from shared.store import Database
from shared.x509 import read

MOST_PROFILES = 1000
_SHORTEST, _LONGEST = timedelta(minutes=5), timedelta(days=3650)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """How a certificate would be renewed; `obstacle` says what is in the way of doing it in one call."""

    known: KnownCertificate
    facts: Facts
    key_type: KeyType
    lifetime: timedelta
    fits: Sequence[Fit]
    obstacle: str | None
    next_step: str
    enrolled: store.Enrolment | None

    @property
    def best(self) -> Fit | None:
        """Return the profile that fits best, where one can be taken."""
        return next((fit for fit in self.fits if fit.obstacle is None), None)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the caller says; None for what the proposal says itself.

    `authority` instead of `profile`: where no profile fits, one is made for exactly the names of the certificate.
    """

    profile: str | None = None
    authority: str | None = None
    challenge: Challenge | None = None
    names: Sequence[str] | None = None


class Adoptions:
    """The verbs on certificates that are not renewed by themselves yet."""

    def __init__(
        self, database: Database, *, inventory: Inventory, profiles: Profiles, enrolments: Enrolments
    ) -> None:
        self._database = database
        self._inventory = inventory
        self._profiles = profiles
        self._enrolments = enrolments

    async def propose(self, fingerprint: str, *, caller: Principal, now: datetime) -> Proposal:
        """Return how a certificate would be renewed. Raises `NotFound`, `Conflict` or `Unavailable`."""
        known = await self._inventory.certificate(fingerprint, caller=caller)
        facts = facts_of(known)
        async with self._database.read() as session:
            found = fits(facts, await offers_to(session, scope=caller.scope), now=now)
            enrolled = await session.get(store.Enrolment, known.lineage_id)
        obstacle, next_step = _in_the_way(found)
        best = next((fit for fit in found if fit.obstacle is None), None)
        return Proposal(
            known=known,
            facts=facts,
            key_type=best.offer.key_type
            if best
            else like(facts.key_type, facts.key_bits) or KeyType.ECDSA_P256,
            lifetime=best.offer.lifetime if best else min(max(facts.lifetime, _SHORTEST), _LONGEST),
            fits=found,
            obstacle=obstacle,
            next_step=next_step,
            enrolled=enrolled,
        )

    async def adopt(
        self, fingerprint: str, wish: Wish, *, caller: Principal, now: datetime
    ) -> tuple[Proposal, store.Enrolment, str]:
        """Enrol the lineage of a certificate; return what was proposed, the enrolment and its profile's name.

        Raises `NotFound`, `Conflict` where no profile fits, `Invalid` or `Unavailable`.
        """
        proposal = await self.propose(fingerprint, caller=caller, now=now)
        profile = wish.profile or await self._made(proposal, wish, caller=caller, now=now)
        if profile is None:
            profile = _fitting(proposal)
        enrolment, named = await self._enrolments.enrol(
            proposal.known.lineage_id, profile=profile, names=wish.names, caller=caller, now=now
        )
        return proposal, enrolment, named

    async def _made(self, proposal: Proposal, wish: Wish, *, caller: Principal, now: datetime) -> str | None:
        """Return a profile of the authority that the caller names: one that fits, else one made for these names."""
        if wish.authority is None:
            return None
        for fit in proposal.fits:
            if fit.obstacle is None and fit.offer.authority == wish.authority:
                return fit.offer.profile
        caller.require("profiles:write")
        new = NewProfile(
            name=f"adopted {proposal.facts.names[0]} {proposal.known.lineage_id[-12:]}"[:200],
            authority=wish.authority,
            key_type=like(proposal.facts.key_type, proposal.facts.key_bits) or KeyType.ECDSA_P256,
            lifetime=min(max(proposal.facts.lifetime, _SHORTEST), _LONGEST),
            allowed_names=wish.names or proposal.facts.names,
            challenge=wish.challenge,
        )
        return (await self._profiles.create(new, caller=caller, now=now)).row.name


def facts_of(known: KnownCertificate) -> Facts:
    """Return what a profile has to fit. Raises `Conflict` where the certificate cannot be renewed."""
    reason = None
    if known.finding is not None:
        reason = f"It cannot be read: {known.finding}"
    elif known.is_ca:
        reason = "It is an authority's own certificate, and those are not renewed here."
    elif not known.names or known.not_before is None or known.not_after is None:
        reason = "It is for no name."
    if reason is not None or known.not_before is None or known.not_after is None:
        raise Conflict(
            f"The certificate {known.fingerprint} cannot be adopted. {reason}",
            next_step="Order another in its place with POST /v1/orders.",
        )
    return Facts(
        names=tuple(known.names),
        issuer=known.issuer or "",
        key_type=known.key_type or "",
        key_bits=known.key_bits or 0,
        lifetime=known.not_after - known.not_before,
    )


async def offers_to(session: AsyncSession, *, scope: frozenset[str] | None) -> list[Offer]:
    """Return the profiles that a scope may use, as offers."""
    rows = await store.newest(session, store.Profile, scope=scope, after=None, limit=MOST_PROFILES)
    authorities = {
        row.id: row
        # A profile speaks for its authority, whoever may see that.
        for row in await store.newest(session, store.Authority, scope=None, after=None, limit=MOST_PROFILES)
    }
    issuers = {each.id: await _issuers(session, each) for each in authorities.values()}
    return [
        Offer(
            profile=row.name,
            authority=authorities[row.authority_id].name,
            key_type=KeyType(row.key_type),
            lifetime=timedelta(seconds=row.lifetime),
            allowed_names=row.allowed_names,
            issuers=issuers[row.authority_id],
            trust=Trust(authorities[row.authority_id].trust),
        )
        for row in rows
        if row.authority_id in authorities
    ]


async def _issuers(session: AsyncSession, authority: store.Authority) -> frozenset[str]:
    """Return by which names an authority issues: its root's, and that in what it has issued for us last."""
    last = await store.latest_order(session, authority_id=authority.id, state="renewed")
    leaf = [last.chain[0]] if last is not None and last.chain else []
    subjects = {_named(der, "subject") for der in authority.roots}
    return frozenset(name for name in subjects | {_named(der, "issuer") for der in leaf} if name)


def _named(der: str, what: str) -> str | None:
    try:
        return str(getattr(read(base64.b64decode(der)), what))
    except EverleafError:
        return None


def _in_the_way(found: Sequence[Fit]) -> tuple[str | None, str]:
    if found and found[0].obstacle is None:
        return None, "Adopt it with POST /v1/adoptions."
    if not found:
        return (
            "There is no profile.",
            "Make an authority known (POST /v1/authorities), then adopt it with that one's name in `authority`.",
        )
    return (
        f"No profile allows its names: {found[0].obstacle}",
        "Name an `authority`, so that a profile is made for these names, or make one with POST /v1/profiles.",
    )


def _fitting(proposal: Proposal) -> str:
    best = proposal.best
    if best is None:
        raise Conflict(
            f"It cannot be adopted. {proposal.obstacle or ''}".strip(), next_step=proposal.next_step
        )
    return best.offer.profile
