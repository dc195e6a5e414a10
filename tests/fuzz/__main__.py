"""Fuzzes the readers until the time is over or one of them fails: `python -m tests.fuzz SECONDS`."""

import sys
from importlib.util import find_spec
from pathlib import Path

HOME = Path("build/fuzz")


def main() -> int:
    """Fuzz with atheris, or where it is not installed without its guidance; a failing input is in `found`."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    found = HOME / "found"
    found.mkdir(parents=True, exist_ok=True)
    if find_spec("atheris") is not None:
        from tests.fuzz.guided import fuzz

        fuzz(seconds, corpus=HOME / "corpus", found=found)  # ends the process
    print("atheris is not installed: fuzzing blindly, without coverage", file=sys.stderr)
    from tests.fuzz import blind

    runs, failing = blind.fuzz(seconds, found=found)
    print(f"{runs} runs, {failing or 'no reader failed'}", file=sys.stderr)
    return 0 if failing is None else 77


if __name__ == "__main__":
    sys.exit(main())
