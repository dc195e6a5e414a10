"""How the tests are dealt out to processes: file by file, so that what a file starts is started once."""

import re
from collections import OrderedDict
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped] # pytest-xdist has no types

TAKEN_APART = "tests/conformance/targets/test_every_"
"""Files with hundreds of cases, each on the bench of one kind: the benches are dealt out, or one process would work on
after all others have ended."""
LONG = ("tests/chaos/", "tests/deploy/test_own_certificates", "tests/journeys/test_processes_die")
"""Files with few tests that take minutes each: begun last, they would be waited for by everybody."""
_BENCH = re.compile(r"\[(?P<bench>[^\]]+)-[^-\]]+\]$")


class _LongFirst(OrderedDict[str, dict[str, bool]]):
    """What is still to be dealt out, in the order in which it was put in; but what takes minutes goes first."""

    def popitem(self, last: bool = True) -> tuple[str, dict[str, bool]]:
        """Take what is next."""
        for scope in self:
            if scope.startswith(LONG):
                return scope, self.pop(scope)
        return super().popitem(last=last)


class ByFile(LoadScopeScheduling):  # type: ignore[misc] # pytest-xdist has no types
    """Give each process a whole file at a time: what takes minutes first, then the largest."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        self.workqueue = _LongFirst()

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        bench = _BENCH.search(nodeid) if file.startswith(TAKEN_APART) else None
        return f"{file}::{bench['bench']}" if bench else file
