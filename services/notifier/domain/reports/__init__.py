"""Reports: what is on the paper, made of what the other services have said. How it looks is for whoever prints it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Report(StrEnum):
    """What there are reports about."""

    EXPIRING = "expiring"
    COMPLIANCE = "compliance"
    OWNERSHIP = "ownership"
    RENEWALS = "renewals"
    EXCEPTIONS = "exceptions"
    FORECAST = "forecast"


TITLES = {
    Report.EXPIRING: "Expiring certificates",
    Report.COMPLIANCE: "Compliance with policies",
    Report.OWNERSHIP: "Ownership of certificates",
    Report.RENEWALS: "Renewals and deployments",
    Report.EXCEPTIONS: "Exceptions from policies",
    Report.FORECAST: "Forecast of renewals",
}
MOST_ROWS = 5000
"""Rows a report has at most; it says so where there were more."""


class Tone(StrEnum):
    """How something is meant: as good, as a warning, as bad, or as neither."""

    PLAIN = "plain"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number that a reader wants to see first."""

    label: str
    value: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar of a chart; the second part is stacked on the first."""

    label: str
    value: int
    second: int = 0


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Bars side by side."""

    title: str
    bars: Sequence[Bar]
    legend: tuple[str, ...] = ()
    """What the first and the second part of a bar are."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of a table."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table; `width` is its share of the line."""

    title: str
    width: float
    is_number: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells. `nothing` is said where there are none."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    nothing: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A whole report."""

    report: Report
    made_at: datetime
    made_for: str
    about: str
    """What it covers: everything, or which groups and which query."""
    summary: str
    figures: Sequence[Figure]
    charts: Sequence[Chart] = field(default=())
    tables: Sequence[Table] = field(default=())

    @property
    def title(self) -> str:
        """Return what it is called."""
        return TITLES[self.report]


def cells(*texts: object) -> list[Cell]:
    """Return plain cells."""
    return [Cell(text=str(text)) for text in texts]
