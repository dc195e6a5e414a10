"""Fuzzing by coverage: atheris watches which branches an input takes, and goes on from what is new."""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["services", "shared"]):
    from tests.fuzz.readers import read_any
from tests.fuzz.seeds import seeds


def fuzz(seconds: int, *, corpus: Path, found: Path) -> None:
    """Go on from the seeds and from the corpus of earlier runs, which grows.

    Ends the process: with 77, and the input in `found`, where a reader fails.
    """
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds()):
            (Path(folder) / f"{number:04}").write_bytes(seed)
        options = [f"-max_total_time={seconds}", "-max_len=8192", "-timeout=10", "-rss_limit_mb=1024"]
        options += ["-print_final_stats=1", f"-artifact_prefix={found}/"]
        atheris.Setup([sys.argv[0], *options, str(corpus), folder], read_any)
        atheris.Fuzz()
