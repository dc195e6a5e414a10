"""What a contestant prints of itself: without its start, which would be most of a short run."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def timed(count: int) -> Iterator[None]:
    """Print the seconds of CPU (all threads, user and system) and of wall that the block took, as JSON."""
    cpu, wall = time.process_time(), time.monotonic()
    yield
    took = {"cpu": time.process_time() - cpu, "wall": time.monotonic() - wall, "count": count}
    print(json.dumps(took))
