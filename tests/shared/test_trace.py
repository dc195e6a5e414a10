import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from shared.clock import utc_now
from shared.events import Event
from shared.events.renewal import RequestWithdrawn
from shared.store import Database
from shared.store.plumbing import PLUMBING, TRACES
from shared.store.traces import KEPT_FOR, continuing, remember, remembered
from shared.trace import (
    Kind,
    following,
    following_each,
    has_recorder,
    is_recorded,
    perhaps,
    span,
    trace_id,
    traceparent,
)
from shared.trace_export import exporting
from tests.servers.otlp import Collector

HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SHAPE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01")


def test_a_received_trace_is_followed_with_a_span_of_our_own():
    with following(HEADER):
        assert trace_id() == "4bf92f3577b34da6a3ce929d0e0e4736"
        assert SHAPE.fullmatch(traceparent())
        assert traceparent() != HEADER


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "rubbish",
        HEADER.upper(),
        HEADER + "-more",
        HEADER + "\n",
        "ff" + HEADER[2:],
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
    ],
)
def test_a_missing_or_broken_header_starts_a_new_trace(header: str | None):
    with following(header):
        assert SHAPE.fullmatch(traceparent())
        assert trace_id() not in HEADER
        assert trace_id() != "0" * 32


def test_one_trace_holds_until_the_block_ends():
    with following(None):
        outer = trace_id()
        with following(HEADER):
            assert trace_id() != outer
        assert trace_id() == outer == trace_id()


def test_two_new_traces_differ():
    with following(None):
        first = trace_id()
    with following(None):
        assert trace_id() != first


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Where spans are told to."""
    made = Collector()
    yield made
    made.stop()


def test_without_a_collector_nothing_is_a_span() -> None:
    with following(HEADER, name="a") as outer, span("b") as inner:
        assert (outer, inner) == (None, None)
        assert trace_id() == HEADER.split("-")[1]
    assert not has_recorder()


def test_spans_reach_a_collector_as_a_tree_with_names_and_no_text_of_errors(collector: Collector) -> None:
    with exporting(collector.url, process="everleaf-test", headers={"authorization": "Bearer sesame"}):
        with following(HEADER, name="GET", kind=Kind.SERVER) as request:
            assert request is not None
            with span("order"):
                event = Event.of(
                    RequestWithdrawn(order_id="o", lineage_id="l"), source="renewal", now=utc_now()
                )
            request.tell({"http.response.status_code": 200}, name="GET /v1/orders")
        with (
            pytest.raises(ValueError, match="sesame"),
            following(
                event.traceparent,
                name="process",
                kind=Kind.CONSUMER,
                attributes={"everleaf.service": "provisioner"},
            ),
        ):
            raise ValueError("the password is sesame")
    spans = {each.name: each for each in collector.spans}
    assert spans.keys() == {"GET /v1/orders", "order", "process"}
    assert {each.trace for each in spans.values()} == {HEADER.split("-")[1]}
    assert spans["GET /v1/orders"].parent == HEADER.split("-")[2]
    assert spans["order"].parent == spans["GET /v1/orders"].id
    assert spans["process"].parent == spans["order"].id
    assert (spans["process"].is_error, spans["process"].attributes["error.type"]) == (True, "ValueError")
    assert "sesame" not in repr(collector.spans)
    assert collector.headers[0]["authorization"] == "Bearer sesame"
    assert [line.rsplit("ms  ", 1)[1] for line in collector.tree(HEADER.split("-")[1])] == [
        "GET /v1/orders",
        "  order",
        "    process · provisioner",
    ]


def test_a_collector_that_is_away_stops_nothing(collector: Collector) -> None:
    collector.stop()
    with exporting(collector.url, process="everleaf-test"), following(HEADER, name="a"):
        assert is_recorded()


def test_what_a_sampler_leaves_out_is_left_out_everywhere(collector: Collector) -> None:
    with exporting(collector.url, process="everleaf-test", ratio=0):
        with following(None, name="a"):
            assert int(traceparent()[-2:], 16) & 1 == 0
            assert not is_recorded()
            left_out = traceparent()
        with following(left_out, name="b"), span("c"):
            assert not is_recorded()
        with following(HEADER, name="asked for by the caller"):
            assert is_recorded()
    assert [each.name for each in collector.spans] == ["asked for by the caller"]


def test_a_step_of_a_worker_is_only_told_where_something_comes_of_it(collector: Collector) -> None:
    with exporting(collector.url, process="everleaf-test"):
        with perhaps("idle"):
            pass
        with perhaps("busy"), span("inside"):
            pass
    assert [each.name for each in collector.spans] == ["inside", "busy"]
    assert len({each.trace for each in collector.spans}) == 1


def test_what_is_dealt_with_in_sets_is_told_in_the_trace_of_each(collector: Collector) -> None:
    other = HEADER.replace("4bf9", "5bf9")
    with (
        exporting(collector.url, process="everleaf-test"),
        following_each({"l": HEADER, "m": other}, name="process", kind=Kind.CONSUMER),
    ):
        said = [
            Event.of(RequestWithdrawn(order_id=about, lineage_id=about), source="s", now=utc_now())
            for about in ("m", "l", "else")
        ]
    traces = [(event.traceparent or "").split("-")[1] for event in said]
    assert traces == [other.split("-")[1], HEADER.split("-")[1], HEADER.split("-")[1]]
    assert sorted(each.parent for each in collector.spans) == [HEADER.split("-")[2]] * 2


async def test_a_piece_of_work_goes_on_in_the_trace_that_began_it_and_old_ones_are_forgotten(
    collector: Collector, tmp_path: Path
) -> None:
    database = Database(f"sqlite:///{tmp_path}/garden.db", source="garden")
    async with database.engine.begin() as connection:
        await connection.run_sync(PLUMBING.create_all)
    now, long_name = utc_now(), "place " * 100
    async with database.transaction() as tx:
        await remember(tx, "unrecorded", now=now)
    with exporting(collector.url, process="everleaf-test"):
        with following(HEADER, name="ask"):
            async with database.transaction() as tx:
                await remember(tx, "old", now=now - KEPT_FOR - timedelta(days=1))
            async with database.transaction() as tx:
                await remember(tx, "order", long_name, now=now)
        asked = ["order", long_name, "old", "unrecorded"]
        assert (await remembered(database, asked)).keys() == {"order", long_name}
        with perhaps("worker"):
            async with continuing(database, "order", "issue"):
                assert trace_id() == HEADER.split("-")[1]
    assert await remembered(database, asked) == {}
    issued, asked_for = ({each.name: each for each in collector.spans}[name] for name in ("issue", "ask"))
    assert issued.parent == asked_for.id
    async with database.read() as session:
        assert len((await session.execute(TRACES.select())).all()) == 2
    await database.close()
