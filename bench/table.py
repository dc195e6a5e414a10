"""How the figures are shown, and what `build/bench.json` holds."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.rows import SUBJECT, Entry, Results, Scenario, Verdict


def show_scenario(console: Console, scenario: Scenario, results: Results) -> None:
    """Print everybody's medians side by side; the ratio is the subject's CPU over theirs, as in the rows."""
    table = _table(f"{scenario.name}: {scenario.title}")
    table.add_column("", no_wrap=True)
    for heading in ("found", "wall s", "CPU s/1,000", "server CPU s/1,000", "peak MiB", "rounds", "ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, entry in results.items():
        if entry.samples:
            table.add_row(name, *_cells(entry, results[SUBJECT]))
    console.print(table)
    for name, entry in results.items():
        if entry.reason:
            console.print(f"  {name}: [yellow]{escape(entry.reason)}[/yellow]")


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)


def _cells(entry: Entry, subject: Entry) -> list[str]:
    samples = entry.samples
    pairs = zip(subject.samples, samples, strict=False)
    ratios = [ours.usage.cpu / theirs.usage.cpu for ours, theirs in pairs if theirs.usage.cpu]
    return [
        f"{min(sample.found for sample in samples):,}",
        f"{median(sample.usage.wall for sample in samples):.2f}",
        f"{median(sample.cpu_per_thousand for sample in samples):.3f}",
        f"{median(sample.server_cpu_per_thousand for sample in samples):.3f}",
        f"{median(sample.usage.peak_mib for sample in samples):.0f}",
        str(len(samples)),
        f"{median(ratios):.2f}" if ratios else "",
    ]


def show_rows(console: Console, verdicts: Sequence[Verdict]) -> None:
    """Print the table, and below it what there is to say about its rows."""
    table = _table("Performance")
    for heading in ("row", "median", "unit", "baseline", "ratio", "goal", "rounds", ""):
        is_number = heading in ("median", "ratio", "goal", "rounds")
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=True)
    for verdict in verdicts:
        table.add_row(*_row(verdict))
    console.print(table)
    for remark in dict.fromkeys(verdict.remark for verdict in verdicts if verdict.remark):
        names = ", ".join(verdict.row.name for verdict in verdicts if verdict.remark == remark)
        console.print(f"  {names}: [yellow]{escape(remark)}[/yellow]")
    met = sum(verdict.met for verdict in verdicts)
    console.print(f"{met} of {len(verdicts)} goals met; a ratio is the median of the rounds' ratios.")


def _row(verdict: Verdict) -> list[str]:
    row = verdict.row
    figures = [_number(verdict.median), row.unit, row.baseline, _number(verdict.ratio), f"≤ {row.goal:g}"]
    return [row.name, *figures, str(len(verdict.ratios)), _word(verdict)]


def _word(verdict: Verdict) -> str:
    if verdict.met:
        return "[green]met[/green]"
    return "[yellow]not measured[/yellow]" if verdict.ratio is None else "[red]not met[/red]"


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
