"""`python -m tests.advisories [--strict]`: asks of every dependency that is shipped; at fault for what is vulnerable.

With `--strict` also where nobody could be asked.
"""

import sys

from tests.advisories.asking import of_portal, of_python
from tests.architecture.tree import ROOT


def main() -> int:
    """Print the faults, and of what nothing is known; return the exit code."""
    answers = [of_python(ROOT / "requirements.lock"), of_portal(ROOT / "portal")]
    for answer in answers:
        for fault in answer.faults:
            print(f"{answer.of}: {fault}", file=sys.stderr)
        if answer.unknown:
            print(f"{answer.of}: nobody could be asked of {answer.unknown}", file=sys.stderr)
    unasked = "--strict" in sys.argv[1:] and any(answer.unknown for answer in answers)
    return int(unasked or any(answer.faults for answer in answers))


if __name__ == "__main__":
    sys.exit(main())
