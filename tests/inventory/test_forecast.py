"""The forecast from what is kept: who is counted, by what, and what a caller may see."""

from datetime import timedelta

import sqlalchemy as sa

from services.inventory.actions.forecast import Forecasts
from services.inventory.domain.forecast import Forecast
from services.inventory.domain.query import Asked, parse
from services.inventory.store.forecast import By, Wanted
from services.inventory.store.organised import GroupMember
from services.inventory.store.tables import LintRow
from shared.store import insert
from tests.inventory.conftest import Issue
from tests.inventory.ledger import DAY, HOUR, NOON, Ledger, found, place, renewed


async def look(
    ledger: Ledger, *, by: By = By.ISSUER, scope: frozenset[str] | None = None, query: str = ""
) -> Forecast:
    asked = Asked(query=parse(query), now=NOON) if query else None
    return await Forecasts(ledger.database, limits={}).forecast(
        Wanted(by=by, asked=asked, scope=scope), days=120, at_lifetime=timedelta(days=47), now=NOON
    )


async def test_certificates_in_use_are_counted_by_day_lifetime_and_automation(
    ledger: Ledger, issue: Issue
) -> None:
    old, new = issue("shop.test", since=60, ends_in=30), issue("shop.test", since=0, ends_in=90)
    by_hand = issue("legacy.test", since=100, ends_in=100)
    await ledger.hear(found(old, place(1), NOON - DAY), found(by_hand, place(2), NOON))
    await ledger.hear(renewed(old, new, NOON), found(new, place(1), NOON + HOUR))
    seen = await look(ledger, by=By.AUTOMATION)
    assert [(group.key, group.certificates, group.by_hand) for group in seen.groups] == [
        ("automated", 1, 0),
        ("by hand", 1, 1),
    ]
    renewals = {
        (day.day - NOON.date()).days: (day.renewals, day.by_hand) for day in seen.days if day.renewals
    }
    assert renewals == {33: (1, 1), 60: (1, 0)}
    assert [(day.day - NOON.date()).days for day in seen.days if day.expiries] == [90, 100]


async def test_public_ones_that_last_too_long_break_on_the_day_of_the_ceiling(
    ledger: Ledger, issue: Issue
) -> None:
    public, private = issue("a.test", since=1, ends_in=190), issue("b.test", since=1, ends_in=190)
    await ledger.hear(found(public, place(1), NOON), found(private, place(2), NOON))
    async with ledger.database.transaction() as tx:
        row = insert(tx, LintRow).values(fingerprint=public.fingerprint, is_public=True, linted_with="")
        await tx.session.execute(
            row.on_conflict_do_update(index_elements=["fingerprint"], set_={"is_public": True})
        )
    seen = await look(ledger)
    assert [(each.ceiling.longest.days, each.certificates) for each in seen.broken][-2:] == [
        (100, 1),
        (47, 1),
    ]


async def test_a_caller_counts_what_is_in_its_groups_and_a_query_narrows_it(
    ledger: Ledger, issue: Issue
) -> None:
    mine, other = issue("mine.test"), issue("other.test")
    await ledger.hear(found(mine, place(1), NOON), found(other, place(2), NOON))
    async with ledger.database.transaction() as tx:
        await tx.session.execute(
            sa.insert(GroupMember), [{"group_id": "web", "fingerprint": mine.fingerprint}]
        )
    assert (await look(ledger)).certificates == 2
    assert (await look(ledger, scope=frozenset({"web"}))).certificates == 1
    assert (await look(ledger, scope=frozenset({"mail"}))).certificates == 0
    assert (await look(ledger, query="name = other.test")).certificates == 1
    keys = [group.key for group in (await look(ledger, by=By.GROUP)).groups]
    assert keys == ["", "web"]
