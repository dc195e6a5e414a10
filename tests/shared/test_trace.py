import re

import pytest

from shared.trace import following, trace_id, traceparent

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
