"""The rows `api.*`: one entry each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.inventory.questions import names
from bench.rows import Row, Sample

BARE_ROUTE, BARE_SQL = "bare FastAPI + asyncpg", "bare SQL"
QUICK_MS = 100
FLAT_MIB = 32
"""By so much a process may grow while it gives everything out: buffers, and no pile of rows."""
ON_SQLITE = ("first_page.seen", "first_page.expiring", "first_page.port", "count", "facets", "dashboard")


@dataclass(frozen=True, kw_only=True)
class Answers(Sample):
    """What one contestant has answered in one round."""

    medians: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds, by the question's name."""


def _cpu(sample: Sample) -> float:
    return sample.cpu_per_thousand


def _peak(sample: Sample) -> float:
    return sample.usage.peak_mib


def _rate(sample: Sample) -> float:
    return sample.usage.wall / sample.asked * 1000


def _quick(name: str, *, scenario: str = "questions", prefix: str = "api.") -> Row:
    return Row(
        name=f"{prefix}{name}",
        scenario=scenario,
        unit="ms",
        figure=_Median(name),
        goal=1,
        baseline=f"{QUICK_MS} ms",
        fixed=QUICK_MS,
    )


def _near(name: str) -> Row:
    """Return the row that compares a question with its bare SQL."""
    return Row(
        name=f"api.{name}_sql",
        scenario="questions",
        unit="ms",
        figure=_Median(name),
        goal=3,
        baseline=BARE_SQL,
    )


@dataclass(frozen=True)
class _Median:
    """Reads a question's median."""

    name: str

    def __call__(self, sample: Sample) -> float:
        assert isinstance(sample, Answers)
        return sample.medians[self.name]


ROWS = (
    # 0.4 of the bare route's rate.
    Row(name="api.get", scenario="get", unit="CPU s/1,000", figure=_cpu, goal=2.5, baseline=BARE_ROUTE),
    Row(name="api.list50", scenario="list50", unit="CPU s/1,000", figure=_cpu, goal=2.5, baseline=BARE_ROUTE),
    *(_quick(name) for name in names()),
    *(_near(name) for name in names()),
    Row(
        name="api.export",
        scenario="export",
        unit="MiB more",
        figure=_peak,
        goal=1,
        baseline=f"{FLAT_MIB} MiB more",
        fixed=FLAT_MIB,
    ),
    Row(
        name="api.export_rate",
        scenario="export",
        unit="s/1,000 rows",
        figure=_rate,
        goal=1,
        baseline="1,000 rows in 0.1 s",
        fixed=0.1,
    ),
    *(_quick(name, scenario="sqlite", prefix="api.sqlite.") for name in ON_SQLITE),
)
