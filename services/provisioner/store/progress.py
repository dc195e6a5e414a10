"""What an attempt remembers on its way: each time one statement, which on PostgreSQL is a transaction of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from services.provisioner.domain import OPEN
from services.provisioner.store.holds import waits_after
from services.provisioner.store.places import IS_IN_PLACE
from services.provisioner.store.tables import Deployment, KeyRequest, Renewal, Step, Target, table_of
from shared.store import Database, Transaction, UnitOfWork, write_rows
from shared.store.reader import Fixed

_DEPLOYMENTS, _TARGETS, _STEPS = table_of(Deployment), table_of(Target), table_of(Step)
_KEYS, _RENEWALS = table_of(KeyRequest), table_of(Renewal)
_ON_THE_WAY = ("phase", "sealed_key", "undo", "sealed_undo", "served_before", "updated_at")
IN_PLACE = (
    *("phase", "state", "sealed_key", "repairs", "failure", "failed_step", "reason", "restored"),
    *("watch_until", "discovered_at", "discovery", "deployed_at", "updated_at"),
)
"""What changes of a deployment that was seen in place."""
_AT_THE_END = (*_ON_THE_WAY, "state", "next_attempt_at", "hold", "hold_reason")


class LeaseLost(Exception):
    """Another process works on the target now: whatever we know of it is no longer true."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """A step that is to be kept: as `Step`, without what a row costs that is never looked at again."""

    id: str
    deployment_id: str
    attempt: int
    at: datetime
    step: str
    ok: bool
    text: str

    def values(self) -> dict[str, Any]:
        """Return it by the names of its columns."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, kw_only=True)
class Rest:
    """What is there beside a deployment that is in place."""

    others: bool
    """Another deployment of the same order is still to come."""
    keys: bool
    """Something was asked to be made on a target for the order, or for the binding."""


_NEW_STEP = sa.insert(_STEPS)
_HELD = (
    sa.select(_DEPLOYMENTS.c.id)
    .select_from(_TARGETS.join(_DEPLOYMENTS, _DEPLOYMENTS.c.target_id == _TARGETS.c.id))
    .where(_DEPLOYMENTS.c.id == sa.bindparam("held_id"), _TARGETS.c.lease == sa.bindparam("held_lease"))
    .with_for_update(of=(_TARGETS, _DEPLOYMENTS))  # in the order in which who changes a target takes them
)
_HELD_WITH_ITS_ORDER = Fixed(
    _HELD.where(_RENEWALS.c.order_id == _DEPLOYMENTS.c.order_id).with_for_update(
        of=(_TARGETS, _DEPLOYMENTS, _RENEWALS)
    )
)
_OF_ORDER, _OF_BINDING = (sa.bindparam(name, type_=sa.String()) for name in ("of_order", "of_binding"))
_OTHER = _DEPLOYMENTS.alias("other")
_REST = (
    sa.exists(sa.select(_OTHER.c.id))
    .where(
        _OTHER.c.order_id == _OF_ORDER,
        _OTHER.c.id != sa.bindparam("held_id", type_=sa.String()),
        sa.or_(*(_OTHER.c.state == state for state in OPEN)),
    )
    .label("others"),
    sa.exists(sa.select(_KEYS.c.order_id))
    .where(sa.or_(_KEYS.c.order_id == _OF_ORDER, _KEYS.c.binding_id == _OF_BINDING))
    .label("keys"),
)
END_LEASE = (
    sa.update(_TARGETS)
    .where(_TARGETS.c.lease == sa.bindparam("ended", type_=sa.String()))
    .values(lease=sa.null(), lease_until=sa.null())
)


def _changed(names: Sequence[str]) -> sa.Update:
    columns = {name: sa.bindparam(f"new_{name}", type_=_DEPLOYMENTS.c[name].type) for name in names}
    return sa.update(_DEPLOYMENTS).values(columns)


_GO_ON = _changed(_ON_THE_WAY).where(_DEPLOYMENTS.c.id == sa.bindparam("held_id"))
_IN_PLACE = _changed(IN_PLACE).where(_DEPLOYMENTS.c.id == sa.bindparam("held_id"))
_END = _changed(_AT_THE_END).where(_DEPLOYMENTS.c.id == sa.bindparam("held_id"))


def _at_once(
    names: Sequence[str], *more: Any, told: Sequence[Any] = (_DEPLOYMENTS.c.id,), is_last: bool = False
) -> Fixed:
    """Return the change of a deployment, with all that goes with it, as one statement: it does all, or nothing.

    `told` is what it returns of what it has changed.
    """
    held = _HELD.cte("held")
    given = sa.func.unnest(
        *(sa.bindparam(f"{column.name}s", type_=ARRAY(column.type)) for column in _STEPS.c)
    ).table_valued(*(sa.column(column.name, column.type) for column in _STEPS.c))
    steps = sa.select(given.render_derived(name="given"))
    kept = sa.insert(_STEPS).from_select(
        [column.name for column in _STEPS.c], steps.where(sa.exists(sa.select(held.c.id)))
    )
    beside: list[Any] = [kept.cte("kept"), *more]
    if is_last:
        # Where the lease is not ours, no row has it: nobody else's is ended.
        beside += [END_LEASE.cte("freed"), waits_after(sa.exists(sa.select(held.c.id))).cte("woken")]
    whole = _changed(names).where(_DEPLOYMENTS.c.id == held.c.id).returning(*told)
    return Fixed(whole.add_cte(*beside))


_GO_ON_AT_ONCE = _at_once(_ON_THE_WAY)
_IN_PLACE_AT_ONCE = _at_once(IN_PLACE, IS_IN_PLACE.cte("bound"), told=_REST)
_END_AT_ONCE = _at_once(_AT_THE_END, is_last=True)
_REST_ALONE = Fixed(sa.select(*_REST))


async def go_on(database: Database, row: Deployment, *, lease: str, steps: Sequence[Noted]) -> None:
    """Keep how far an attempt has come: what it is about to do is on the disk before it does it.

    Only what an attempt alone changes is written. Raises `LeaseLost` where the target is not ours any more.
    """
    if database.is_sqlite:
        async with database.transaction() as tx:
            await _step_by_step(tx, row, (_GO_ON, _ON_THE_WAY), lease=lease, steps=steps)
    else:
        values = {**_values(row, _ON_THE_WAY), "held_lease": lease}
        await _whole(database, _GO_ON_AT_ONCE, values, steps)


async def end(database: Database, row: Deployment, *, lease: str, steps: Sequence[Noted]) -> None:
    """Keep that a deployment is over; let go of its target, and have looked at again what waits for it.

    Raises `LeaseLost` where the target is not ours any more.
    """
    if database.is_sqlite:
        async with database.transaction() as tx:
            await _step_by_step(tx, row, (_END, _AT_THE_END), lease=lease, steps=steps)
            await let_go(tx, row, lease=lease, now=row.updated_at)
    else:
        about = {"of_order": row.order_id, "of_binding": row.binding_id, "at": row.updated_at}
        values = {**_values(row, _AT_THE_END), "held_lease": lease, "ended": lease, **about}
        await _whole(database, _END_AT_ONCE, values, steps)


async def hold(unit: UnitOfWork, deployment: Deployment, *, lease: str) -> None:
    """Keep others from changing a deployment, or ending another of its order, until the transaction ends.

    So of two deployments that end at once one is the last. Raises `LeaseLost`.
    """
    if not await unit.reader.values(_HELD_WITH_ITS_ORDER, held_id=deployment.id, held_lease=lease):
        raise LeaseLost


async def keep_in_place(
    unit: UnitOfWork, row: Deployment, *, lease: str, look_at: datetime | None, steps: Sequence[Noted]
) -> Rest:
    """Keep that a deployment, which is held, was seen in place, and in the slot of its binding; return what else there is.

    There it is looked at again at `look_at`; None for never. Raises `LeaseLost`.
    """
    values = _values(row, IN_PLACE)
    seen = {"of_binding": row.binding_id, "seen": row.fingerprint, "at": row.updated_at, "next_look": look_at}
    if isinstance(unit, Transaction):
        await write_rows(unit, _IN_PLACE, [values])
        await write_rows(unit, IS_IN_PLACE, [seen])
        await keep_steps(unit, steps)
        about = {"held_id": row.id, "of_order": row.order_id, "of_binding": row.binding_id}
        found = await unit.reader.values(_REST_ALONE, **about)
    else:
        every = {**values, **seen, **_listed(steps), "held_lease": lease, "of_order": row.order_id}
        found = await unit.reader.values(_IN_PLACE_AT_ONCE, **every)
    if not found:
        raise LeaseLost
    [[others, keys]] = found
    return Rest(others=bool(others), keys=bool(keys))


async def let_go(tx: Transaction, deployment: Deployment, *, lease: str, now: datetime) -> None:
    """Let others work on the target, and have looked at again what waits for the deployment."""
    await end_lease(tx, lease=lease)
    await wake_those_after(tx, order_id=deployment.order_id, binding_id=deployment.binding_id, now=now)


async def end_lease(tx: Transaction, *, lease: str) -> None:
    """Let others work on the target."""
    await write_rows(tx, END_LEASE, [{"ended": lease}])


async def wake_those_after(tx: Transaction, *, order_id: str, binding_id: str, now: datetime) -> None:
    """Have looked at again what waits for a deployment: of its order, or of its slot."""
    about = {"of_order": order_id, "of_binding": binding_id, "at": now}
    await write_rows(tx, _WAKE, [about])


async def keep_steps(tx: Transaction, steps: Sequence[Noted]) -> None:
    """Keep what was done."""
    # Not by the session, which takes several times as long for each row.
    await write_rows(tx, _NEW_STEP, [step.values() for step in steps])


_WAKE = waits_after(sa.true())


async def _step_by_step(
    tx: Transaction,
    row: Deployment,
    change: tuple[sa.Update, Sequence[str]],
    *,
    lease: str,
    steps: Sequence[Noted],
) -> None:
    statement, names = change
    await hold(tx, row, lease=lease)
    await write_rows(tx, statement, [_values(row, names)])
    await keep_steps(tx, steps)


async def _whole(database: Database, change: Fixed, values: dict[str, Any], steps: Sequence[Noted]) -> None:
    async with database.single() as driver:
        if not await driver.values(change, **values, **_listed(steps)):
            raise LeaseLost


def _listed(steps: Sequence[Noted]) -> dict[str, Any]:
    """Return steps column by column."""
    return {f"{column.name}s": [getattr(step, column.name) for step in steps] for column in _STEPS.c}


def _values(row: Deployment, names: Sequence[str]) -> dict[str, Any]:
    return {"held_id": row.id, **dict(_new(row, names))}


def _new(row: Deployment, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for name in names:
        yield f"new_{name}", getattr(row, name)
