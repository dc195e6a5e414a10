"""Revocations: asked for by people or after a replacement, done at the authority, and seen to hold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from services.renewal import store
from services.renewal.actions.scopes import sees_lineage
from services.renewal.domain.approvals import Kind
from services.renewal.domain.campaigns import is_by_campaign
from services.renewal.domain.orders import State
from services.renewal.domain.revocations import (
    RETRIED,
    RevocationState,
    Start,
    Wish,
    check_again,
    check_worth,
    first_state,
)
from shared.access import Principal
from shared.approvals import Rule
from shared.approvals.actions import Approvals, Ask
from shared.errors import Conflict, NotFound
from shared.events.inventory import CertificateReplaced, CertificateRevocationSeen
from shared.events.renewal import RevocationConfirmed, RevocationReason
from shared.ids import new_id
from shared.store import Database, Transaction

OURSELVES = "renewal"


@dataclass(frozen=True, kw_only=True)
class NewRevocation:
    """What is to be revoked, by its certificate or by the order that it was obtained by; when, and why."""

    fingerprint: str | None
    order_id: str | None
    reason: RevocationReason
    start: Start
    explanation: str


class WaitingRevocations:
    """The revocations that wait for an approval."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring

    async def is_waiting(self, tx: Transaction, subject_id: str) -> bool:
        """Return whether a revocation still waits."""
        return await self._waiting(tx, subject_id) is not None

    async def passed(self, tx: Transaction, subject_id: str, *, text: str, now: datetime) -> None:
        """Let it be done."""
        row = await self._waiting(tx, subject_id)
        if row is not None:
            begin(tx, row, text=text, now=now)
            tx.after_commit(self._ring)

    async def stopped(self, tx: Transaction, subject_id: str, *, reason: str, now: datetime) -> None:
        """Let it fail."""
        row = await self._waiting(tx, subject_id)
        if row is not None:
            row.state, row.last_error, row.next_attempt_at = RevocationState.FAILED, reason, None
            row.next_step = "Settle it with who decides; then try it again, and it is asked for anew."
            add_step(tx, row, "approval", reason, now=now)

    @staticmethod
    async def _waiting(tx: Transaction, revocation_id: str) -> store.Revocation | None:
        row = await tx.session.get(store.Revocation, revocation_id, with_for_update=True)
        return row if row is not None and row.state == RevocationState.AWAITING_APPROVAL else None


class Revocations:
    """The verbs on revocations, but for the work itself."""

    def __init__(
        self,
        database: Database,
        *,
        approvals: Approvals,
        approvals_needed: int,
        replaced_after: timedelta,
        ring: Callable[[], None],
    ) -> None:
        self._database = database
        self._approvals = approvals
        self._approvals_needed = approvals_needed
        self._replaced_after = replaced_after
        self._ring = ring

    async def create(self, new: NewRevocation, *, caller: Principal, now: datetime) -> store.Revocation:
        """Have a certificate revoked. Raises `NotFound`, `Invalid` where it has ended, or `Conflict`.

        One that waits for its replacement is brought forward by asking for it now.
        """
        async with self._database.transaction() as tx:
            order = await self._order(tx.session, new, caller=caller)
            await store.lock_lineage(tx, order.lineage_id)
            check_worth(not_after=order.not_after, now=now)
            row = await store.revocation_of(tx.session, order.fingerprint or "")
            if row is None:
                row = _row(order, new.reason, new.explanation, start=new.start, by=caller.id, now=now)
                tx.session.add(row)
                await tx.session.flush()
                text = f"{caller.name} has it revoked ({new.reason}): {new.explanation}"
            else:
                check_again(RevocationState(row.state), start=new.start)
                row.starts, row.reason, row.explanation = new.start, new.reason, new.explanation
                row.created_by = caller.id
                text = f"{caller.name} has it revoked now ({new.reason}): {new.explanation}"
            add_step(tx, row, "requested", text, now=now)
            await self._start(tx, row, now=now)
        return row

    async def _start(
        self, tx: Transaction, row: store.Revocation, *, now: datetime, is_replaced: bool = False
    ) -> None:
        """Let a revocation begin where it is to."""
        is_replaced = is_replaced or await store.is_seen_replaced(
            tx.session, lineage_id=row.lineage_id, fingerprint=row.fingerprint
        )
        is_approved = row.created_by == OURSELVES or is_by_campaign(row.created_by)
        needs_approval = self._approvals_needed > 0 and not is_approved
        wish = Wish(start=Start(row.starts), is_replaced=is_replaced, needs_approval=needs_approval)
        row.state = first_state(wish)
        if row.state == RevocationState.PENDING:
            row.next_attempt_at = now
            tx.after_commit(self._ring)
        elif row.state == RevocationState.AWAITING_APPROVAL:
            await self._approvals.ask(tx, self._ask(row), now=now)
            add_step(tx, row, "approval", f"It waits for {self._approvals_needed} to approve it.", now=now)

    def _ask(self, row: store.Revocation) -> Ask:
        document = {
            "kind": Kind.REVOCATION,
            "revocation_id": row.id,
            "lineage_id": row.lineage_id,
            "fingerprint": row.fingerprint,
            "names": sorted(row.names),
            "authority": {"id": row.authority_id, "name": row.authority},
            "reason": row.reason,
            "summary": f"Revoke the certificate for {', '.join(sorted(row.names))} ({row.reason}).",
        }
        return Ask(
            kind=Kind.REVOCATION,
            subject_id=row.id,
            lineage_id=row.lineage_id,
            document=document,
            rule=Rule(needed=self._approvals_needed),
            requesters=[row.created_by],
        )

    @staticmethod
    async def _order(session: AsyncSession, new: NewRevocation, *, caller: Principal) -> store.Order:
        order = (
            await session.get(store.Order, new.order_id)
            if new.order_id is not None
            else await store.latest_order(session, fingerprint=new.fingerprint or "")
        )
        if order is None or not await sees_lineage(session, order.lineage_id, caller=caller):
            raise NotFound(
                f"No certificate {new.fingerprint or f'of an order {new.order_id}'} was obtained here.",
                next_step="Name one of those that GET /v1/orders shows; others are revoked at who has issued them.",
            )
        if order.fingerprint is None:
            raise Conflict(
                f"The order is {order.state}, and has no certificate.", next_step="Nothing is to be revoked."
            )
        return order

    async def page(
        self,
        *,
        after: str | None,
        limit: int,
        caller: Principal,
        fingerprint: str | None = None,
        state: RevocationState | None = None,
    ) -> Sequence[store.Revocation]:
        """Return revocations that the caller sees, newest first, one more than `limit` where there are more."""
        async with self._database.read() as session:
            return await store.newest(
                session,
                store.Revocation,
                after=after,
                limit=limit,
                scope=caller.scope,
                fingerprint=fingerprint,
                state=state,
            )

    async def get(
        self, revocation_id: str, *, caller: Principal
    ) -> tuple[store.Revocation, Sequence[store.RevocationStep]]:
        """Return a revocation and its steps, oldest first. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await session.get(store.Revocation, revocation_id)
            found = await _seen(session, row, revocation_id, caller=caller)
            return found, await store.revocation_steps_of(session, revocation_id)

    async def retry(self, revocation_id: str, *, caller: Principal, now: datetime) -> store.Revocation:
        """Try again at once, or look again whether it holds. Raises `NotFound` or `Conflict`."""
        async with self._database.transaction() as tx:
            row = await tx.session.get(store.Revocation, revocation_id, with_for_update=True)
            found = await _seen(tx.session, row, revocation_id, caller=caller)
            if found.state not in RETRIED:
                raise Conflict(
                    f"The revocation is {found.state}.", next_step="Only one that failed is tried again."
                )
            add_step(tx, found, "retry", f"{caller.name} has it tried again.", now=now)
            found.attempts = 0
            if found.state == RevocationState.FAILED:
                found.created_by = caller.id if self._approvals_needed else found.created_by
                await self._start(tx, found, now=now)
            else:
                if found.state == RevocationState.UNCONFIRMED:
                    found.state = RevocationState.REVOKED
                found.next_attempt_at = now
                tx.after_commit(self._ring)
        return found

    async def replaced(self, tx: Transaction, told: CertificateReplaced, *, now: datetime) -> None:
        """Begin what has waited for this replacement; where the profile says so, revoke what was replaced."""
        row = await store.revocation_of(tx.session, told.old_fingerprint)
        if row is not None:
            if row.state == RevocationState.AWAITING_REPLACEMENT:
                add_step(tx, row, "replaced", "Another was seen in every place of it.", now=now)
                await self._start(tx, row, now=now, is_replaced=True)
            return
        old = await store.latest_order(
            tx.session, lineage_id=told.lineage_id, fingerprint=told.old_fingerprint, state=State.RENEWED
        )
        if old is None or old.not_after is None or old.not_after <= now + self._replaced_after:
            return
        profile = await tx.session.get_one(store.Profile, old.profile_id)
        if not profile.revoke_replaced:
            return
        text = "Another was seen in every place of it, and its profile has such certificates revoked."
        row = _row(
            old, RevocationReason.SUPERSEDED, text, start=Start.AFTER_REPLACEMENT, by=OURSELVES, now=now
        )
        row.state, row.next_attempt_at = RevocationState.PENDING, now + self._replaced_after
        tx.session.add(row)
        await tx.session.flush()
        add_step(tx, row, "requested", text, now=now)

    async def after_replacement(
        self,
        tx: Transaction,
        fingerprint: str,
        *,
        reason: RevocationReason,
        explanation: str,
        by: str,
        now: datetime,
    ) -> store.Revocation | None:
        """Have a certificate revoked that was seen to be replaced; None where it was not obtained here, or has ended."""
        row = await store.revocation_of(tx.session, fingerprint)
        order = await store.latest_order(tx.session, fingerprint=fingerprint)
        if row is not None or order is None or order.not_after is None or order.not_after <= now:
            return row
        row = _row(order, reason, explanation, start=Start.AFTER_REPLACEMENT, by=by, now=now)
        tx.session.add(row)
        await tx.session.flush()
        add_step(tx, row, "requested", f"A {by} has it revoked ({reason}): {explanation}"[:2000], now=now)
        await self._start(tx, row, now=now, is_replaced=True)
        return row

    async def seen(self, tx: Transaction, told: CertificateRevocationSeen, *, now: datetime) -> None:
        """Take in that others have seen a certificate to be revoked."""
        row = await store.revocation_of(tx.session, told.fingerprint)
        if row is not None and row.state in (RevocationState.REVOKED, RevocationState.UNCONFIRMED):
            confirm(tx, row, by=told.means or "inventory", evidence="Inventory has seen it.", now=now)


def confirm(tx: Transaction, row: store.Revocation, *, by: str, evidence: str, now: datetime) -> None:
    """Remember that a revocation was seen to hold: that is its end."""
    row.state, row.next_attempt_at = RevocationState.CONFIRMED, None
    row.confirmed_at, row.confirmed_by = now, by[:20]
    row.last_error = row.next_step = None
    add_step(tx, row, "confirmed", evidence, now=now)
    told = RevocationConfirmed(
        lineage_id=row.lineage_id,
        revocation_id=row.id,
        fingerprint=row.fingerprint,
        means=row.confirmed_by,
        confirmed_at=now,
    )
    tx.emit(told, now=now)


def begin(tx: Transaction, row: store.Revocation, *, text: str, now: datetime) -> None:
    """Let a revocation be worked on now."""
    row.state, row.next_attempt_at = RevocationState.PENDING, now
    row.last_error = row.next_step = None
    add_step(tx, row, "approval", text, now=now)


def add_step(tx: Transaction, row: store.Revocation, step: str, text: str, *, now: datetime) -> None:
    """Remember one thing that was done for a revocation."""
    tx.session.add(store.RevocationStep(id=new_id(), revocation_id=row.id, at=now, step=step, text=text))


def _row(
    order: store.Order,
    reason: RevocationReason,
    explanation: str,
    *,
    start: Start,
    by: str,
    now: datetime,
) -> store.Revocation:
    return store.Revocation(
        id=new_id(),
        fingerprint=order.fingerprint or "",
        lineage_id=order.lineage_id,
        order_id=order.id,
        authority_id=order.authority_id,
        authority=order.authority,
        names=order.names,
        reason=reason,
        explanation=explanation,
        starts=start,
        state=RevocationState.AWAITING_REPLACEMENT,
        created_at=now,
        created_by=by,
    )


async def _seen(
    session: AsyncSession, row: store.Revocation | None, revocation_id: str, *, caller: Principal
) -> store.Revocation:
    if row is None or not await sees_lineage(session, row.lineage_id, caller=caller):
        raise NotFound(
            f"There is no revocation {revocation_id}.", next_step="List them with GET /v1/revocations."
        )
    return row
