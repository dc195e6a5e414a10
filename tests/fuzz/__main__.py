"""Runs the readers under atheris until the time is over or one of them fails: `python -m tests.fuzz SECONDS`."""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["services", "shared"]):
    from tests.fuzz.readers import read_any
from tests.fuzz.seeds import seeds


def main() -> None:
    """Fuzz; atheris ends the process, with 77 and the input in `build/fuzz` where a reader fails."""
    seconds = sys.argv[1] if len(sys.argv) > 1 else "60"
    found = Path("build/fuzz/found")
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds()):
            (Path(folder) / f"{number:04}").write_bytes(seed)
        options = [f"-max_total_time={seconds}", "-max_len=8192", "-timeout=10", "-rss_limit_mb=1024"]
        atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={found}/", folder], read_any)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
