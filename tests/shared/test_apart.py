"""Work in a process of its own: whatever happens there, the one who asked is told and can ask again."""

import os
from datetime import timedelta

import pytest

from shared.apart import Unfinished, run_apart

SOON = timedelta(seconds=20)


class Unpicklable(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


def double(number: int) -> int:
    return number * 2


def fail() -> None:
    raise Unpicklable("bad", "bytes")


def die() -> None:
    os._exit(3)


def loop() -> None:
    while True:
        pass


def swallow() -> bytes:
    return bytes(8 * 1024**3)


async def test_what_fails_dies_hangs_or_eats_memory_is_told_and_the_next_one_works():
    assert await run_apart(double, 21, within=SOON) == 42
    for function, within, why in (
        (fail, SOON, "Unpicklable: bad bytes"),
        (swallow, SOON, "MemoryError"),
        (die, SOON, "crashed"),
        (loop, timedelta(seconds=0.5), r"longer than 0\.5 s"),
    ):
        with pytest.raises(Unfinished, match=why):
            await run_apart(function, within=within)
        assert await run_apart(double, 4, within=SOON) == 8
