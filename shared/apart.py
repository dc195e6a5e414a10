"""Work on strangers' bytes in a process of its own: what hangs, crashes or eats memory there takes nothing with it.

A thread would not do: Python cannot end one, and a parser that loops holds the interpreter's lock against the event loop.
"""

import os
import resource
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar, cast

import anyio
import anyio.lowlevel
import anyio.to_process

T = TypeVar("T")

MOST_MEMORY = 2 * 1024**3
"""Address space of one such process, in bytes."""
_PARALLEL = 1
"""Each event loop has one: this work is never urgent, and what is urgent runs beside it."""
_LONGEST = 500


class Unfinished(Exception):
    """The work came to no end: the text says whether it failed, crashed or took too long."""


async def run_apart(function: Callable[..., T], *args: object, within: timedelta) -> T:
    """Return what a function of some module returns; all that goes in and out is pickled.

    Raises `Unfinished` where it raises, where its process dies, and where it takes longer than `within`.
    """
    async with _limiter():
        try:
            with anyio.fail_after(within.total_seconds()):
                outcome = await anyio.to_process.run_sync(_bounded, function, args, cancellable=True)
        except TimeoutError:
            raise Unfinished(f"it took longer than {within.total_seconds():g} s") from None
        except anyio.BrokenWorkerProcess as error:
            raise Unfinished("it crashed its process") from error
    if outcome.error is not None:
        raise Unfinished(outcome.error)
    return cast(T, outcome.value)


_limiters: "anyio.lowlevel.RunVar[anyio.CapacityLimiter]" = anyio.lowlevel.RunVar("apart")


def _limiter() -> anyio.CapacityLimiter:
    try:
        return _limiters.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_PARALLEL)
        _limiters.set(limiter)
        return limiter


class _Outcome:
    """What came of it; an exception of the function's own may not survive pickling, its text does."""

    def __init__(self, *, value: object = None, error: str | None = None) -> None:
        self.value = value
        self.error = error


def _bounded(function: Callable[..., object], args: tuple[object, ...]) -> _Outcome:
    _bind_process()
    try:
        return _Outcome(value=function(*args))
    except Exception as error:  # noqa: BLE001 - whatever the bytes brought about is the answer
        return _Outcome(error=f"{type(error).__name__}: {error}"[:_LONGEST])


def _bind_process() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or hard > MOST_MEMORY:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        os.nice(10)  # it waits for whatever else the machine has to do
