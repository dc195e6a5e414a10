"""Queries on proposals."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.provisioner.domain.proposals import State
from services.provisioner.store.tables import LINEAGES, Binding, Proposal, Target
from shared.store import Transaction, insert
from shared.store.scopes import Scope, within


@dataclass(frozen=True, kw_only=True)
class Bound:
    """The binding that has the slot of a proposal."""

    proposal_id: str
    binding_id: str
    lineage_id: str
    is_seen: bool
    """Whether its lineage is in the scope that was asked for."""


async def keep_proposal(tx: Transaction, row: Proposal) -> None:
    """Keep what was told of a file; what is older than that is not."""
    values = row.model_dump(exclude={"id", "binding_id", "host", "path"})
    new = insert(tx, Proposal).values(row.model_dump())
    is_newer = col(Proposal.observed_at) <= row.observed_at
    await tx.session.execute(
        new.on_conflict_do_update(index_elements=["host", "path"], set_=values, where=is_newer)
    )


async def proposal_at(session: AsyncSession, *, host: str, path: str) -> Proposal | None:
    """Return what is kept of a file."""
    query = sa.select(Proposal).where(col(Proposal.host) == host, col(Proposal.path) == path)
    found: Proposal | None = await session.scalar(query.execution_options(populate_existing=True))
    return found


async def proposal_to_accept(tx: Transaction, proposal_id: str) -> Proposal | None:
    """Return a proposal, held until the transaction ends."""
    return await tx.session.get(Proposal, proposal_id, with_for_update=True)


async def proposals(
    session: AsyncSession,
    *,
    after: str | None,
    limit: int,
    scope: Scope,
    host: str | None,
    product: str | None,
    fingerprint: str | None,
    lineage_id: str | None,
    state: State | None,
    is_ready: bool | None,
) -> Sequence[Proposal]:
    """Return up to `limit + 1` proposals of a scope, the newest first."""
    query = sa.select(Proposal).where(within(Proposal.groups, scope))
    query = query.order_by(col(Proposal.id).desc()).limit(limit + 1)
    wanted = ((Proposal.host, host), (Proposal.fingerprint, fingerprint))
    query = query.where(*(col(column) == value for column, value in wanted if value is not None))
    if product is not None:
        query = query.where(col(Proposal.products).contains(f",{product},", autoescape=True))
    if lineage_id is not None:
        its = (col(Binding.lineage_id) == lineage_id, LINEAGES.within(col(Binding.lineage_id), scope))
        query = query.where(_binding().where(*its).exists())
    if state is not None:
        query = query.where(_is(state))
    if is_ready is not None:
        query = query.where(col(Proposal.obstacle).is_(None) == is_ready)
    if after is not None:
        query = query.where(col(Proposal.id) < after)
    return (await session.scalars(query)).all()


async def bound(session: AsyncSession, rows: Collection[str], *, scope: Scope) -> dict[str, Bound]:
    """Return the bindings that have the slots of these proposals, by the proposal."""
    is_seen = LINEAGES.within(col(Binding.lineage_id), scope)
    query = (
        sa.select(col(Proposal.id), col(Binding.id), col(Binding.lineage_id), is_seen)
        .join_from(Proposal, Binding, sa.true())
        .join(Target, col(Target.id) == col(Binding.target_id))
        .where(col(Proposal.id).in_(rows), _has_slot())
    )
    return {
        proposal: Bound(proposal_id=proposal, binding_id=binding, lineage_id=lineage, is_seen=bool(is_seen))
        for proposal, binding, lineage, is_seen in (await session.execute(query)).all()
    }


async def proposals_of_host(session: AsyncSession, host: str) -> Sequence[Proposal]:
    """Return what configurations of a host still use."""
    query = sa.select(Proposal).where(col(Proposal.host) == host, col(Proposal.gone_at).is_(None))
    return (await session.scalars(query.order_by(col(Proposal.path)))).all()


async def targets_of_host(session: AsyncSession, host: str, *, scope: Scope) -> Sequence[Target]:
    """Return the targets of a scope that are reached under this name or address, the oldest first."""
    query = sa.select(Target).where(col(Target.host) == host, within(Target.groups, scope))
    query = query.order_by(col(Target.id))
    return (await session.scalars(query)).all()


async def targets_of_kind(session: AsyncSession, kind: str, *, scope: Scope) -> Sequence[Target]:
    """Return the targets of a scope and a kind, the oldest first."""
    query = sa.select(Target).where(col(Target.kind) == kind, within(Target.groups, scope))
    return (await session.scalars(query.order_by(col(Target.id)))).all()


def _has_slot() -> sa.ColumnElement[bool]:
    """Say whether a binding is what a proposal was accepted as, or has the same file of the same host."""
    is_same_file = sa.and_(
        col(Binding.slot_key) == col(Proposal.path), col(Target.host) == col(Proposal.host)
    )
    return sa.or_(col(Binding.id) == col(Proposal.binding_id), is_same_file)


def _binding() -> sa.Select[str]:
    return (
        sa.select(col(Binding.id))
        .join(Target, col(Target.id) == col(Binding.target_id))
        .where(_has_slot())
        .correlate(Proposal)
    )


def _is(state: State) -> sa.ColumnElement[bool]:
    is_there, is_bound = col(Proposal.gone_at).is_(None), _binding().exists()
    return {
        State.OPEN: sa.and_(is_there, ~is_bound),
        State.BOUND: sa.and_(is_there, is_bound),
        State.GONE: ~is_there,
    }[state]
