"""The walls stand, and each of them would be seen to fall."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT

LINT = Path(sys.executable).parent / "lint-imports"


def lint(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run the import contracts on the tree in a folder, and not on the installed one."""
    return subprocess.run(
        [LINT, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_wall_stands():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def room(tree: Path, service: str, name: str) -> Path:
    """Return the file of a room, or the front file of its package."""
    home = tree / "services" / service
    return home / f"{name}.py" if (home / f"{name}.py").exists() else home / name / "__init__.py"


def add(path: Path, line: str) -> None:
    path.write_text(path.read_text() + f"\n{line}\n")


def imports(service: str, name: str, line: str) -> Callable[[Path], None]:
    """Return what makes a room import what it must not."""
    return lambda tree: add(room(tree, service, name), line)


def stray(tree: Path) -> None:
    (tree / "services/notifier/utils.py").write_text('"""A file that is no room."""\n')


VIOLATIONS = {
    "a service imports another": (
        imports("notifier", "store", "import services.inventory.domain"),
        "Services never import one another",
    ),
    "shared imports a service": (
        lambda tree: add(tree / "shared/ids.py", "import services.inventory.domain"),
        "The program stands on the services, the services on shared",
    ),
    "a service imports the program": (
        imports("notifier", "workers", "import services.run"),
        "The program stands on the services, the services on shared",
    ),
    "the domain looks up": (
        imports("notifier", "domain", "import services.notifier.store"),
        "Every service has the same rooms and looks only downwards",
    ),
    "a door imports a door": (
        imports("notifier", "workers", "import services.notifier.events"),
        "Every service has the same rooms and looks only downwards",
    ),
    "a file that is no room": (stray, "Every service has the same rooms and looks only downwards"),
    "the domain does IO": (imports("renewal", "domain", "import socket"), "The domain does no IO"),
    "a connector reads settings": (
        imports("provisioner", "connectors", "import services.provisioner.settings"),
        "Connectors know neither store nor settings",
    ),
    "an action speaks HTTP": (
        imports("discovery", "actions", "import fastapi"),
        "Nobody below the doors speaks HTTP status codes or AMQP",
    ),
}


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_violation_is_seen(violation: str, tmp_path: Path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in ("services", "shared"):
        python_only = shutil.ignore_patterns("__pycache__", "*.json", "*.md")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=python_only)
    violate, contract = VIOLATIONS[violation]
    violate(tmp_path)
    done = lint(tmp_path)
    assert done.returncode != 0
    assert f"{contract} BROKEN" in done.stdout, done.stdout + done.stderr
