"""What people install: the whole program, and nothing beside it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, SERVICES, files, relative


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from the tree as it stands and without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_it_brings_these_three_packages_what_the_portal_was_built_from_and_nothing_else(
    wheel: zipfile.ZipFile,
):
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if "-" not in name} == {"everleaf", "services", "shared"}
    data = [name.partition(".data/")[2] for name in wheel.namelist() if ".data/" in name]
    assert data == ["data/share/everleaf/portal-package-lock.json"]


def test_every_module_of_them_is_there(wheel: zipfile.ZipFile):
    ours = {
        relative(path)
        for path in files("*.py")
        if relative(path).startswith(("everleaf/", "services/", "shared/"))
    }
    assert ours <= set(wheel.namelist())


def test_what_the_program_reads_while_it_runs_is_there(wheel: zipfile.ZipFile):
    names = set(wheel.namelist())
    assert {"shared/store/alembic/env.py", "shared/store/alembic/script.py.mako"} <= names
    for service in SERVICES:
        assert f"services/{service}/asyncapi.json" in names  # the queues are declared from it
        assert any(name.startswith(f"services/{service}/migrations/0001_") for name in names)


def test_nothing_in_it_was_made_by_a_run(wheel: zipfile.ZipFile):
    made = (".pyc", ".db", ".log", ".token", ".key", ".pem", "kek")
    assert [name for name in wheel.namelist() if name.endswith(made)] == []


def test_it_installs_the_program_by_its_name(wheel: zipfile.ZipFile):
    (entry,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "everleaf = services.cli:main" in wheel.read(entry).decode()


def test_it_names_no_machine_and_no_index(wheel: zipfile.ZipFile):
    text = b"\n".join(
        wheel.read(name)
        for name in wheel.namelist()
        if name.startswith(("everleaf/", "services/", "shared/"))
    )
    home = str(Path.home()).encode()
    assert str(ROOT).encode() not in text
    assert home == b"/" or home + b"/" not in text


def test_the_wheel_is_closed_afterwards(wheel: zipfile.ZipFile):
    wheel.close()
