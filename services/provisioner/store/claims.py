"""Which deployment is taken up next, and whether it begins at once: on PostgreSQL by two statements of the driver."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from services.provisioner.domain import Phase, State
from services.provisioner.store.holds import busy_networks, not_alone
from services.provisioner.store.tables import Binding, Deployment, Renewal, Target, table_of
from shared.store import Database, Instant, write_rows
from shared.store.reader import Fixed

_DEPLOYMENTS, _TARGETS = table_of(Deployment), table_of(Target)
_BINDINGS, _RENEWALS = table_of(Binding), table_of(Renewal)
_NOW = sa.bindparam("now", type_=Instant())
_LEASED = {"lease": sa.bindparam("new_lease"), "lease_until": sa.bindparam("until", type_=Instant())}


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A deployment with all that it is about, as it was when it was claimed; the rows belong to no session."""

    deployment: Deployment
    target: Target
    binding: Binding
    renewal: Renewal


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """What was claimed, and whether it has begun: nothing at all could keep it from it."""

    whole: Whole
    has_begun: bool


async def claim(
    database: Database, *, lease: str, until: datetime, now: datetime, per_network: int | None = None
) -> Claimed | None:
    """Take the lease on the target of a due deployment; return that deployment and what it is about, or None."""
    statement, values = _claims(is_limited=per_network is not None), {"now": now, "most": per_network}
    leased = {"new_lease": lease, "until": until}
    if not database.is_sqlite:
        async with database.single() as driver:
            found = await driver.rows(statement.at_once, **values, **leased)
            whole = _whole(vars(found[0])) if found else None
            if whole is None:
                return None
            if not _is_plain(whole):
                return Claimed(whole=whole, has_begun=False)
            # Asked when the lease is ours: nothing else can begin there, so the answer holds.
            begun = await driver.values(_BEGIN_AT_ONCE, **_beginning(whole, now))
            return _claimed(whole, has_begun=bool(begun))
    async with database.transaction() as tx:
        connection = await tx.session.connection()
        row = (await connection.execute(statement.due, values)).mappings().first()
        if row is None:
            return None
        whole = _whole(row)
        await write_rows(tx, _LEASE, [{**leased, "leased_id": whole.target.id}])
        if not _is_plain(whole):
            return Claimed(whole=whole, has_begun=False)
        begun_row = (await connection.execute(_BEGIN, _beginning(whole, now))).first()
        return _claimed(whole, has_begun=begun_row is not None)


def _claimed(whole: Whole, *, has_begun: bool) -> Claimed:
    if has_begun:
        whole.deployment.state = State.RUNNING
        whole.deployment.hold = whole.deployment.hold_reason = None
    return Claimed(whole=whole, has_begun=has_begun)


async def is_any_due(session: AsyncSession, now: datetime, *, per_network: int | None = None) -> bool:
    """Return whether there is something to claim, without locking anything."""
    due = _claims(is_limited=per_network is not None).due
    return (await session.execute(due, {"now": now, "most": per_network})).first() is not None


@dataclass(frozen=True, kw_only=True)
class _Claims:
    due: sa.Select[*tuple[Any, ...]]
    at_once: Fixed
    """Takes the lease as well; for PostgreSQL."""


@cache
def _claims(*, is_limited: bool) -> _Claims:
    free = sa.or_(_TARGETS.c.lease_until.is_(None), _TARGETS.c.lease_until <= _NOW)
    joined = (
        _DEPLOYMENTS.join(_TARGETS, _TARGETS.c.id == _DEPLOYMENTS.c.target_id)
        .join(_BINDINGS, _BINDINGS.c.id == _DEPLOYMENTS.c.binding_id)
        .join(_RENEWALS, _RENEWALS.c.order_id == _DEPLOYMENTS.c.order_id)
    )
    due = sa.select(*_every_column()).select_from(joined).where(_DEPLOYMENTS.c.next_attempt_at <= _NOW, free)
    if is_limited:
        busy = _DEPLOYMENTS.c.network.in_(busy_networks(_NOW, most=sa.bindparam("most", type_=sa.Integer())))
        due = due.where(sa.or_(_DEPLOYMENTS.c.network.is_(None), ~busy))
    # What is in force by half comes before what has not begun: it may be of the same slot.
    unfinished_first = sa.case((_DEPLOYMENTS.c.phase == Phase.START, 1), else_=0)
    due = due.order_by(unfinished_first, _DEPLOYMENTS.c.next_attempt_at, _DEPLOYMENTS.c.id).limit(1)
    # What may change is locked, and so is read as it is now; what others are just changing is due a moment later.
    mine = due.with_for_update(of=(_TARGETS, _BINDINGS, _DEPLOYMENTS), skip_locked=True).cte("mine")
    leased = sa.update(_TARGETS).values(_LEASED).where(_TARGETS.c.id == mine.c.targets_id)
    return _Claims(due=due, at_once=Fixed(sa.select(mine).add_cte(leased.cte("leased"))))


_LEASE = sa.update(_TARGETS).values(_LEASED).where(_TARGETS.c.id == sa.bindparam("leased_id"))
_BEGIN = (
    sa.update(_DEPLOYMENTS)
    .where(_DEPLOYMENTS.c.id == sa.bindparam("of_deployment", type_=sa.String()), ~not_alone())
    .values(state=State.RUNNING, hold=sa.null(), hold_reason=sa.null(), updated_at=_NOW)
    .returning(_DEPLOYMENTS.c.id)
)
_BEGIN_AT_ONCE = Fixed(_BEGIN)


def _is_plain(whole: Whole) -> bool:
    """Return whether a deployment may begin if it is alone: of most it is so."""
    row = whole.deployment
    return row.phase == Phase.START and row.rollout_id is None and not whole.binding.after


def _beginning(whole: Whole, now: datetime) -> dict[str, Any]:
    row = whole.deployment
    about = {"of_deployment": row.id, "of_binding": row.binding_id, "of_time": row.renewed_at}
    return {**about, "now": now}


def _every_column() -> Iterator[sa.Label[Any]]:
    for table in (_DEPLOYMENTS, _TARGETS, _BINDINGS, _RENEWALS):
        for column in table.c:
            yield column.label(f"{table.name}_{column.name}")


def _whole(row: Any) -> Whole:
    def part(table: sa.Table) -> Any:
        return SimpleNamespace(**{column.name: row[f"{table.name}_{column.name}"] for column in table.c})

    # They are read, and not looked after: what a row costs that a session keeps an eye on is ten times that.
    return Whole(
        deployment=cast("Deployment", part(_DEPLOYMENTS)),
        target=cast("Target", part(_TARGETS)),
        binding=cast("Binding", part(_BINDINGS)),
        renewal=cast("Renewal", part(_RENEWALS)),
    )
