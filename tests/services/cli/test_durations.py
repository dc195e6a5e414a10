"""Durations as people write them, wherever the program reads one."""

from datetime import timedelta

import pytest
import typer

from services.cli.durations import duration, read


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("12h", timedelta(hours=12)),
        ("14d", timedelta(days=14)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_a_number_and_a_unit_are_a_duration(text: str, meant: timedelta) -> None:
    assert read(text) == duration(text) == meant


@pytest.mark.parametrize("text", ["", "d", "10", "1.5h", "-1d", "10 m", "1d2h", "9999999w"])
def test_anything_else_is_none_and_it_is_said_how_to_write_one(text: str) -> None:
    assert read(text) is None
    with pytest.raises(typer.BadParameter, match="Write 90s, 10m"):
        duration(text)
