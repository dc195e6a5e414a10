"""How the figures are shown, and what `build/bench.json` holds."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.rows import SUBJECT, Entry, Results, Scenario, Verdict


def show_scenario(console: Console, scenario: Scenario, results: Results) -> None:
    """Print everybody's medians side by side, and their CPU over the subject's."""
    table = Table(title=f"{scenario.name}: {scenario.title}", title_justify="left")
    table.add_column("")
    for heading in (
        "found",
        "wall s",
        "CPU s/1,000",
        "server CPU s/1,000",
        "peak MiB",
        "CPU ratio",
        "rounds",
    ):
        table.add_column(heading, justify="right")
    for name, entry in results.items():
        cells = _cells(entry, results[SUBJECT]) if entry.samples else [escape(entry.reason)]
        table.add_row(name, *cells)
    console.print(table)


def _cells(entry: Entry, subject: Entry) -> list[str]:
    samples = entry.samples
    ratios = [
        one.usage.cpu / ours.usage.cpu
        for one, ours in zip(samples, subject.samples, strict=False)
        if ours.usage.cpu
    ]
    return [
        f"{min(sample.found for sample in samples):,}",
        f"{median(sample.usage.wall for sample in samples):.2f}",
        f"{median(sample.cpu_per_thousand for sample in samples):.3f}",
        f"{median(sample.server_cpu_per_thousand for sample in samples):.3f}",
        f"{median(sample.usage.peak_mib for sample in samples):.0f}",
        f"{median(ratios):.2f}" if ratios else "",
        str(len(samples)),
    ]


def show_rows(console: Console, verdicts: Sequence[Verdict]) -> None:
    """Print the table."""
    table = Table(
        title="Performance", title_justify="left", caption=_summary(verdicts), caption_justify="left"
    )
    for heading in ("row", "median", "unit", "baseline", "ratio", "goal", "", "remark"):
        table.add_column(heading, justify="right" if heading in ("median", "ratio", "goal") else "left")
    for verdict in verdicts:
        row = verdict.row
        table.add_row(
            row.name,
            _number(verdict.median),
            row.unit,
            row.baseline,
            _number(verdict.ratio),
            f"≤ {row.goal:g}",
            "[green]met[/green]" if verdict.met else "[red]not met[/red]",
            escape(verdict.remark),
        )
    console.print(table)


def _summary(verdicts: Sequence[Verdict]) -> str:
    return f"{sum(verdict.met for verdict in verdicts)} of {len(verdicts)} met; the ratio is the median of the rounds' ratios"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def record(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as `build/bench.json` holds it; `runs` is the number of rounds that were compared."""
    row = verdict.row
    return {
        "row": row.name,
        "ratio": verdict.ratio,
        "goal": row.goal,
        "met": verdict.met,
        "baseline": row.baseline,
        "unit": row.unit,
        "median": verdict.median,
        "runs": len(verdict.ratios),
        "ratios": list(verdict.ratios),
        "remark": verdict.remark,
    }


def write(path: Path, verdicts: Iterable[Verdict]) -> None:
    """Write the rows as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([record(verdict) for verdict in verdicts], indent=2) + "\n")
