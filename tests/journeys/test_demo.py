"""`make demo` is a promise: it closes the loop, in a process of its own, in an empty folder."""

import subprocess
import sys
from pathlib import Path


def test_the_demo_closes_the_loop_and_leaves_nothing_running(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=170
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for chapter in ("Discover", "Warn", "Renew", "Deploy", "Observe"):
        assert f"✓ {chapter}" in done.stdout
    assert "The loop closed in" in done.stdout
    left = [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if str(tmp_path) in path.read_bytes().decode(errors="replace")
    ]
    assert left == []
