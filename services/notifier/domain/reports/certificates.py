"""Reports about certificates: which end, and whose they are."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from services.notifier.domain.reports import (
    MOST_ROWS,
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
from services.notifier.domain.reports.material import Heading, KnownCertificate, Some
from services.notifier.domain.text import counted

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
_SOON = (7, 30)
"""Days: what ends within the first is bad, within the second a warning."""


def expiring(found: Some, *, by_hand: set[str], in_use: int, heading: Heading) -> Paper:
    """Return the report of what ends within so many days. `by_hand` are the fingerprints of what nothing renews by itself."""
    now, every = heading.made_at, found.certificates
    ended = [each for each in every if _end(each) <= now]
    near = [each for each in every if now < _end(each) <= now + _SOON[1] * DAY]
    manual = [each for each in every if each.fingerprint in by_hand]
    unowned = [each for each in every if each.owner is None]
    return Paper(
        report=Report.EXPIRING,
        made_at=now,
        made_for=heading.made_for,
        about=heading.about,
        summary=f"{counted(len(every), 'certificate')} in use of {in_use} {'ends' if len(every) == 1 else 'end'} within "
        f"{heading.days} days or {'has' if len(every) == 1 else 'have'} ended; nothing renews {len(manual)} of them by itself.",
        figures=[
            Figure(label="ended, in use", value=str(len(ended)), tone=Tone.BAD if ended else Tone.GOOD),
            Figure(label=f"end within {_SOON[1]} days", value=str(len(near)), tone=_warning(near)),
            Figure(label="renewed by hand", value=str(len(manual)), tone=_warning(manual)),
            Figure(label="without an owner", value=str(len(unowned)), tone=_warning(unowned)),
        ],
        charts=[_by_week(every, by_hand=by_hand, heading=heading)],
        tables=[_listed(found, by_hand=by_hand, now=now)],
    )


def _end(certificate: KnownCertificate) -> datetime:
    assert certificate.not_after is not None  # noqa: S101 - it was asked for by its end
    return certificate.not_after


def _warning(some: Sequence[object]) -> Tone:
    return Tone.WARNING if some else Tone.GOOD


def _by_week(every: Sequence[KnownCertificate], *, by_hand: set[str], heading: Heading) -> Chart:
    weeks = -(-heading.days // 7)
    automated, manual = Counter[int](), Counter[int]()
    for each in every:
        week = max((_end(each) - heading.made_at) // WEEK, 0)
        (manual if each.fingerprint in by_hand else automated)[week] += 1
    bars = [
        Bar(
            label=f"{heading.made_at + week * WEEK:%d %b}",
            value=manual[week],
            second=automated[week],
        )
        for week in range(weeks)
    ]
    return Chart(title="Ends in the week from", bars=bars, legend=("renewed by hand", "renewed by itself"))


def _listed(found: Some, *, by_hand: set[str], now: datetime) -> Table:
    return Table(
        title="Certificates, the first to end first",
        columns=[
            Column(title="Name", width=0.31),
            Column(title="Owner", width=0.14),
            Column(title="Issuer", width=0.27),
            Column(title="Ends (UTC)", width=0.13),
            Column(title="Days", width=0.06, is_number=True),
            Column(title="Renewed", width=0.08),
        ],
        rows=[_row(each, by_hand=by_hand, now=now) for each in found.certificates],
        nothing="Nothing ends in this time.",
        note=cut_note(is_cut=found.is_cut),
    )


def cut_note(*, is_cut: bool) -> str:
    """Return what a table says where there was more than it shows."""
    return f"There are more; these are the first {MOST_ROWS}." if is_cut else ""


def _row(each: KnownCertificate, *, by_hand: set[str], now: datetime) -> list[Cell]:
    days = (_end(each) - now) // DAY
    tone = Tone.BAD if days < _SOON[0] else Tone.WARNING if days < _SOON[1] else Tone.PLAIN
    is_manual = each.fingerprint in by_hand
    return [
        *cells(each.title),
        Cell(
            text=each.owner.name if each.owner else "nobody", tone=Tone.PLAIN if each.owner else Tone.WARNING
        ),
        *cells(each.issuer or "", f"{_end(each):%Y-%m-%d %H:%M}"),
        Cell(text=str(days), tone=tone),
        Cell(text="by hand" if is_manual else "by itself", tone=Tone.WARNING if is_manual else Tone.PLAIN),
    ]


def ownership(found: Some, *, by_hand: set[str], heading: Heading) -> Paper:
    """Return the report of who owns how much of what is in use, and what nobody owns."""
    every, now = found.certificates, heading.made_at
    owned = [each for each in every if each.owner]
    orphans = [each for each in every if each.owner is None]
    share = f"{len(owned) / len(every):.0%}" if every else "n/a"
    teams = Counter(each.owner.name for each in owned if each.owner)
    return Paper(
        report=Report.OWNERSHIP,
        made_at=now,
        made_for=heading.made_for,
        about=heading.about,
        summary=f"{counted(len(teams), 'team')} own {len(owned)} of {counted(len(every), 'certificate')} in use; "
        f"{len(orphans)} have no owner.",
        figures=[
            Figure(label="in use", value=str(len(every))),
            Figure(label="with an owner", value=share, tone=_warning(orphans)),
            Figure(label="teams", value=str(len(teams))),
            Figure(
                label="without an owner", value=str(len(orphans)), tone=Tone.BAD if orphans else Tone.GOOD
            ),
        ],
        charts=[
            Chart(
                title="Certificates by owner",
                bars=[Bar(label=name, value=count) for name, count in teams.most_common(12)],
            )
        ],
        tables=[_teams(owned, by_hand=by_hand, now=now), _orphans(orphans, is_cut=found.is_cut)],
    )


def _teams(owned: Sequence[KnownCertificate], *, by_hand: set[str], now: datetime) -> Table:
    teams: dict[str, list[KnownCertificate]] = {}
    for each in owned:
        teams.setdefault(each.owner.name if each.owner else "", []).append(each)
    rows = []
    for name, theirs in sorted(teams.items(), key=lambda item: (-len(item[1]), item[0])):
        soon = sum(1 for each in theirs if each.not_after and each.not_after <= now + _SOON[1] * DAY)
        manual = sum(1 for each in theirs if each.fingerprint in by_hand)
        rows.append(
            [*cells(name, len(theirs)), Cell(text=str(soon), tone=_warning(range(soon))), *cells(manual)]
        )
    return Table(
        title="Teams",
        columns=[
            Column(title="Team", width=0.4),
            Column(title="In use", width=0.2, is_number=True),
            Column(title=f"End within {_SOON[1]} days", width=0.2, is_number=True),
            Column(title="Renewed by hand", width=0.2, is_number=True),
        ],
        rows=rows,
        nothing="Nobody owns anything.",
    )


def _orphans(orphans: Sequence[KnownCertificate], *, is_cut: bool) -> Table:
    return Table(
        title="Without an owner",
        columns=[
            Column(title="Name", width=0.4),
            Column(title="Issuer", width=0.4),
            Column(title="Ends (UTC)", width=0.2),
        ],
        rows=[
            cells(each.title, each.issuer or "", f"{each.not_after:%Y-%m-%d}" if each.not_after else "")
            for each in orphans
        ],
        nothing="Every certificate in use has an owner.",
        note=cut_note(is_cut=is_cut),
    )
