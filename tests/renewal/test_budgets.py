"""No storm burns an authority's limits, nothing is renewed round and round, and another authority is asked in time."""

from datetime import timedelta

import anyio
import pytest

from services.renewal.connectors import NotNow
from services.renewal.domain.budgets import UNLIMITED, Budget, Limit
from services.renewal.domain.orders import State
from shared.errors import Forbidden, NotFound, Refused
from shared.events.renewal import RenewalFailed
from tests.renewal.workshop import CALLER, OLD, Scripted, Workshop

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def limit(shop: Workshop, **limits: Limit | bool) -> str:
    """Give the authority a budget and return its id."""
    [authority] = await shop.authorities.page(after=None, limit=10, caller=CALLER)
    await shop.budgets.put(authority.id, Budget(**limits), caller=CALLER, now=shop.time())  # type: ignore[arg-type] # each by its name
    return authority.id


async def states(shop: Workshop) -> list[str]:
    return sorted(order.state for order in await shop.all())


async def test_orders_beyond_the_budget_wait_with_their_reason_and_have_not_failed(shop: Workshop) -> None:
    authority = await limit(shop, orders=Limit(most=2, window=HOUR))
    for number in range(5):
        await shop.order(f"n{number}.example.test", lineage_id=f"l{number}")
    await shop.work_off()
    assert await states(shop) == [State.RENEWED] * 2 + [State.WAITING] * 3
    waiting = [order for order in await shop.all() if order.state == State.WAITING]
    assert {(order.held_by, order.attempts) for order in waiting} == {("budget", 0)}
    assert all("2 orders were placed" in (order.last_error or "") for order in waiting)
    assert await shop.events(RenewalFailed) == []
    standing = await shop.budgets.get(authority, caller=CALLER, now=shop.time())
    assert (standing.orders_spent, standing.waiting, standing.is_usual) == (2, 3, False)
    for expected in (4, 5):
        shop.time.passes(HOUR)
        await shop.work_off()
        assert (await states(shop)).count(State.RENEWED) == expected
    assert all(order.held_by is None for order in await shop.all())


async def test_replicas_spend_a_budget_once(shop: Workshop) -> None:
    await limit(shop, orders=Limit(most=3, window=HOUR))
    for number in range(8):
        await shop.order(f"n{number}.example.test", lineage_id=f"l{number}")
    replica = Workshop(shop.database, time=shop.time)
    async with anyio.create_task_group() as tasks:
        for at in (shop, replica) * 2:
            tasks.start_soon(at.work_off)
    assert (await states(shop)).count(State.RENEWED) == 3


async def test_an_order_that_goes_on_after_a_break_spends_nothing_again(small_shop: Workshop) -> None:
    authority = await limit(small_shop, orders=Limit(most=1, window=HOUR))
    await small_shop.order()
    Scripted.script.append(NotNow("Busy."))
    await small_shop.work_off()
    small_shop.time.passes(timedelta(minutes=2))
    await small_shop.work_off()
    assert await states(small_shop) == [State.RENEWED]
    assert (await small_shop.budgets.get(authority, caller=CALLER, now=small_shop.time())).orders_spent == 1


async def test_a_name_that_keeps_failing_is_left_alone_for_an_hour(small_shop: Workshop) -> None:
    await limit(small_shop, failures=Limit(most=2, window=HOUR))
    await small_shop.order()
    for _ in range(2):
        Scripted.script.append(NotNow("The challenge failed.", starts_over=True))
        await small_shop.work_off()
        order = await small_shop.only()
        await small_shop.orders.retry(order.id, caller=CALLER, now=small_shop.time())
    await small_shop.work_off()
    order = await small_shop.only()
    assert (order.state, order.held_by, order.attempts) == (State.WAITING, "budget", 2)
    assert "attempts at one of its names have failed" in (order.last_error or "")
    small_shop.time.passes(HOUR + timedelta(minutes=1))
    await small_shop.work_off()
    assert await states(small_shop) == [State.RENEWED]


async def test_replacements_are_free_where_the_authority_says_so(small_shop: Workshop) -> None:
    await small_shop.order()
    await small_shop.work_off()
    authority = await limit(small_shop, orders=Limit(most=1, window=DAY), exempts_replacements=True)
    for _ in range(3):
        await small_shop.order()
        await small_shop.work_off()
    assert await states(small_shop) == [State.RENEWED] * 4
    assert (await small_shop.budgets.get(authority, caller=CALLER, now=small_shop.time())).orders_spent == 0


async def test_without_a_budget_nothing_is_counted_and_an_old_one_is_forgotten(small_shop: Workshop) -> None:
    authority = await limit(small_shop, orders=Limit(most=9, window=30 * DAY))
    await small_shop.order()
    await small_shop.work_off()
    await small_shop.budgets.forget(small_shop.time() + 31 * DAY)
    assert (await small_shop.budgets.get(authority, caller=CALLER, now=small_shop.time())).orders_spent == 0
    usual = await small_shop.authority("le", kind="scripted")
    standing = await small_shop.budgets.get(usual.id, caller=CALLER, now=small_shop.time())
    assert (standing.budget, standing.is_usual) == (UNLIMITED, True)
    with pytest.raises(NotFound):
        await small_shop.budgets.put("x", Budget(), caller=CALLER, now=small_shop.time())


async def test_a_lineage_that_is_renewed_again_and_again_and_never_seen_is_held(small_shop: Workshop) -> None:
    await small_shop.enrol(["shop.example.test"])
    await small_shop.expires()
    for _ in range(4):
        await small_shop.work_off()
        order = (await small_shop.all())[0]
        if order.state == State.WAITING:
            break
        async with small_shop.database.transaction() as tx:
            row = await tx.session.get_one(type(await small_shop.schedule()), "lineage")
            row.renew_at = (
                small_shop.time()
            )  # as a clock that went wrong, or an event that comes round and round
        await small_shop.order_due()
    held, *renewed = await small_shop.all()
    assert (held.state, held.held_by, held.next_attempt_at) == (State.WAITING, "loop", None)
    assert [order.state for order in renewed] == [State.RENEWED] * 3
    [told] = await small_shop.events(RenewalFailed)
    assert "never seen in place" in told.reason
    assert "retry" in told.next_step
    await small_shop.order_due()
    assert len(await small_shop.all()) == 4
    await small_shop.orders.retry(held.id, caller=CALLER, now=small_shop.time())
    await small_shop.work_off()
    assert (await small_shop.all())[0].state == State.RENEWED


# Another authority


async def failing(shop: Workshop, *, days_left: int) -> None:
    """Let a lineage with so much time left be ordered from an authority with another behind it."""
    await shop.authority("other-ca")
    await shop.change(fallback_authority="other-ca")
    await shop.enrol(["shop.example.test"])
    begin = shop.time().replace(microsecond=0) - (90 - days_left) * DAY
    await shop.expires(not_before=begin, not_after=begin + 90 * DAY)


async def test_near_the_end_an_order_goes_on_at_the_fallback_authority(shop: Workshop) -> None:
    await failing(shop, days_left=10)
    Scripted.script.extend(NotNow("It cannot be reached.") for _ in range(3))
    await shop.work_off()
    for _ in range(2):
        shop.time.passes(timedelta(minutes=11))
        await shop.work_off()
    order = await shop.only()
    assert (order.state, order.authority, order.attempts) == (State.RENEWED, "other-ca", 3)
    _, steps = await shop.orders.get(order.id, caller=CALLER)
    assert "fallback" in [step.step for step in steps]
    assert [step.step for step in steps].count("key") == 2, "another authority gets another key"


async def test_a_plain_no_near_the_end_asks_the_fallback_at_once_and_early_it_has_failed(
    small_shop: Workshop,
) -> None:
    await failing(small_shop, days_left=10)
    Scripted.script.append(Refused("No.", next_step="Ask."))
    await small_shop.work_off()
    assert (await small_shop.only()).authority == "other-ca"
    assert (await small_shop.only()).old_fingerprint == OLD


async def test_with_time_left_the_first_authority_is_tried_on(small_shop: Workshop) -> None:
    await failing(small_shop, days_left=25)
    Scripted.script.extend(NotNow("It cannot be reached.") for _ in range(4))
    for _ in range(4):
        await small_shop.work_off()
        small_shop.time.passes(2 * HOUR)
    order = await small_shop.only()
    assert (order.state, order.authority) == (State.WAITING, "house-ca")
    Scripted.script.append(Refused("No.", next_step="Ask."))
    small_shop.time.passes(2 * DAY)
    await small_shop.work_off()
    assert (await small_shop.only()).state == State.FAILED


async def test_a_budget_of_everybodys_authority_is_not_for_everybody_to_set(small_shop: Workshop) -> None:
    shared = await small_shop.authority("shared", groups=["*"])
    scoped = type(CALLER)(id="sam", name="sam", roles=frozenset({"operator"}), groups=frozenset({"shop"}))
    await small_shop.budgets.get(shared.id, caller=scoped, now=small_shop.time())
    with pytest.raises(Forbidden):
        await small_shop.budgets.put(shared.id, Budget(), caller=scoped, now=small_shop.time())
