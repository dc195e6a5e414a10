"""The verbs on rollouts: begin, look at, go on wave by wave, stop, resume, abort."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from services.provisioner import store
from services.provisioner.actions.implementation import document, is_as_approved
from services.provisioner.actions.scopes import sees_lineage
from services.provisioner.domain import Hold, State
from services.provisioner.domain.order import Waves
from services.provisioner.domain.rollouts import ALIVE, Next, RolloutState, judge
from services.provisioner.store.approvals import APPROVALS, Kind
from shared.access import Principal
from shared.approvals import ApprovalState, Rule
from shared.approvals.actions import Approvals, Ask
from shared.errors import Conflict, NotFound
from shared.events.provisioner import RolloutChanged
from shared.store import Database, Transaction

SWEEP = timedelta(minutes=1)
"""How often a rollout is looked at though nothing has told of it: whoever should have may have been killed."""
_AT_ONCE = 50
_STOPPED_NEXT = "Look at the deployments that failed; then resume the rollout, or abort it."


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A rollout, how many of its deployments are in which state by wave, and the deployments."""

    row: store.Rollout
    waves: Mapping[int, Mapping[State, int]]
    deployments: Sequence[store.Deployment]


class WaitingRollouts:
    """The rollouts that wait for an approval."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring

    async def is_waiting(self, tx: Transaction, subject_id: str) -> bool:
        """Return whether a rollout still waits."""
        return await self._waiting(tx, subject_id) is not None

    async def passed(self, tx: Transaction, subject_id: str, *, text: str, now: datetime) -> None:
        """Let its first wave go."""
        row = await self._waiting(tx, subject_id)
        if row is not None:
            row.state, row.reason, row.look_at, row.updated_at = RolloutState.RUNNING, text, now, now
            await store.let_waves_go(tx, row, now=now)
            await tell(tx, row, now=now)
            tx.after_commit(self._ring)

    async def stopped(self, tx: Transaction, subject_id: str, *, reason: str, now: datetime) -> None:
        """Let it come to its end."""
        row = await self._waiting(tx, subject_id)
        if row is not None:
            await end(tx, row, state=RolloutState.ABORTED, reason=reason, now=now)

    @staticmethod
    async def _waiting(tx: Transaction, rollout_id: str) -> store.Rollout | None:
        row = await store.held_rollout(tx, rollout_id)
        return row if row is not None and row.state == RolloutState.AWAITING_APPROVAL else None


class Rollouts:
    """Certificates on their way into many slots."""

    def __init__(self, database: Database, *, approvals: Approvals, ring: Callable[[], None]) -> None:
        self._database = database
        self._approvals = approvals
        self._ring = ring

    async def ask(self, tx: Transaction, row: store.Rollout, *, now: datetime) -> None:
        """Ask for an approval of exactly what the rollout would do."""
        renewal = await tx.session.get_one(store.Renewal, row.order_id)
        rows = await store.deployments_of_rollout(tx.session, row.id)
        binders = [await tx.session.get(store.Binding, each.binding_id) for each in rows]
        requesters = [renewal.requested_by, row.policy_by, *(each.created_by for each in binders if each)]
        ask = Ask(
            kind=Kind.ROLLOUT,
            subject_id=row.id,
            lineage_id=row.lineage_id,
            document=await document(tx.session, row, renewal),
            rule=Rule(needed=row.approvals_needed, groups=row.approver_groups, roles=row.approver_roles),
            requesters=[each for each in requesters if each],
        )
        await self._approvals.ask(tx, ask, now=now)

    async def judge(self, rollout_id: str, *, now: datetime) -> None:
        """Go on with a rollout, as far as its deployments allow."""
        async with self._database.transaction() as tx:
            row = await store.held_rollout(tx, rollout_id)
            if row is None or row.state != RolloutState.RUNNING:
                return
            if await self._asks_anew(tx, row, now=now):
                return
            await self._go_on(tx, row, now=now)
            tx.after_commit(self._ring)

    async def _go_on(self, tx: Transaction, row: store.Rollout, *, now: datetime) -> None:
        counts = await store.wave_counts(tx.session, row.id)
        has_soaked = row.soaked_at is not None and row.soaked_at <= now
        match judge(counts, wave=row.wave, waves=waves_of(row), has_soaked=has_soaked):
            case Next.STOP:
                await self._stop(tx, row, now=now)
            case Next.SOAK if row.soak:
                row.soaked_at = row.soaked_at or now + timedelta(seconds=row.soak)
                row.look_at = row.soaked_at
            case Next.SOAK | Next.NEXT_WAVE:
                row.wave = min(each for each in counts if each > row.wave)
                row.soaked_at, row.look_at, row.updated_at = None, now + SWEEP, now
                await store.let_waves_go(tx, row, now=now)
                await tell(tx, row, now=now)
            case Next.FINISH:
                await end(tx, row, state=RolloutState.FINISHED, reason=None, now=now)
            case Next.GO_ON:
                row.soaked_at, row.look_at = None, now + SWEEP
                await store.let_waves_go(tx, row, now=now)

    async def _stop(self, tx: Transaction, row: store.Rollout, *, now: datetime) -> None:
        failed = await store.failed_of_rollout(tx.session, row.id)
        row.state, row.look_at, row.soaked_at, row.updated_at = RolloutState.STOPPED, None, None, now
        row.reason = "; ".join(f"{name}: {reason}" for name, reason in failed)[:2000]
        await store.hold_rollout(
            tx, row.id, hold=Hold.ROLLOUT, reason=f"Its rollout has stopped: {row.reason}"
        )
        await tell(tx, row, now=now)

    async def _asks_anew(self, tx: Transaction, row: store.Rollout, *, now: datetime) -> bool:
        """Ask again where what would be done is not what was approved."""
        waiting = await store.held_for_approval(tx.session, row.id)
        if not waiting or not row.approvals_needed:
            return False
        if all([await is_as_approved(tx.session, row, each) for each in waiting]):
            return False
        row.state, row.look_at, row.updated_at = RolloutState.AWAITING_APPROVAL, None, now
        row.reason = "What would be done has changed since it was approved."
        await self.ask(tx, row, now=now)
        await tell(tx, row, now=now)
        return True

    async def look(self, now: datetime) -> bool:
        """Look at rollouts that are due; return whether there may be more."""
        async with self._database.read() as session:
            due = await store.due_rollouts(session, now=now, limit=_AT_ONCE)
        for rollout_id in due:
            await self.judge(rollout_id, now=now)
        return len(due) == _AT_ONCE

    async def page(
        self, *, after: str | None, limit: int, caller: Principal, **asked: str | None
    ) -> Sequence[store.Rollout]:
        """Return rollouts that the caller sees with these values, newest first, one more than `limit` where there are more."""
        having = {name: value for name, value in asked.items() if value is not None}
        async with self._database.read() as session:
            return await store.rollouts(session, after=after, limit=limit, scope=caller.scope, **having)

    async def get(self, rollout_id: str, *, caller: Principal) -> Progress:
        """Return a rollout and how far it is. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await session.get(store.Rollout, rollout_id)
            row = await _seen(session, row, rollout_id, caller=caller)
            return Progress(
                row=row,
                waves=await store.wave_counts(session, rollout_id),
                deployments=await store.deployments_of_rollout(session, rollout_id),
            )

    async def resume(self, rollout_id: str, *, caller: Principal, now: datetime) -> store.Rollout:
        """Go on with what has stopped: what failed is tried again first. Raises `NotFound` or `Conflict`."""
        async with self._database.transaction() as tx:
            row = await store.held_rollout(tx, rollout_id)
            row = await _seen(tx.session, row, rollout_id, caller=caller)
            if row.state != RolloutState.STOPPED:
                raise Conflict(
                    f"The rollout is {row.state}.", next_step="Only one that has stopped is resumed."
                )
            await store.try_failed_again(tx, rollout_id, now=now)
            row.state, row.look_at, row.updated_at = RolloutState.RUNNING, now + SWEEP, now
            row.reason = f"{caller.name} has resumed it."
            await store.let_waves_go(tx, row, now=now)
            await tell(tx, row, now=now)
            tx.after_commit(self._ring)
        return row

    async def abort(self, rollout_id: str, *, reason: str, caller: Principal, now: datetime) -> store.Rollout:
        """Let what has not begun never begin; what is half done comes to its end. Raises `NotFound` or `Conflict`."""
        async with self._database.transaction() as tx:
            row = await store.held_rollout(tx, rollout_id)
            row = await _seen(tx.session, row, rollout_id, caller=caller)
            if row.state not in ALIVE:
                raise Conflict(f"The rollout is {row.state}.", next_step="Nothing is to be done.")
            said = f"{caller.name} has aborted it: {reason}"
            await self.finish(tx, row, state=RolloutState.ABORTED, reason=said, now=now)
        return row

    async def finish(
        self, tx: Transaction, row: store.Rollout, *, state: RolloutState, reason: str, now: datetime
    ) -> None:
        """End a rollout, and take back the question for its approval."""
        await end(tx, row, state=state, reason=reason, now=now)
        asked = await APPROVALS.latest(tx.session, Kind.ROLLOUT, row.id)
        if asked is not None and asked.state == ApprovalState.OPEN:
            await self._approvals.void(tx, asked, reason=reason, now=now)


def waves_of(row: store.Rollout | store.RolloutPolicy) -> Waves:
    """Return how a rollout goes."""
    return Waves(
        canaries=row.canaries,
        share=row.share,
        soak=timedelta(seconds=row.soak),
        stop_after=row.stop_after,
    )


async def end(
    tx: Transaction, row: store.Rollout, *, state: RolloutState, reason: str | None, now: datetime
) -> None:
    """Let a rollout be over, and what has not begun with it."""
    over = State.SUPERSEDED if state is RolloutState.SUPERSEDED else State.CANCELLED
    await store.end_what_has_not_begun(tx, row.id, state=over, now=now)
    row.state, row.reason, row.look_at, row.soaked_at = state, reason, None, None
    row.updated_at = row.finished_at = now
    await tell(tx, row, now=now)


async def tell(tx: Transaction, row: store.Rollout, *, now: datetime) -> None:
    """Tell where a rollout is."""
    await tx.session.flush()
    counts: dict[str, int] = {}
    for states in (await store.wave_counts(tx.session, row.id)).values():
        for state, number in states.items():
            counts[state] = counts.get(state, 0) + number
    is_stopped = row.state == RolloutState.STOPPED
    told = RolloutChanged(
        rollout_id=row.id,
        lineage_id=row.lineage_id,
        order_id=row.order_id,
        fingerprint=row.fingerprint,
        state=row.state,
        wave=row.wave,
        counts=counts,
        reason=row.reason,
        next_step=_STOPPED_NEXT if is_stopped else None,
        changed_at=now,
    )
    tx.emit(told, now=now)


async def _seen(
    session: AsyncSession, row: store.Rollout | None, rollout_id: str, *, caller: Principal
) -> store.Rollout:
    if row is None or not await sees_lineage(session, row.lineage_id, caller=caller):
        raise NotFound(f"There is no rollout {rollout_id}.", next_step="List them with GET /v1/rollouts.")
    return row
