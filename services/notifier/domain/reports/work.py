"""Reports about work: what was renewed and put in place, and what there will be to do."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from services.notifier.domain.reports import (
    Bar,
    Cell,
    Chart,
    Column,
    Figure,
    Paper,
    Report,
    Table,
    Tone,
    cells,
)
from services.notifier.domain.reports.certificates import WEEK
from services.notifier.domain.reports.material import (
    Heading,
    KnownDay,
    KnownDeployment,
    KnownForecast,
    KnownOrder,
)

_FAILED = "failed"
_NOT_IN_PLACE = (_FAILED, "needs_attention")


def renewals(
    orders: Sequence[KnownOrder],
    deployments: Sequence[KnownDeployment],
    *,
    targets: Mapping[str, str],
    heading: Heading,
) -> Paper:
    """Return the report of what was ordered and deployed in the days before. `targets` are names by ids."""
    obtained = [each for each in orders if each.renewed_at]
    observed = [each for each in obtained if each.observed_at]
    failed = [each for each in orders if each.state == _FAILED]
    broken = [each for each in deployments if each.state in _NOT_IN_PLACE]
    return Paper(
        report=Report.RENEWALS,
        made_at=heading.made_at,
        made_for=heading.made_for,
        about=heading.about,
        summary=f"In {heading.days} days {len(orders)} certificates were ordered, {len(obtained)} obtained, and {len(observed)} "
        f"of those observed at every place; {len(deployments)} deployments, {len(broken)} of them failed.",
        figures=[
            Figure(label="ordered", value=str(len(orders))),
            Figure(label="obtained", value=str(len(obtained)), tone=Tone.GOOD),
            Figure(label="orders failed", value=str(len(failed)), tone=Tone.BAD if failed else Tone.GOOD),
            Figure(
                label="deployments failed", value=str(len(broken)), tone=Tone.BAD if broken else Tone.GOOD
            ),
        ],
        charts=[_obtained_by_week(orders, heading=heading)],
        tables=[_orders(orders), _deployments(deployments, targets=targets)],
    )


def _obtained_by_week(orders: Sequence[KnownOrder], *, heading: Heading) -> Chart:
    weeks = -(-heading.days // 7)
    begin = heading.made_at - weeks * WEEK
    good, bad = Counter[int](), Counter[int]()
    for each in orders:
        week = (each.created_at - begin) // WEEK
        (bad if each.state == _FAILED else good)[week] += 1
    bars = [
        Bar(label=f"{begin + week * WEEK:%d %b}", value=bad[week], second=good[week]) for week in range(weeks)
    ]
    return Chart(title="Ordered in the week from", bars=bars, legend=("failed", "not failed"))


def _orders(orders: Sequence[KnownOrder]) -> Table:
    return Table(
        title="Orders, newest first",
        columns=[
            Column(title="Name", width=0.25),
            Column(title="Authority", width=0.14),
            Column(title="State", width=0.1),
            Column(title="Ordered", width=0.11),
            Column(title="Obtained", width=0.11),
            Column(title="Observed", width=0.11),
            Column(title="Last error", width=0.18),
        ],
        rows=[
            [
                *cells(next(iter(each.names), each.lineage_id), each.authority),
                _state(each.state),
                *cells(
                    f"{each.created_at:%Y-%m-%d}",
                    f"{each.renewed_at:%Y-%m-%d}" if each.renewed_at else "",
                    f"{each.observed_at:%Y-%m-%d}" if each.observed_at else "",
                    each.last_error or "",
                ),
            ]
            for each in orders
        ],
        nothing="Nothing was ordered.",
    )


def _deployments(deployments: Sequence[KnownDeployment], *, targets: Mapping[str, str]) -> Table:
    return Table(
        title="Deployments, newest first",
        columns=[
            Column(title="Target", width=0.24),
            Column(title="State", width=0.12),
            Column(title="Begun", width=0.12),
            Column(title="In place", width=0.12),
            Column(title="Tries", width=0.07, is_number=True),
            Column(title="Reason", width=0.33),
        ],
        rows=[
            [
                *cells(targets.get(each.target_id, each.target_id)),
                _state(each.state),
                *cells(
                    f"{each.created_at:%Y-%m-%d}",
                    f"{each.deployed_at:%Y-%m-%d}" if each.deployed_at else "",
                    each.attempt,
                    each.reason or "",
                ),
            ]
            for each in deployments
        ],
        nothing="Nothing was deployed.",
    )


def _state(state: str) -> Cell:
    tones = {**dict.fromkeys(_NOT_IN_PLACE, Tone.BAD), "renewed": Tone.GOOD, "deployed": Tone.GOOD}
    return Cell(text=state.replace("_", " "), tone=tones.get(state, Tone.PLAIN))


def forecast(found: KnownForecast, *, names: Mapping[str, str], heading: Heading) -> Paper:
    """Return the report of what lies ahead. `names` are those of teams by ids."""
    renewals_ahead = sum(day.renewals for day in found.days)
    by_hand = sum(day.by_hand for day in found.days)
    return Paper(
        report=Report.FORECAST,
        made_at=heading.made_at,
        made_for=heading.made_for,
        about=heading.about,
        summary=f"{renewals_ahead} renewals in the next {heading.days} days for {found.certificates} certificates in use, "
        f"{by_hand} of them by hand. With lifetimes of 47 days it would be {found.then.a_day:.1f} renewals a day "
        f"instead of {found.now.a_day:.1f}.",
        figures=[
            Figure(label="in use", value=str(found.certificates)),
            Figure(label="renewed by hand", value=str(found.by_hand), tone=_warn(found.by_hand)),
            Figure(label="renewals a day, now", value=f"{found.now.a_day:.1f}"),
            Figure(label="renewals a day, at 47 days", value=f"{found.then.a_day:.1f}"),
        ],
        charts=[_by_week(found.days, heading=heading)],
        tables=[_owners(found, names=names), _ceilings(found)],
    )


def _warn(count: int) -> Tone:
    return Tone.WARNING if count else Tone.GOOD


def _by_week(days: Sequence[KnownDay], *, heading: Heading) -> Chart:
    begin = heading.made_at.date()
    hand, machine = Counter[int](), Counter[int]()
    for day in days:
        week = (day.day - begin) // timedelta(days=7)
        hand[week] += day.by_hand
        machine[week] += day.renewals - day.by_hand
    weeks = sorted({*hand, *machine})
    bars = [
        Bar(label=f"{begin + week * timedelta(days=7):%d %b}", value=hand[week], second=machine[week])
        for week in weeks
    ]
    return Chart(title="Renewals in the week from", bars=bars, legend=("by hand", "by itself"))


def _owners(found: KnownForecast, *, names: Mapping[str, str]) -> Table:
    return Table(
        title="Owners, the one with most to come first",
        columns=[
            Column(title="Owner", width=0.4),
            Column(title="In use", width=0.15, is_number=True),
            Column(title="By hand", width=0.15, is_number=True),
            Column(title="Renewals", width=0.15, is_number=True),
            Column(title="Busiest day", width=0.15, is_number=True),
        ],
        rows=[
            [
                Cell(
                    text=names.get(each.key, each.key) or "nobody",
                    tone=Tone.PLAIN if each.key else Tone.WARNING,
                ),
                *cells(each.certificates, each.by_hand, each.renewals, each.busiest_day),
            ]
            for each in found.groups
        ],
        nothing="Nothing is in use.",
    )


def _ceilings(found: KnownForecast) -> Table:
    return Table(
        title="Lifetimes that the CA/Browser Forum will allow no longer",
        columns=[
            Column(title="From", width=0.25),
            Column(title="At most", width=0.25),
            Column(title="Certificates that last longer", width=0.25, is_number=True),
            Column(title="Of these by hand", width=0.25, is_number=True),
        ],
        rows=[
            [
                *cells(f"{each.ceiling.begins:%Y-%m-%d}", f"{each.ceiling.longest.days} days"),
                Cell(text=str(each.certificates), tone=_warn(each.certificates)),
                *cells(each.by_hand),
            ]
            for each in found.broken
        ],
        nothing="No further ceiling is known.",
    )
