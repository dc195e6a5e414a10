"""What keeps a deployment that is due from beginning, why, and until when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from services.provisioner import store
from services.provisioner.actions.implementation import is_as_approved
from services.provisioner.actions.permits import missing_rules
from services.provisioner.actions.timing import opening_of
from services.provisioner.domain import Hold, State
from services.provisioner.domain.rollouts import RolloutState

LOOK_AGAIN = timedelta(minutes=1)
"""Whoever is waited for wakes those who wait; where it was killed in between, they look themselves."""


LOOK_AGAIN_AT_RULES = timedelta(hours=1)
"""People take their time; who decides wakes what waits. A wave that goes does not: it leaves alone what has a time."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a deployment waits for; `until` is when it is looked at again, None where somebody has to say that it goes on."""

    hold: Hold
    reason: str
    until: datetime | None
    rules: Sequence[store.ApprovalRule] = ()
    """What its target wants approved, and has not been yet."""


async def held(session: AsyncSession, row: store.Deployment, *, now: datetime) -> Held | None:
    """Return what keeps a deployment from beginning, None where nothing does.

    Whatever this comes to ask about is to be looked for in `store.claim` too, which lets begin what nothing can keep.
    """
    return (
        await _by_slot(session, row, now=now)
        or await _by_rollout(session, row)
        or await _by_rules(session, row, now=now)
        or await by_dependency(session, row, now=now)
        or await _by_timing(session, row, now=now)
    )


async def is_called_off(session: AsyncSession, row: store.Deployment) -> bool:
    """Return whether a deployment never begins, as its rollout has ended without it.

    One that was in place before is put right, whatever became of the others.
    """
    if row.rollout_id is None or row.deployed_at is not None:
        return False
    rollout = await session.get_one(store.Rollout, row.rollout_id)
    return rollout.state in (RolloutState.ABORTED, RolloutState.SUPERSEDED)


async def _by_slot(session: AsyncSession, row: store.Deployment, *, now: datetime) -> Held | None:
    # Two at once would take each other's way back for their own.
    other = await store.half_done(session, row)
    if other is None:
        return None
    return Held(
        hold=Hold.SLOT, reason=f"The deployment {other} is at work in its slot.", until=now + LOOK_AGAIN
    )


async def _by_rollout(session: AsyncSession, row: store.Deployment) -> Held | None:
    if row.rollout_id is None:
        return None
    rollout = await session.get_one(store.Rollout, row.rollout_id)
    match RolloutState(rollout.state):
        case RolloutState.AWAITING_APPROVAL:
            return Held(hold=Hold.APPROVAL, reason="Its rollout waits for an approval.", until=None)
        case RolloutState.STOPPED:
            return Held(hold=Hold.ROLLOUT, reason=f"Its rollout has stopped: {rollout.reason}", until=None)
        case RolloutState.RUNNING if row.wave > rollout.wave:
            return Held(hold=Hold.ROLLOUT, reason="Its wave has not begun.", until=None)
    if rollout.approvals_needed and not await is_as_approved(session, rollout, row):
        is_asked = rollout.state == RolloutState.RUNNING
        what_follows = "it is asked for anew" if is_asked else "have the next certificate approved"
        reason = f"What would be done is not what was approved: {what_follows}."
        return Held(hold=Hold.APPROVAL, reason=reason, until=None)
    return None


async def _by_rules(session: AsyncSession, row: store.Deployment, *, now: datetime) -> Held | None:
    rules = await missing_rules(session, row)
    if not rules:
        return None
    names = ", ".join(rule.name for rule in rules)
    return Held(
        hold=Hold.APPROVAL,
        reason=f"What is done on its target is approved first: {names}.",
        until=now + LOOK_AGAIN_AT_RULES,
        rules=rules,
    )


async def by_dependency(session: AsyncSession, row: store.Deployment, *, now: datetime) -> Held | None:
    """Return which bindings come first and are not in place yet."""
    binding = await session.get_one(store.Binding, row.binding_id)
    if not binding.after:
        return None
    missing = await store.not_yet_deployed(session, row.order_id, bindings=binding.after)
    if not missing:
        return None
    return Held(hold=Hold.DEPENDENCY, reason=f"It comes after {_listed(missing)}.", until=now + LOOK_AGAIN)


def _listed(missing: Sequence[tuple[str, State, str]]) -> str:
    return ", ".join(f"{slot} on {target} ({state})" for slot, state, target in missing)


async def _by_timing(session: AsyncSession, row: store.Deployment, *, now: datetime) -> Held | None:
    if row.overridden_by is not None:
        return None
    target = await session.get_one(store.Target, row.target_id)
    opens = await opening_of(session, target, now=now)
    if opens.hold is None:
        return None
    return Held(hold=opens.hold, reason=opens.reason or "", until=opens.at)
