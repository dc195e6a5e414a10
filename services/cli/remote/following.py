"""How far long work is: a bar on a terminal, and a line for each change where there is none."""

import sys
from types import TracebackType
from typing import Any, Self

from everleaf import Wait
from services.cli.terminal import plain, say, unmarked


class Following:
    """Shows what each look has seen."""

    def __init__(self, wait: Wait[Any]) -> None:
        self._wait = wait
        self._said = ""
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - the same

            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(unmarked(self._wait.what), total=None)
            self._bar.start()
        return self

    def see(self, document: Any) -> None:
        """Show a look."""
        share, state = self._wait.share(document), self._wait.state(document)
        line = plain(f"{self._wait.what}: {state}" + (f", {share:.0%}" if share is not None else ""))
        if self._bar is not None:
            done = {} if share is None else {"total": 1, "completed": share}
            self._bar.update(self._task, description=unmarked(line), **done)
        elif line != self._said:
            say(line)
        self._said = line

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            say(self._said)
