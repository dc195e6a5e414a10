"""What may be asked of an authority in a while, and what is left of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.renewal import store
from services.renewal.actions.authorities import found_authority
from services.renewal.actions.scopes import require_own
from services.renewal.domain.budgets import (
    LETS_ENCRYPT,
    UNLIMITED,
    Budget,
    Limit,
    Spent,
    Wait,
    afford,
    is_public_directory,
    names_key,
)
from shared.access import Principal
from shared.store import Database, Transaction

LONGEST = timedelta(days=30)
"""No window of a budget is longer."""
_LIMITS = ("orders", "same_names", "failures")
ORDER, FAILURE = "order", "failure"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """An authority's budget, whether it is the usual one of its kind, and what was spent."""

    authority: str
    budget: Budget
    is_usual: bool
    orders_spent: int
    waiting: int


class Budgets:
    """The budgets of authorities."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, authority_id: str, *, caller: Principal, now: datetime) -> Standing:
        """Return an authority's budget. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await session.get(store.Authority, authority_id)
            return await _standing(session, found_authority(row, authority_id, caller=caller), now=now)

    async def put(self, authority_id: str, budget: Budget, *, caller: Principal, now: datetime) -> Standing:
        """Let no more be asked of an authority from here on. Raises `NotFound` or `Forbidden`."""
        async with self._database.transaction() as tx:
            row = await tx.session.get(store.Authority, authority_id, with_for_update=True)
            row = found_authority(row, authority_id, caller=caller)
            require_own(row, caller=caller)
            row.budget = _kept(budget)
            return await _standing(tx.session, row, now=now)

    async def forget(self, now: datetime) -> bool:
        """Forget what no window reaches back to; nothing is left then."""
        async with self._database.transaction() as tx:
            await store.forget_spent(tx, before=now - LONGEST)
        return False


def budget_of(authority: store.Authority) -> Budget:
    """Return what was set, else Let's Encrypt's limits for a public ACME directory, else none."""
    if authority.budget is not None:
        return _read(authority.budget)
    is_public = is_public_directory(str(authority.options.get("directory_url", "")))
    return LETS_ENCRYPT if is_public else UNLIMITED


async def place(
    tx: Transaction, order: store.Order, authority: store.Authority, *, replaces: bool, now: datetime
) -> Wait | None:
    """Spend an order where the authority's budget allows it, and return None; else until when it waits and why."""
    budget = budget_of(authority)
    if budget == UNLIMITED:
        return None
    await store.lock_budget(tx, authority.id)
    wait = afford(budget, await _spent(tx.session, order, authority, now=now), replaces=replaces, now=now)
    if wait is None and not (replaces and budget.exempts_replacements):
        store.spend(
            tx,
            authority_id=authority.id,
            what=ORDER,
            keys=[names_key(order.names)],
            order_id=order.id,
            at=now,
        )
    return wait


def note_failure(tx: Transaction, order: store.Order, *, now: datetime) -> None:
    """Count a failed attempt against each of the order's names."""
    store.spend(
        tx, authority_id=order.authority_id, what=FAILURE, keys=order.names, order_id=order.id, at=now
    )


async def _spent(
    session: AsyncSession, order: store.Order, authority: store.Authority, *, now: datetime
) -> Spent:
    async def at(what: str, limit: Limit | None, keys: Sequence[str] = ()) -> Sequence[datetime]:
        if limit is None:
            return ()
        since = now - limit.window
        return await store.spent(session, authority_id=authority.id, what=what, since=since, keys=keys)

    budget = budget_of(authority)
    failed = [await at(FAILURE, budget.failures, [name]) for name in order.names]
    return Spent(
        orders=await at(ORDER, budget.orders),
        same_names=await at(ORDER, budget.same_names, [names_key(order.names)]),
        failures=max(failed, key=len, default=()),
        waiting=await store.waiting_for_budget(session, authority_id=authority.id, besides=order.id),
    )


async def _standing(session: AsyncSession, authority: store.Authority, *, now: datetime) -> Standing:
    budget = budget_of(authority)
    since = now - (budget.orders.window if budget.orders is not None else timedelta(days=1))
    return Standing(
        authority=authority.name,
        budget=budget,
        is_usual=authority.budget is None,
        orders_spent=len(await store.spent(session, authority_id=authority.id, what=ORDER, since=since)),
        waiting=await store.waiting_for_budget(session, authority_id=authority.id, besides=""),
    )


def _kept(budget: Budget) -> dict[str, Any]:
    limits = {name: getattr(budget, name) for name in _LIMITS}
    kept: dict[str, Any] = {
        name: {"most": limit.most, "window": limit.window.total_seconds()}
        for name, limit in limits.items()
        if limit is not None
    }
    return {**kept, "exempts_replacements": budget.exempts_replacements}


def _read(kept: Mapping[str, Any]) -> Budget:
    limits = {
        name: Limit(most=kept[name]["most"], window=timedelta(seconds=kept[name]["window"]))
        for name in _LIMITS
        if name in kept
    }
    return Budget(**limits, exempts_replacements=kept["exempts_replacements"])
