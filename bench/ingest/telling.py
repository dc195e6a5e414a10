"""How a process that is measured says what its work took, without the start of the interpreter."""

import json
import sys
import time
from typing import Self


class Stopwatch:
    """Measures a block of code, and writes what it took as the last line of the output."""

    def __enter__(self) -> Self:
        self._wall, self._cpu = time.monotonic(), time.process_time()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            took = {"wall": time.monotonic() - self._wall, "cpu": time.process_time() - self._cpu}
            sys.stdout.write(json.dumps(took) + "\n")


def told(said: str) -> tuple[float, float]:
    """Return seconds and seconds of CPU, as they were written."""
    took = json.loads(said.strip().splitlines()[-1])
    return took["wall"], took["cpu"]
