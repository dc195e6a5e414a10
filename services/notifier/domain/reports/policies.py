"""Reports about policies: who keeps to them, and who need not."""

from collections.abc import Sequence
from dataclasses import dataclass
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
from services.notifier.domain.reports.certificates import cut_note
from services.notifier.domain.reports.material import Heading, KnownException, KnownPolicy, Some
from services.notifier.domain.text import counted

_SOON = timedelta(days=30)
GRADES = ("A+", "A", "A-", "B", "C", "D", "E", "F", "M", "T")
"""The best first, as inventory gives them."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a policy is kept: how many certificates in use keep to it at every place, and which do not."""

    policy: KnownPolicy
    passing: int
    failing: Some
    failing_count: int


def compliance(
    standings: Sequence[Standing], *, grades: dict[str, int], in_use: int, heading: Heading
) -> Paper:
    """Return the report of how the policies that are on are kept."""
    broken = [each for each in standings if each.failing_count]
    failing = {each.fingerprint for standing in standings for each in standing.failing.certificates}
    return Paper(
        report=Report.COMPLIANCE,
        made_at=heading.made_at,
        made_for=heading.made_for,
        about=heading.about,
        summary=f"Of {len(standings)} policies that are on, {len(broken)} are broken somewhere. "
        "A certificate counts as failing where it breaks a rule at one of its places and no exception lets that pass.",
        figures=[
            Figure(label="in use", value=str(in_use)),
            Figure(label="policies that are on", value=str(len(standings))),
            Figure(label="policies broken", value=str(len(broken)), tone=Tone.BAD if broken else Tone.GOOD),
            Figure(
                label="certificates failing", value=str(len(failing)), tone=Tone.BAD if failing else Tone.GOOD
            ),
        ],
        charts=[
            Chart(
                title="Certificates at a place of this grade",
                bars=[Bar(label=grade, value=grades[grade]) for grade in GRADES if grade in grades],
            )
        ],
        tables=[_policies(standings), *(_failing(each) for each in broken)],
    )


def _policies(standings: Sequence[Standing]) -> Table:
    return Table(
        title="Policies",
        columns=[
            Column(title="Policy", width=0.46),
            Column(title="Version", width=0.1, is_number=True),
            Column(title="Keep to it", width=0.14, is_number=True),
            Column(title="Break it", width=0.14, is_number=True),
            Column(title="Kept", width=0.16, is_number=True),
        ],
        rows=[_standing(each) for each in standings],
        nothing="No policy is on: nothing is judged.",
    )


def _standing(each: Standing) -> list[Cell]:
    judged = each.passing + each.failing_count
    tone = Tone.BAD if each.failing_count else Tone.GOOD
    kept = f"{each.passing / judged:.1%}" if judged else "n/a"
    return [
        *cells(each.policy.title, each.policy.version, each.passing),
        Cell(text=str(each.failing_count), tone=tone),
        Cell(text=kept, tone=tone),
    ]


def _failing(standing: Standing) -> Table:
    return Table(
        title=f"Break {standing.policy.title}",
        columns=[
            Column(title="Name", width=0.4),
            Column(title="Owner", width=0.2),
            Column(title="Issuer", width=0.4),
        ],
        rows=[
            cells(each.title, each.owner.name if each.owner else "nobody", each.issuer or "")
            for each in standing.failing.certificates
        ],
        nothing="None.",
        note=cut_note(is_cut=standing.failing.is_cut),
    )


def exceptions(found: Sequence[KnownException], *, is_whole: bool, heading: Heading) -> Paper:
    """Return the report of what is let pass, on whose word and until when."""
    now = heading.made_at
    holding = [each for each in found if each.state == "approved" and each.ends_at > now]
    ending = [each for each in holding if each.ends_at <= now + _SOON]
    waiting = [each for each in found if each.state == "requested"]
    return Paper(
        report=Report.EXCEPTIONS,
        made_at=now,
        made_for=heading.made_for,
        about=heading.about,
        summary=f"{counted(len(holding), 'exception')} in force, {len(ending)} of them for 30 days at most; "
        f"{len(waiting)} wait for a decision."
        + ("" if is_whole else " Only those for a group or a certificate of the reader are listed."),
        figures=[
            Figure(label="in force", value=str(len(holding)), tone=Tone.WARNING if holding else Tone.GOOD),
            Figure(label="end within 30 days", value=str(len(ending))),
            Figure(label="wait for a decision", value=str(len(waiting))),
            Figure(label="in all", value=str(len(found))),
        ],
        tables=[
            Table(
                title="Exceptions, the first to end first",
                columns=[
                    Column(title="Policy and rule", width=0.22),
                    Column(title="For", width=0.2),
                    Column(title="Reason", width=0.26),
                    Column(title="State", width=0.1),
                    Column(title="Ends", width=0.1),
                    Column(title="Asked by · decided by", width=0.12),
                ],
                rows=[_exception(each) for each in sorted(found, key=lambda each: (each.ends_at, each.id))],
                nothing="There are no exceptions.",
            )
        ],
    )


def _exception(each: KnownException) -> list[Cell]:
    tone = Tone.WARNING if each.state == "approved" else Tone.PLAIN
    return [
        *cells(f"{each.policy_id}: {each.rule_id}", f"{each.scope.kind} {each.scope.value}", each.reason),
        Cell(text=each.state, tone=tone),
        *cells(
            f"{each.ends_at:%Y-%m-%d}", f"{each.requested_by_name} · {each.decided_by_name or 'nobody yet'}"
        ),
    ]
