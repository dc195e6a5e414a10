"""How the tests are dealt out to processes: file by file, so that what a file starts is started once."""

import re

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped] # pytest-xdist has no types

TAKEN_APART = "tests/conformance/targets/test_every_"
"""Files with hundreds of cases, each on the bench of one kind: the benches are dealt out, or one process would work on
after all others have ended."""
_BENCH = re.compile(r"\[(?P<bench>[^\]]+)-[^-\]]+\]$")


class ByFile(LoadScopeScheduling):  # type: ignore[misc] # pytest-xdist has no types
    """Give each process a whole file at a time, the largest first."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        bench = _BENCH.search(nodeid) if file.startswith(TAKEN_APART) else None
        return f"{file}::{bench['bench']}" if bench else file
