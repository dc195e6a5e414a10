"""Reports: made of what the other services say, for somebody, of what that somebody may see."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio

from services.notifier import store
from services.notifier.connectors.estate import Estate, Scope, Wanted
from services.notifier.connectors.papers import File, Form, write
from services.notifier.domain.reports import Paper, Report
from services.notifier.domain.reports.certificates import expiring, ownership
from services.notifier.domain.reports.material import Heading, KnownException, Some
from services.notifier.domain.reports.policies import Standing, compliance, exceptions
from services.notifier.domain.reports.work import forecast, renewals
from services.notifier.domain.text import clean
from shared.access import Principal
from shared.store import Database


@dataclass(frozen=True, kw_only=True)
class Order:
    """Which report, about what, for whom. `days` are those ahead, or for what was done those before."""

    report: Report
    form: Form
    query: str | None
    days: int
    scope: Scope
    made_for: str


def ordered(report: Report, *, form: Form, query: str | None, days: int, caller: Principal) -> Order:
    """Return an order of a caller's own: of what is in the caller's groups."""
    return Order(report=report, form=form, query=query, days=days, scope=caller.scope, made_for=caller.name)


class Reports:
    """Makes reports."""

    def __init__(self, database: Database, *, estate: Estate) -> None:
        self._database = database
        self._estate = estate

    async def make(self, order: Order, *, now: datetime) -> File:
        """Return a report as a file. Raises `Invalid` for a query that is none, and `Unavailable`."""
        wanted = Wanted(query=order.query, scope=order.scope)
        await self._estate.check(wanted)
        heading = Heading(made_at=now, made_for=clean(order.made_for), about=_about(order), days=order.days)
        paper = await self._paper(order.report, wanted, heading)
        # Laying out a long table takes seconds: others are not to wait for it.
        return await anyio.to_thread.run_sync(write, paper, order.form)

    async def _paper(self, report: Report, wanted: Wanted, heading: Heading) -> Paper:
        match report:
            case Report.EXPIRING:
                return await self._expiring(wanted, heading)
            case Report.COMPLIANCE:
                return await self._compliance(wanted, heading)
            case Report.OWNERSHIP:
                found, by_hand = await self._with_hand(wanted)
                return ownership(found, by_hand=by_hand, heading=heading)
            case Report.RENEWALS:
                return await self._renewals(wanted, heading)
            case Report.EXCEPTIONS:
                return await self._exceptions(wanted, heading)
            case Report.FORECAST:
                ahead = await self._estate.forecast(wanted, days=heading.days)
                return forecast(ahead, names=await self._estate.teams(), heading=heading)

    async def _expiring(self, wanted: Wanted, heading: Heading) -> Paper:
        found, by_hand = await self._with_hand(wanted, f"expires < {heading.days}d")
        in_use = await self._estate.count(wanted)
        return expiring(found, by_hand=by_hand, in_use=in_use, heading=heading)

    async def _with_hand(self, wanted: Wanted, *more: str) -> tuple[Some, set[str]]:
        found = await self._estate.certificates(wanted, *more)
        manual = await self._estate.certificates(wanted, *more, "not managed")
        return found, {each.fingerprint for each in manual.certificates}

    async def _compliance(self, wanted: Wanted, heading: Heading) -> Paper:
        standings = []
        for policy in await self._estate.policies():
            fails, passes = f'policy.fails = "{policy.id}"', f'policy.passes = "{policy.id}"'
            standings.append(
                Standing(
                    policy=policy,
                    failing=await self._estate.certificates(wanted, fails),
                    failing_count=await self._estate.count(wanted, fails),
                    passing=await self._estate.count(wanted, passes, f"not {fails}"),
                )
            )
        grades, in_use = await self._estate.grades(wanted), await self._estate.count(wanted)
        return compliance(standings, grades=grades, in_use=in_use, heading=heading)

    async def _renewals(self, wanted: Wanted, heading: Heading) -> Paper:
        since = heading.made_at - timedelta(days=heading.days)
        orders = await self._estate.orders(since=since)
        deployments = await self._estate.deployments(since=since)
        lineages = {each.lineage_id for each in orders} | {each.lineage_id for each in deployments}
        async with self._database.read() as session:
            seen = await store.lineages_within(session, lineages, scope=wanted.scope)
        return renewals(
            [each for each in orders if each.lineage_id in seen],
            [each for each in deployments if each.lineage_id in seen],
            targets=await self._estate.targets(),
            heading=heading,
        )

    async def _exceptions(self, wanted: Wanted, heading: Heading) -> Paper:
        found: Sequence[KnownException] = await self._estate.exceptions()
        if wanted.scope is not None:
            found = await self._visible(found, scope=wanted.scope)
        return exceptions(found, is_whole=wanted.scope is None, heading=heading)

    async def _visible(
        self, found: Sequence[KnownException], *, scope: frozenset[str]
    ) -> list[KnownException]:
        """Return the exceptions that are for a group of the reader, or for a certificate in one."""
        prints = [each.scope.value for each in found if each.scope.kind == "certificate"]
        values = scope | await self._estate.seen(prints, scope=scope)
        return [
            each
            for each in found
            if each.scope.kind in ("group", "certificate") and each.scope.value in values
        ]


def _about(order: Order) -> str:
    groups = f"groups {', '.join(sorted(order.scope))}" if order.scope else "all groups"
    return clean(groups + (f", query: {order.query}" if order.query else ""), most=500)
