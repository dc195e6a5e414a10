"""The page that shows the table: what the suite has been told to see, and sees."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from services.provisioner.domain import State
from tests.conformance.targets.bench import ENDS_DEPLOYED, USUAL, Fault, Row

PAGE = Path(__file__).parents[3] / "docs" / "targets.md"
_WORDS = {
    State.WAITING: "untouched",
    State.RESTORED: "put back",
    State.NEEDS_ATTENTION: "untouched, asks",
}
_HEAD = """# What every kind of target does when something goes wrong

Written by `python -m tests.conformance.targets`, and seen by [its suite](../tests/conformance/targets/): each cell is a deployment to the
server named, at which that went wrong. After each of them **either the new certificate is served or the old one is, key and
certificate match in what the target holds, nothing is left over beside them, and the deployment says which it is**.

* **untouched**: nothing was changed on the target; the deployment is `waiting` with its reason, and is tried again.
* **untouched, asks**: nothing was changed; it is `needs_attention`, and goes on when a person has looked.
* **put back**: it was in force, or partly; the old one is in its place again, was loaded, and was seen to be served; then it is `restored`, and tried again.
* **deployed**: the new one is served in the end. A cut connection leaves the old one served and in place until the next attempt. A key that is made
  there waits beside the present one until then, is never read, and is removed where its order fails.
* **cannot be**: the number says why, below.
"""

_CUTS = (
    "The connection is cut once in each deployment of the suite, after a number of packets that a seed chooses; "
    "`make bench ROWS=deploy.cuts` cuts it after every number of them."
)


_PULL = (
    "`pull` is no row: nothing is reached there. That an offer is fetched late, never, by somebody else or twice, is refused, bound without "
    "effect, of another key, or comes while another is under way, is seen by [its own tests](../tests/provisioner/test_pulls.py)."
)


def written(rows: Mapping[str, Row]) -> str:
    """Return the page."""
    reasons = list(dict.fromkeys(reason for row in rows.values() for reason in row.senseless.values()))
    lines = [_HEAD, *_table(rows, reasons), "", *_notes(reasons), *_failures(), _CUTS, "", _PULL]
    return "\n".join(lines) + "\n"


def _table(rows: Mapping[str, Row], reasons: list[str]) -> Iterator[str]:
    yield f"| target | over | {' | '.join(Fault)} |"
    yield "|---" * (len(Fault) + 2) + "|"
    for name, row in rows.items():
        cells = (_cell(row, fault, reasons) for fault in Fault)
        yield f"| `{name}` | {row.server} | {' | '.join(cells)} |"


def _cell(row: Row, fault: Fault, reasons: list[str]) -> str:
    if fault in row.senseless:
        return f"cannot be [{reasons.index(row.senseless[fault]) + 1}]"
    if fault in ENDS_DEPLOYED:
        return "deployed"
    outcome = row.outcome(fault)
    named = "" if outcome.failure is USUAL[fault].failure else f" (`{outcome.failure}`)"
    return _WORDS[outcome.state] + named


def _notes(reasons: list[str]) -> Iterator[str]:
    for number, reason in enumerate(reasons, start=1):
        yield f"{number}. {reason}"
    if reasons:
        yield ""


def _failures() -> Iterator[str]:
    yield "What the deployment calls it (`failure`), unless the cell says otherwise:"
    yield ""
    for fault, outcome in USUAL.items():
        yield f"* {fault}: `{outcome.failure}`"
    yield f"* {Fault.CUT}: the attempt that was cut has failed as `unreachable`"
    yield ""
