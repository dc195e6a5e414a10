"""`make bench`: measures the product beside its baselines, prints the table and writes `build/bench.json`."""

import argparse
import compileall
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from bench import table
from bench.alerts.suite import AlertSuite
from bench.campaign.suite import CampaignSuite
from bench.chaos.suite import ChaosSuite
from bench.deploy.suite import DeploySuite
from bench.events.suite import EventSuite
from bench.ingest.suite import IngestSuite
from bench.inventory.suite import InventorySuite
from bench.issue.suite import IssueSuite
from bench.join.suite import JoinSuite
from bench.lifecycle.suite import LifecycleSuite
from bench.measure import NotMeasured
from bench.renewal.suite import RenewalSuite
from bench.rows import Results, Row, Suite, Verdict, judge, play, wanted
from bench.scan.suite import ScanSuite
from bench.sources.suite import SourceSuite

FOLDER = Path("build/bench").resolve()
RECORD = Path("build/bench.json")
SUITES: tuple[Suite, ...] = (
    ScanSuite(),
    SourceSuite(),
    JoinSuite(),
    InventorySuite(),
    EventSuite(),
    IngestSuite(),
    IssueSuite(),
    RenewalSuite(),
    DeploySuite(),
    AlertSuite(),
    LifecycleSuite(),
    CampaignSuite(),
    ChaosSuite(),
)
NARROWEST = 130
"""Columns: in a pipe or a log nobody needs the table squeezed into 80."""
PACKAGES = ("bench", "everleaf", "services", "shared", "tests")
"""What contestants import, in the folder that `make` runs in."""
console = Console()


def _compile() -> None:
    """Have processes find compiled modules, as they do in what is installed: else each compiles all of them anew."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for package in PACKAGES:
        compileall.compile_dir(package, quiet=2)


def main() -> int:
    """Measure what was asked for; return 0 once there is a table, whatever it says."""
    # As an interrupt: the farm is stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    asked = _arguments()
    _compile()
    console.width = max(console.width, NARROWEST)
    prefixes = [prefix for prefix in asked.rows.split(",") if prefix]
    if asked.scale != 1:
        console.print(
            f"[yellow]Scaled to {asked.scale:g}: these figures only show that the bench works.[/yellow]"
        )
    verdicts = [
        verdict
        for suite in SUITES
        for verdict in _measure(suite, wanted(suite.rows, prefixes), rounds=asked.rounds, scale=asked.scale)
    ]
    if not verdicts:
        console.print(f"[red]No row begins with {asked.rows}.[/red]")
        return 2
    table.show_rows(console, verdicts)
    table.write(RECORD, verdicts)
    console.print(f"Written to {RECORD}.")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("rows", nargs="?", default="", help="prefixes of row names, as scan.cheap,scan.mix")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contestant runs (default 3)")
    parser.add_argument(
        "--scale", type=float, default=1, help="size of the scenarios, for developing the bench"
    )
    return parser.parse_args()


def _measure(suite: Suite, rows: tuple[Row, ...], *, rounds: int, scale: float) -> Iterator[Verdict]:
    results = {
        name: _play(suite, name, rounds=rounds, scale=scale)
        for name in dict.fromkeys(row.scenario for row in rows)
    }
    for row in rows:
        outcome = results[row.scenario]
        yield judge(row, outcome) if not isinstance(outcome, str) else Verdict(row=row, remark=outcome)


def _play(suite: Suite, name: str, *, rounds: int, scale: float) -> Results | str:
    """Return what a scenario has shown, or why it could not be staged."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        with (
            console.status(f"{name}: starting …") as status,
            suite.stage(name, folder=FOLDER, scale=scale) as scenario,
        ):
            results = play(scenario, rounds=rounds, tell=status.update)
    except NotMeasured as error:
        return f"not measured: {error}"
    table.show_scenario(console, scenario, results)
    return results


if __name__ == "__main__":
    sys.exit(main())
