"""A campaign is approved once, as exactly the plan that was looked at; its orders are a part of that."""

from collections.abc import Callable
from datetime import datetime

from services.renewal import store
from services.renewal.actions.campaigns import tell
from services.renewal.domain.approvals import Kind
from services.renewal.domain.campaigns import CampaignState, ItemState
from shared.approvals import Rule
from shared.approvals.actions import Approvals, Ask
from shared.store import Transaction


class WaitingCampaigns:
    """The campaigns that wait for an approval."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring

    async def is_waiting(self, tx: Transaction, subject_id: str) -> bool:
        """Return whether a campaign still waits."""
        return await self._waiting(tx, subject_id) is not None

    async def passed(self, tx: Transaction, subject_id: str, *, text: str, now: datetime) -> None:
        """Let it begin."""
        row = await self._waiting(tx, subject_id)
        if row is not None:
            row.state, row.started_at, row.started_by = CampaignState.RUNNING, now, row.asked_by
            row.last_error = row.next_step = None
            await tell(tx, row, now=now, reason=text)
            tx.after_commit(self._ring)

    async def stopped(self, tx: Transaction, subject_id: str, *, reason: str, now: datetime) -> None:
        """Let it be as it was planned."""
        row = await self._waiting(tx, subject_id)
        if row is not None:
            row.state, row.last_error = CampaignState.PLANNED, reason
            row.next_step = "Settle it with who decides; then start it again, and it is asked for anew."
            await tell(tx, row, now=now)

    @staticmethod
    async def _waiting(tx: Transaction, campaign_id: str) -> store.Campaign | None:
        row = await store.held_campaign(tx, campaign_id)
        return row if row is not None and row.state == CampaignState.AWAITING_APPROVAL else None


def _question(row: store.Campaign, *, needed: int, planned: int, by_hand: int) -> Ask:
    """Return what is to be approved."""
    document = {
        "kind": Kind.CAMPAIGN,
        "campaign_id": row.id,
        "name": row.name,
        "query": row.query,
        "reason": row.reason,
        "deadline": row.deadline.isoformat() if row.deadline is not None else None,
        "not_from": sorted(row.not_from),
        "revoke": row.revoke,
        "certificates": planned,
        "by_hand": by_hand,
        "plan_digest": row.plan_digest,
        "names": [],
        "summary": f"Replace {planned} certificates: {row.name}.",
    }
    return Ask(
        kind=Kind.CAMPAIGN,
        subject_id=row.id,
        # Who sees the campaign sees what is asked about it: it is in the same groups, as a lineage would be.
        lineage_id=row.id,
        document=document,
        rule=Rule(needed=needed),
        requesters=[row.created_by, *([row.asked_by] if row.asked_by else [])],
    )


class CampaignGate:
    """Lets a campaign begin that needs no approval; for others it is asked."""

    def __init__(self, approvals: Approvals, *, needed: int) -> None:
        self._approvals = approvals
        self._needed = needed

    async def lets_pass(self, tx: Transaction, row: store.Campaign, *, now: datetime) -> bool:
        """Return whether it may begin at once."""
        if not self._needed:
            return True
        counts = await store.item_counts(tx.session, row.id)
        by_hand = counts.get(ItemState.BY_HAND, 0)
        asked = _question(row, needed=self._needed, planned=sum(counts.values()) - by_hand, by_hand=by_hand)
        await self._approvals.ask(tx, asked, now=now)
        return False
