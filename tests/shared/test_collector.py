"""A process that serves looks for garbage less often, and not in what is loaded."""

import subprocess
import sys

_PROGRAM = """
import gc
from shared.collector import look_less
loaded = [[] for _ in range(1000)]
before = gc.get_threshold()[0]
look_less()
print(gc.get_freeze_count() > 1000, gc.get_threshold()[0] > 10 * before, gc.isenabled())
"""


def test_what_is_loaded_is_left_alone_and_the_rest_is_looked_through_less_often() -> None:
    # In a process of its own: the one that runs the tests goes on as it was.
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 3
