"""Plans campaigns: which certificates, by which profile, in which wave, and what a person has to do."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from services.renewal import store
from services.renewal.actions.adoptions import facts_of, offers_to
from services.renewal.actions.campaigns import tell, waves_of
from services.renewal.connectors.inventory import Inventory, KnownCertificate
from services.renewal.connectors.provisioner import Provisioner
from services.renewal.domain.adoption import Offer
from services.renewal.domain.campaigns import CampaignState, Choice, ItemState, Wishes, choose
from shared.errors import Conflict, Invalid, Unavailable
from shared.store import Database, Transaction

_AT_ONCE = 1000
CERTIFICATES, BINDINGS = "certificates", "bindings"


class CampaignPlans:
    """Asks who knows, page by page; what was asked is kept, so that another process goes on from there."""

    def __init__(self, database: Database, *, inventory: Inventory, provisioner: Provisioner) -> None:
        self._database = database
        self._inventory = inventory
        self._provisioner = provisioner

    async def step(self, now: datetime) -> bool:
        """Plan on with one page; return whether there was something to plan. Raises `Unavailable`."""
        async with self._database.read() as session:
            row = await store.campaign_to_plan(session)
        if row is None:
            return False
        try:
            if row.plan_step == CERTIFICATES:
                await self._find(row, now=now)
            else:
                await self._bind(row, now=now)
        except Invalid as error:
            await self._note(row, error, now=now)
        except Unavailable as error:
            await self._note(row, error, now=now)
            raise
        return True

    async def _find(self, row: store.Campaign, *, now: datetime) -> None:
        page = await self._inventory.in_use(row.query, cursor=row.plan_cursor, limit=_AT_ONCE)
        known = [each for each in page.items if row.scope is None or set(row.scope) & set(each.groups)]
        async with self._database.transaction() as tx:
            if not await _is_still(tx, row):
                return
            await self._add(tx, row, known, now=now)
            held = await tx.session.get_one(store.Campaign, row.id)
            held.plan_cursor, held.last_error, held.next_step = page.next_cursor, None, None
            if page.next_cursor is None:
                held.plan_step = BINDINGS

    async def _add(
        self, tx: Transaction, row: store.Campaign, known: Sequence[KnownCertificate], *, now: datetime
    ) -> None:
        offers = await offers_to(tx.session, scope=_scope(row))
        enrolled = await store.enrolled_profiles(tx.session, [each.lineage_id for each in known])
        wishes = Wishes(profiles=row.profiles, not_from=row.not_from)
        profiles = await store.profiles_by_name(tx.session)
        rows = []
        for each in known:
            choice = _choice(each, offers, enrolled=enrolled.get(each.lineage_id), wishes=wishes, now=now)
            rows.append(_item(row.id, each, choice, profiles=profiles, now=now))
        await store.add_items(tx, rows)

    async def _bind(self, row: store.Campaign, *, now: datetime) -> None:
        lineages, cursor = await self._provisioner.bound_lineages(cursor=row.plan_cursor, limit=_AT_ONCE)
        async with self._database.transaction() as tx:
            if not await _is_still(tx, row):
                return
            await store.mark_bound(tx, row.id, lineages)
            held = await tx.session.get_one(store.Campaign, row.id)
            held.plan_cursor, held.last_error, held.next_step = cursor, None, None
            if cursor is None:
                await self._planned(tx, held, now=now)

    async def _planned(self, tx: Transaction, row: store.Campaign, *, now: datetime) -> None:
        waves = waves_of(row)
        await store.put_into_waves(tx, row.id, first=waves.first, size=waves.size)
        row.state, row.plan_step = CampaignState.PLANNED, None
        row.plan_digest = await _digest(tx, row)
        await tell(tx, row, now=now)

    async def _note(self, row: store.Campaign, error: Invalid | Unavailable, *, now: datetime) -> None:
        """Keep what is in the way; a question that is none will not become one by itself."""
        async with self._database.transaction() as tx:
            if not await _is_still(tx, row):
                return
            held = await tx.session.get_one(store.Campaign, row.id)
            held.last_error, held.next_step = error.detail, error.next_step
            if isinstance(error, Invalid):
                held.state, held.finished_at = CampaignState.ABORTED, now
                await tell(tx, held, now=now)


async def _is_still(tx: Transaction, row: store.Campaign) -> bool:
    """Return whether nobody has planned on, or has begun anew, meanwhile."""
    held = await store.held_campaign(tx, row.id)
    present = (held.state, held.plan_step, held.plan_cursor) if held is not None else None
    return present == (row.state, row.plan_step, row.plan_cursor)


def _scope(row: store.Campaign) -> frozenset[str] | None:
    return frozenset(row.scope) if row.scope is not None else None


def _choice(
    known: KnownCertificate, offers: Sequence[Offer], *, enrolled: str | None, wishes: Wishes, now: datetime
) -> Choice:
    try:
        facts = facts_of(known)
    except Conflict as error:
        return Choice(offer=None, obstacle=error.detail, next_step=error.next_step)
    return choose(facts, offers, enrolled=enrolled, wishes=wishes, now=now)


def _item(
    campaign_id: str,
    known: KnownCertificate,
    choice: Choice,
    *,
    profiles: Mapping[str, store.Profile],
    now: datetime,
) -> dict[str, Any]:
    offer = choice.offer
    profile = profiles[offer.profile] if offer is not None else None
    return {
        "campaign_id": campaign_id,
        "lineage_id": known.lineage_id,
        "fingerprint": known.fingerprint,
        "names": known.names,
        "issuer": known.issuer or "",
        "not_after": known.not_after or now,
        "owner": known.owner.name if known.owner is not None else None,
        "profile_id": profile.id if profile is not None else None,
        "profile": profile.name if profile is not None else None,
        "profile_version": profile.version if profile is not None else None,
        "authority": offer.authority if offer is not None else None,
        "obstacle": choice.obstacle,
        "next_step": choice.next_step,
        "is_bound": False,
        "is_revocation_settled": False,
        "state": ItemState.PLANNED.value if offer is not None else ItemState.BY_HAND.value,
        "changed_at": now,
    }


async def _digest(tx: Transaction, row: store.Campaign) -> str:
    """Return the SHA-256 of all that would be done: what is approved is this and nothing else."""
    deadline = row.deadline.isoformat() if row.deadline is not None else None
    head = [row.query, row.reason, deadline, row.profiles, row.not_from, row.waves, row.revoke]
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    async for item in store.item_lines(tx.session, row.id):
        line = [
            item.lineage_id,
            item.fingerprint,
            item.names,
            item.profile_id,
            item.profile_version,
            item.wave,
        ]
        digest.update(json.dumps(line).encode())
    return digest.hexdigest()
