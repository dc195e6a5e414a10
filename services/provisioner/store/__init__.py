"""What the provisioner remembers: targets, bindings, renewals, deployments and their steps, proposals."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.provisioner.domain import Phase, State
from services.provisioner.store.approvals import (
    ApprovalRule,
    approval_rules,
    delete_rules_of,
    not_begun_of_order,
    open_approvals_of_rules,
    passed_approvals,
    rules_for,
    wake_those_unapproved,
)
from services.provisioner.store.claims import Claimed, Whole, claim, is_any_due
from services.provisioner.store.holds import (
    half_done,
    not_yet_deployed,
    unfinished_of_binding,
    wake_dependants,
)
from services.provisioner.store.key_requests import (
    claim_key,
    clear_keys,
    clear_older_keys,
    end_all_key_leases,
    held_key,
    is_any_key_due,
    key_is_bound,
)
from services.provisioner.store.places import (
    bindings_at,
    bindings_to_look_at,
    forget_places,
    is_any_binding_due,
    is_any_bound_at,
    is_on_its_way,
    keep_places,
    last_deployed,
)
from services.provisioner.store.progress import (
    IN_PLACE,
    LeaseLost,
    Noted,
    Rest,
    end,
    end_lease,
    go_on,
    hold,
    keep_in_place,
    keep_steps,
    let_go,
    wake_those_after,
)
from services.provisioner.store.proposals import (
    Bound,
    bound,
    keep_proposal,
    proposal_at,
    proposal_to_accept,
    proposals,
    proposals_of_host,
    targets_of_host,
    targets_of_kind,
)
from services.provisioner.store.pulls import (
    PullOffer,
    PullToken,
    deployment_at_work,
    forget_pulls,
    pull_offer,
    pull_offer_to_change,
)
from services.provisioner.store.rollouts import (
    Rollout,
    RolloutPolicy,
    bindings_of_order,
    deployments_of_rollout,
    due_rollouts,
    end_what_has_not_begun,
    failed_of_rollout,
    held_for_approval,
    held_rollout,
    hold_rollout,
    let_waves_go,
    live_rollouts,
    rollout_policies,
    rollouts,
    try_failed_again,
    wave_counts,
)
from services.provisioner.store.tables import (
    LINEAGES,
    Binding,
    BindingPlace,
    Deployment,
    KeyRequest,
    Proposal,
    Renewal,
    SealingKey,
    Step,
    Table,
    Target,
)
from services.provisioner.store.windows import (
    ChangeWindow,
    Freeze,
    Timing,
    delete_timings_of,
    timings,
    timings_of,
    wake_timed,
)
from shared.store import Transaction, insert
from shared.store.reader import Fixed
from shared.store.scopes import Scope, within
from shared.store.traces import remember

__all__ = [
    "IN_PLACE",
    "LINEAGES",
    "SEALING_KEY",
    "ApprovalRule",
    "Binding",
    "BindingPlace",
    "Bound",
    "ChangeWindow",
    "Claimed",
    "Deployment",
    "Freeze",
    "KeyRequest",
    "LeaseLost",
    "Noted",
    "Proposal",
    "PullOffer",
    "PullToken",
    "Renewal",
    "Rest",
    "Rollout",
    "RolloutPolicy",
    "SealingKey",
    "Step",
    "Table",
    "Target",
    "Timing",
    "Whole",
    "approval_rules",
    "bindings_at",
    "bindings_of_order",
    "bindings_to_look_at",
    "bound",
    "claim",
    "claim_key",
    "clear_keys",
    "clear_older_keys",
    "delete_rules_of",
    "delete_timings_of",
    "deployment_at_work",
    "deployments_of_rollout",
    "due_rollouts",
    "end",
    "end_all_key_leases",
    "end_lease",
    "end_what_has_not_begun",
    "failed_of_rollout",
    "forget_places",
    "forget_pulls",
    "go_on",
    "half_done",
    "held_for_approval",
    "held_key",
    "held_rollout",
    "hold",
    "hold_rollout",
    "is_any_binding_due",
    "is_any_bound_at",
    "is_any_due",
    "is_any_key_due",
    "is_on_its_way",
    "keep_in_place",
    "keep_places",
    "keep_proposal",
    "keep_steps",
    "key_is_bound",
    "last_deployed",
    "let_go",
    "let_waves_go",
    "live_rollouts",
    "not_begun_of_order",
    "not_yet_deployed",
    "open_approvals_of_rules",
    "passed_approvals",
    "proposal_at",
    "proposal_to_accept",
    "proposals",
    "proposals_of_host",
    "pull_offer",
    "pull_offer_to_change",
    "rollout_policies",
    "rollouts",
    "rules_for",
    "targets_of_host",
    "targets_of_kind",
    "timings",
    "timings_of",
    "try_failed_again",
    "unfinished_of_binding",
    "wake_dependants",
    "wake_those_after",
    "wake_those_unapproved",
    "wake_timed",
    "wave_counts",
]


SEALING_KEY = Fixed(
    sa.select(col(SealingKey.public_key), col(SealingKey.private_key)).where(
        col(SealingKey.name) == sa.bindparam("name")
    )
)
"""The sealing key of a name."""


async def targets(session: AsyncSession, *, after: str | None, limit: int, scope: Scope) -> Sequence[Target]:
    """Return up to `limit + 1` targets of a scope, newest first, that come after the one with this id."""
    query = sa.select(Target).where(within(Target.groups, scope))
    query = query.order_by(col(Target.id).desc()).limit(limit + 1)
    if after is not None:
        query = query.where(col(Target.id) < after)
    return (await session.scalars(query)).all()


async def bindings(
    session: AsyncSession, *, after: str | None, limit: int, scope: Scope, **having: str
) -> Sequence[Binding]:
    """Return up to `limit + 1` bindings of a scope with these values, newest first."""
    query = sa.select(Binding).filter_by(**having).where(LINEAGES.within(col(Binding.lineage_id), scope))
    query = query.order_by(col(Binding.id).desc()).limit(limit + 1)
    if after is not None:
        query = query.where(col(Binding.id) < after)
    return (await session.scalars(query)).all()


async def deployments(
    session: AsyncSession, *, after: str | None, limit: int, scope: Scope, **having: str
) -> Sequence[Deployment]:
    """Return up to `limit + 1` deployments of a scope with these values, newest first."""
    query = sa.select(Deployment).filter_by(**having)
    query = query.where(LINEAGES.within(col(Deployment.lineage_id), scope))
    query = query.order_by(col(Deployment.id).desc()).limit(limit + 1)
    if after is not None:
        query = query.where(col(Deployment.id) < after)
    return (await session.scalars(query)).all()


async def target_named(session: AsyncSession, name: str) -> Target | None:
    """Return the target of this name."""
    found: Target | None = await session.scalar(sa.select(Target).where(col(Target.name) == name))
    return found


async def lock_lineage(tx: Transaction, lineage_id: str) -> None:
    """Let one transaction at a time bring a certificate and what it belongs in together.

    Of a renewal and a binding that are kept at the same time, neither would see the other, and nothing would ever be deployed.
    """
    if tx.session.get_bind().dialect.name == "postgresql":
        key = sa.func.hashtextextended(f"provisioner {lineage_id}", 0)
        await tx.session.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


async def bindings_of_lineage(session: AsyncSession, lineage_id: str) -> Sequence[Binding]:
    """Return where a lineage belongs."""
    query = sa.select(Binding).where(col(Binding.lineage_id) == lineage_id).order_by(col(Binding.id))
    return (await session.scalars(query)).all()


async def has_bindings(session: AsyncSession, target_id: str) -> bool:
    """Return whether something is bound to a slot of the target."""
    query = sa.select(col(Binding.id)).where(col(Binding.target_id) == target_id).limit(1)
    return await session.scalar(query) is not None


async def binding_of_slot(session: AsyncSession, *, target_id: str, slot_key: str) -> Binding | None:
    """Return the binding that has this slot."""
    query = sa.select(Binding).where(col(Binding.target_id) == target_id, col(Binding.slot_key) == slot_key)
    found: Binding | None = await session.scalar(query)
    return found


async def latest_renewal(session: AsyncSession, lineage_id: str) -> Renewal | None:
    """Return the newest certificate of a lineage."""
    query = sa.select(Renewal).where(col(Renewal.lineage_id) == lineage_id)
    newest = query.order_by(col(Renewal.renewed_at).desc(), col(Renewal.order_id).desc()).limit(1)
    found: Renewal | None = await session.scalar(newest)
    return found


async def keep_renewal(tx: Transaction, renewal: Renewal) -> None:
    """Keep a renewal, once."""
    await tx.session.execute(
        insert(tx, Renewal).values(renewal.model_dump()).on_conflict_do_nothing(index_elements=["order_id"])
    )


async def keep_deployments(tx: Transaction, deployments: Sequence[Deployment]) -> None:
    """Keep deployments that are not there yet: one for each order and binding."""
    for deployment in deployments:
        await tx.session.execute(
            insert(tx, Deployment)
            .values(deployment.model_dump())
            .on_conflict_do_nothing(index_elements=["order_id", "binding_id"])
        )
        await remember(tx, deployment.id, now=deployment.created_at)


async def extend_lease(tx: Transaction, *, lease: str, until: datetime) -> bool:
    """Keep the lease for longer; return False where it is no longer ours."""
    extended = sa.update(Target).where(col(Target.lease) == lease).values(lease_until=until)
    result = await tx.session.execute(extended.returning(col(Target.id)))
    return result.first() is not None


_HELD = (
    sa.select(Deployment)
    .select_from(Target)
    .join(Deployment, col(Deployment.target_id) == col(Target.id))
    .where(
        col(Deployment.id) == sa.bindparam("deployment_id"),
        col(Target.lease) == sa.bindparam("lease"),
    )
    .with_for_update(of=(Target, Deployment))  # in the order in which who changes a target takes them
)


async def held(tx: Transaction, deployment_id: str, *, lease: str) -> Deployment:
    """Return a deployment for changing. Raises `LeaseLost` where its target is not ours any more."""
    row: Deployment | None = await tx.session.scalar(_HELD, {"deployment_id": deployment_id, "lease": lease})
    if row is None:
        raise LeaseLost
    return row


async def end_all_leases(tx: Transaction) -> None:
    """Let go of every target: right only where no other process can be at work."""
    await tx.session.execute(sa.update(Target).values(lease=None, lease_until=None))


async def newer_deployment(session: AsyncSession, deployment: Deployment) -> str | None:
    """Return a deployment of a newer certificate into the same slot."""
    query = sa.select(col(Deployment.id)).where(
        col(Deployment.binding_id) == deployment.binding_id,
        col(Deployment.renewed_at) > deployment.renewed_at,
        col(Deployment.state) != State.CANCELLED,
    )
    found: str | None = await session.scalar(query.limit(1))
    return found


async def renewal_in_place(session: AsyncSession, deployment: Deployment) -> Renewal | None:
    """Return the certificate that the last other deployment into the same slot put there."""
    query = (
        sa.select(Renewal)
        .join(Deployment, col(Deployment.order_id) == col(Renewal.order_id))
        .where(
            col(Deployment.binding_id) == deployment.binding_id,
            col(Deployment.id) != deployment.id,
            col(Deployment.state) == State.DEPLOYED,
        )
        .order_by(col(Deployment.deployed_at).desc(), col(Deployment.id).desc())
    )
    found: Renewal | None = await session.scalar(query.limit(1))
    return found


async def open_deployments(tx: Transaction, **of: str) -> Sequence[Deployment]:
    """Return what is still to come of a binding or target, each row held until the transaction ends."""
    query = sa.select(Deployment).filter_by(**of).where(col(Deployment.phase) != Phase.OVER)
    return (await tx.session.scalars(query.with_for_update())).all()


def finish(deployment: Deployment, *, state: State, now: datetime) -> None:
    """Let a deployment be over: nothing takes it up again, and the key that came for it is forgotten."""
    deployment.state, deployment.phase = state, Phase.OVER
    deployment.next_attempt_at = deployment.sealed_key = deployment.sealed_undo = None
    deployment.hold = deployment.hold_reason = None
    deployment.updated_at = now


async def steps_of(session: AsyncSession, deployment_id: str) -> Sequence[Step]:
    """Return what was done, oldest first."""
    query = (
        sa.select(Step).where(col(Step.deployment_id) == deployment_id).order_by(col(Step.at), col(Step.id))
    )
    return (await session.scalars(query)).all()


async def keep_sealing_key(tx: Transaction, key: SealingKey) -> None:
    """Keep the sealing key, where there is none of this name yet."""
    await tx.session.execute(
        insert(tx, SealingKey).values(key.model_dump()).on_conflict_do_nothing(index_elements=["name"])
    )
