"""Reads configurations beside the event loop: a long file is worked through in a thread, and only asking is done here."""

from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import anyio
import anyio.to_thread

from services.discovery.configuration.files import Files
from services.discovery.configuration.registry import read_all
from services.discovery.domain.holdings import Reading


@dataclass(frozen=True)
class _Question:
    """Something to be asked of the host; awaited by a reader, it hands itself to whoever drives the reader."""

    ask: Callable[[], Awaitable[Any]]

    def __await__(self) -> Generator["_Question", "_Answer", Any]:
        answer = yield self
        if answer.error is not None:
            raise answer.error
        return answer.value


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What the host said to a question, or why it did not."""

    value: Any = None
    error: Exception | None = None


@dataclass(frozen=True)
class _Done:
    """What a reader has come to."""

    readings: tuple[Reading, ...]


class _Asking:
    """`Files` whose every question is answered by whoever drives the reader."""

    def __init__(self, files: Files) -> None:
        self._files = files

    async def read(self, path: str) -> bytes:
        return cast("bytes", await _Question(lambda: self._files.read(path)))

    async def glob(self, pattern: str) -> Sequence[str]:
        return cast("Sequence[str]", await _Question(lambda: self._files.glob(pattern)))

    async def is_folder(self, path: str) -> bool:
        return cast("bool", await _Question(lambda: self._files.is_folder(path)))


async def read_apart(files: Files, *, starts: Mapping[str, str] | None = None) -> tuple[Reading, ...]:
    """Do what `read_all` does, while the event loop goes on with other work.

    A configuration may be millions of lines: read on the loop, it would hold up every lease that the process keeps.
    """
    reader = read_all(_Asking(files), starts=starts)
    answer: _Answer | None = None
    try:
        while True:
            step = await anyio.to_thread.run_sync(_step, reader, answer)
            if isinstance(step, _Done):
                return step.readings
            answer = await _answered(step)
    finally:
        reader.close()


def _step(
    reader: Coroutine[_Question, _Answer | None, tuple[Reading, ...]], answer: _Answer | None
) -> _Question | _Done:
    try:
        return reader.send(answer)
    except StopIteration as end:
        return _Done(end.value)


async def _answered(question: _Question) -> _Answer:
    try:
        return _Answer(value=await question.ask())
    except Exception as error:  # noqa: BLE001 - it is raised again in the reader, where it belongs
        return _Answer(error=error)
