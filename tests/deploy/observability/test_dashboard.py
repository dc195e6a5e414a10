"""The dashboard: Prometheus itself reads every question in it, and every panel has its place, its source and its unit."""

import json
import re
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers.processes import program
from tests.servers.prometheus import PACKAGE

PATH = Path(__file__).parents[3] / "deploy" / "observability" / "dashboard.json"
DASHBOARD: dict[str, Any] = json.loads(PATH.read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
COLUMNS = 24
"""Of Grafana's grid."""
_RANGES = re.compile(r"\$__(rate_interval|interval|range)")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def expressions() -> Iterator[str]:
    """Return what the panels ask."""
    for panel in PANELS:
        for target in panel.get("targets", ()):
            yield target["expr"]


def as_prometheus_reads_it(expression: str) -> str:
    """Put values in the place of what Grafana puts its own in."""
    return _VARIABLE.sub("x", _RANGES.sub("5m", expression))


def check(expression: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Have promtool read an expression as that of a rule."""
    rule = {"record": "asked", "expr": as_prometheus_reads_it(expression)}
    path = folder / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": [rule]}]}))
    command = [program("promtool", package=PACKAGE), "check", "rules", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_prometheus_understands_every_question_of_the_dashboard(tmp_path: Path) -> None:
    asked = list(dict.fromkeys(expressions()))
    assert len(asked) > 15
    for expression in asked:
        read = check(expression, tmp_path)
        assert read.returncode == 0, (expression, read.stderr)
    assert check("sum(everleaf_ready", tmp_path).returncode == 1


def test_every_variable_that_is_asked_with_is_defined() -> None:
    defined = {each["name"] for each in DASHBOARD["templating"]["list"]}
    text = _RANGES.sub("", json.dumps(PANELS))
    assert set(_VARIABLE.findall(text)) <= defined | {"datasource"}
    assert "datasource" in defined


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_has_a_title_a_unit_and_its_source(panel: dict[str, Any]) -> None:
    assert panel["title"]
    if panel["type"] == "row":
        return
    assert panel["fieldConfig"]["defaults"]["unit"]
    sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
    assert all(each == {"type": "prometheus", "uid": "${datasource}"} for each in sources)
    names = [target["refId"] for target in panel["targets"]]
    assert names
    assert len(names) == len(set(names))


def test_panels_stay_on_the_grid_and_cover_none_of_the_others() -> None:
    places = [panel["gridPos"] for panel in PANELS]
    assert all(each["x"] >= 0 and each["x"] + each["w"] <= COLUMNS for each in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
