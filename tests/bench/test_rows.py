"""The performance table: its rows, its arithmetic, its JSON. Nothing is measured here but `sh`."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bench import table
from bench.campaign.suite import CampaignSuite
from bench.chaos.suite import ChaosSuite
from bench.events.suite import EventSuite
from bench.ingest.suite import IngestSuite
from bench.inventory.suite import InventorySuite
from bench.join.suite import JoinSuite
from bench.lifecycle.suite import LifecycleSuite
from bench.measure import NotMeasured, Usage, measure
from bench.renewal.suite import RenewalSuite
from bench.rows import SUBJECT, Contestant, Entry, Row, Sample, Scenario, judge, play, wanted
from bench.scan import peers, plan
from bench.scan.suite import SETTINGS, ScanSuite
from bench.sources.suite import SourceSuite

ROWS = ScanSuite.rows
SUITES = {
    "scan": ROWS,
    "sources": SourceSuite.rows,
    "join": JoinSuite.rows,
    "api": InventorySuite.rows,
    "events": EventSuite.rows,
    "ingest": IngestSuite.rows,
    "renewal": RenewalSuite.rows,
    "lifecycle": LifecycleSuite.rows,
    "campaign": CampaignSuite.rows,
    "chaos": ChaosSuite.rows,
}
ROW = Row(
    name="x.y",
    scenario="x",
    unit="CPU s/1,000",
    figure=lambda sample: sample.cpu_per_thousand,
    goal=0.5,
    baseline="peer",
)


def sample(cpu: float, *, found: int = 2_000, faults: tuple[str, ...] = ()) -> Sample:
    usage = Usage(wall=1, cpu=cpu, peak_mib=10, exit_code=0, said="")
    return Sample(usage=usage, asked=2_000, found=found, faults=faults)


def results(ours: list[Sample], theirs: list[Sample], *, reason: str = "") -> dict[str, Entry]:
    return {SUBJECT: Entry(samples=ours), "peer": Entry(samples=theirs, reason=reason)}


def test_every_row_has_a_name_of_its_own_a_goal_and_a_unit():
    every = [(suite, row) for suite, rows in SUITES.items() for row in rows]
    names = [row.name for _, row in every]
    assert len(names) == len(set(names))
    for suite, row in every:
        assert row.name.startswith(f"{suite}."), row.name
        assert row.goal > 0, row.name
        assert row.unit, row.name
        assert row.baseline, row.name


def test_every_row_is_read_from_a_scenario_where_its_baseline_takes_part():
    for row in ROWS:
        if row.fixed is None and row.scenario in SETTINGS:
            assert row.baseline in [peer.name for peer in SETTINGS[row.scenario].peers], row.name
    assert {row.scenario for row in ROWS} == {*SETTINGS, "memory", "cores", "replicas"}


def test_rows_are_chosen_by_the_beginning_of_their_names():
    assert wanted(ROWS, []) == ROWS
    assert {row.name for row in wanted(ROWS, ["scan.cheap", "scan.mix"])} == {
        "scan.cheap",
        "scan.cheap_floor",
        "scan.mix",
    }
    assert wanted(ROWS, ["ingest"]) == ()


def test_a_ratio_is_the_median_of_the_rounds_ratios_and_not_the_ratio_of_the_medians():
    ours = [sample(1), sample(9), sample(2)]
    verdict = judge(ROW, results(ours, [sample(4), sample(10), sample(4)]))
    assert verdict.ratios == (0.25, 0.9, 0.5)
    assert verdict.ratio == 0.5
    assert verdict.median == 1
    assert verdict.met


def test_a_baseline_with_fewer_rounds_is_compared_in_those():
    verdict = judge(ROW, results([sample(1), sample(3), sample(2)], [sample(4)]))
    assert verdict.ratios == (0.25,)
    assert verdict.median == 1


def test_a_fixed_baseline_is_compared_in_every_round():
    row = replace(ROW, baseline="80 MiB", fixed=80, figure=lambda sample: sample.usage.peak_mib, goal=1)
    verdict = judge(row, results([sample(1), sample(1)], []))
    assert verdict.ratios == (0.125, 0.125)
    assert verdict.met


def test_a_goal_is_not_met_where_something_was_missed():
    faults = ("3x tls13: missing",)
    verdict = judge(ROW, results([sample(1, faults=faults), sample(1)], [sample(9), sample(9)]))
    assert verdict.ratio is not None
    assert verdict.ratio < ROW.goal
    assert not verdict.met
    assert verdict.remark == "3x tls13: missing"


def test_a_missing_baseline_is_said_and_never_met():
    verdict = judge(ROW, results([sample(1)], [], reason="nmap is missing"))
    assert verdict.remark == "not measured: nmap is missing"
    assert verdict.ratio is None
    assert not verdict.met


def test_a_subject_that_could_not_run_is_said_and_never_met():
    verdict = judge(ROW, {SUBJECT: Entry(reason="not there yet"), "peer": Entry(samples=[sample(1)])})
    assert verdict.remark == "not measured: not there yet"
    assert not verdict.met


def test_a_baseline_that_found_less_is_named():
    verdict = judge(ROW, results([sample(1)], [sample(4, found=1_900)]))
    assert verdict.remark == "peer found only 1,900 of 2,000"
    assert verdict.met


def test_contestants_take_turns_and_one_that_cannot_is_not_asked_again():
    turns: list[str] = []

    def contestant(name: str, *, at_most: int | None = None) -> Contestant:
        def run() -> Sample:
            turns.append(name)
            if name == "gone":
                raise NotMeasured("it is missing")
            return sample(1)

        return Contestant(name=name, run=run, at_most=at_most)

    contestants = (contestant(SUBJECT), contestant("gone"), contestant("slow", at_most=1), contestant("peer"))
    outcome = play(Scenario(name="x", title="", contestants=contestants), rounds=2)
    assert turns == [SUBJECT, "gone", "slow", "peer", SUBJECT, "peer"]
    assert outcome["gone"].reason == "it is missing"
    assert [len(outcome[name].samples) for name in (SUBJECT, "gone", "slow", "peer")] == [2, 0, 1, 2]


def test_the_json_has_the_shape_that_others_read(tmp_path: Path):
    path = tmp_path / "build" / "bench.json"
    ours = [sample(1), sample(3)]
    table.write(path, [judge(ROW, results(ours, [sample(4), sample(4)])), judge(ROW, results(ours, []))])
    measured, missing = json.loads(path.read_text())
    assert measured == {
        "row": "x.y",
        "ratio": 0.5,
        "goal": 0.5,
        "met": True,
        "baseline": "peer",
        "unit": "CPU s/1,000",
        "median": 1,
        "runs": 2,
        "ratios": [0.25, 0.75],
        "remark": "",
    }
    assert (missing["ratio"], missing["met"], missing["runs"]) == (None, False, 0)


def test_a_command_is_measured_with_its_children_and_its_last_words(tmp_path: Path):
    burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    usage = measure(["sh", "-c", f"sh -c '{burn}'; echo done"], folder=tmp_path, limit=timedelta(seconds=60))
    assert usage.cpu > 0.02
    assert usage.wall >= usage.cpu * 0.5
    assert 0 < usage.peak_mib < 8, "not the size of the process that measures"
    assert usage.said == "done\n"
    assert usage.exit_code == 0


def test_a_command_that_takes_too_long_is_ended_and_still_has_figures(tmp_path: Path):
    usage = measure(["sleep", "60"], folder=tmp_path, limit=timedelta(seconds=0.2))
    assert usage.is_cut_short
    assert usage.wall < 10
    assert usage.peak_mib > 0


def test_a_plan_is_the_same_every_time_and_has_the_size_that_the_goals_speak_of():
    sizes = {name: plan.make(name, scale=1) for name in plan.PLANS}
    assert {name: (len(each.kinds), each.live) for name, each in sizes.items()} == {
        "cheap": (5_000, 5_000),
        "mix": (5_000, 5_000),
        "sparse": (20_000, 1_000),
        "dirty": (2_000, 800),
        "filtered": (2_105, 105),
        "full_one": (1, 1),
        "full_60": (60, 60),
    }
    assert plan.make("mix", scale=1) == sizes["mix"]
    assert all(address.startswith("127.") for each in sizes.values() for address in each.kinds)


@pytest.mark.parametrize("name", plan.PLANS)
def test_scenarios_share_no_address(name: str):
    mine = set(plan.make(name, scale=1).kinds)
    for other in plan.PLANS:
        if other != name:
            assert mine.isdisjoint(plan.make(other, scale=1).kinds), other


def test_a_program_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for program in ("nmap", str(tmp_path / "goscan")):
        with pytest.raises(NotMeasured, match=f"{Path(program).name} is missing"):
            peers.require(program)
