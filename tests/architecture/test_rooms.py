"""The house: every service has the same rooms, and what is written about it is true."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import NOT_OURS, ROOT, SERVICES, files, relative, service_folder

ROOMS = {"service", "settings", "api", "events", "workers", "actions", "domain", "store", "connectors"}
TRADES = {"discovery": {"scanner", "configuration"}}
"""Rooms that only one service has, for what only it does."""
PAPERS = {"__init__.py", "migrations", "openapi.json", "asyncapi.json", "README.md"}
EMPTY_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "base",
    "manager",
    "managers",
    "core",
    "impl",
    "misc",
}


AS_DATA = ("services/inventory/domain/assessment/", "services/notifier/connectors/snmp/EVERLEAF-MIB.txt")
"""Policies and the MIB module come as files: who checks them against their sources reads no Python."""


def test_these_are_all_the_services():
    folders = {path.name for path in (ROOT / "services").iterdir() if path.is_dir()} - NOT_OURS
    assert folders - {"cli", "portal"} == set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_every_room_and_nothing_else(name: str):
    found = [path for path in service_folder(name).iterdir() if path.name not in NOT_OURS]
    rooms = [path.stem for path in found if path.name not in PAPERS]
    assert sorted(rooms) == sorted(ROOMS | TRADES.get(name, set())), (
        "each room once, as a file or as a package of the same name"
    )
    assert {path.name for path in found if path.name in PAPERS} == PAPERS


@pytest.mark.parametrize("name", SERVICES)
def test_a_room_is_python_and_a_package_says_what_it_is_for(name: str):
    for room in service_folder(name).iterdir():
        if room.name in {*PAPERS, *NOT_OURS}:
            continue
        if room.is_dir():
            assert (room / "__init__.py").exists(), relative(room)
            files = [
                path for path in room.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}
            ]
            strangers = [relative(path) for path in files]
            assert [each for each in strangers if not each.startswith(AS_DATA)] == []
        else:
            assert room.suffix == ".py", relative(room)


def test_every_module_says_in_its_docstring_what_it_decides():
    silent = [
        relative(path)
        for path in files("*.py")
        if path.is_relative_to(ROOT / "services") or path.is_relative_to(ROOT / "shared")
        if "migrations" not in path.parts and "alembic" not in path.parts
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_no_file_or_folder_has_a_name_that_says_nothing():
    named = {part for path in files("*") for part in path.relative_to(ROOT).with_suffix("").parts}
    assert named & EMPTY_NAMES == set()


# Connectors


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _reached(start: list[Path], modules: dict[str, Path]) -> set[str]:
    reached: set[str] = set()
    waiting = list(start)
    while waiting:
        for name in _imports(waiting.pop()):
            if name in modules and name not in reached:
                reached.add(name)
                waiting.append(modules[name])
    return reached


def _python(room: Path) -> list[Path]:
    return sorted(room.rglob("*.py")) if room.is_dir() else [room.with_suffix(".py")]


@pytest.mark.parametrize("name", SERVICES)
def test_every_connector_is_in_the_registry_or_serves_one_that_is(name: str):
    """Or another room asks it itself: a connector to a sibling is no member of a family."""
    home = service_folder(name)
    modules = {_module(path): path for path in _python(home / "connectors")}
    registry = home / "connectors" / "registry.py"
    rooms = [path for path in home.rglob("*.py") if home / "connectors" not in path.parents]
    starts = [*([registry] if registry.exists() else []), *rooms]
    family = f"services.{name}.connectors"
    assert modules.keys() - _reached(starts, modules) - {family, f"{family}.registry"} == set()


@pytest.mark.parametrize("name", SERVICES)
def test_every_kind_of_connector_is_listed(name: str):
    home = service_folder(name)
    if not (home / "connectors" / "registry.py").exists():
        return
    registry = importlib.import_module(f"services.{name}.connectors.registry")
    listed = {kind for value in vars(registry).values() if isinstance(value, tuple) for kind in value}
    assert listed, "a registry lists something"
    for path in _python(home / "connectors"):
        module = importlib.import_module(_module(path))
        kinds = {
            value
            for value in vars(module).values()
            if isinstance(value, type) and value.__module__ == module.__name__
            if isinstance(vars(value).get("kind"), str)
        }
        assert kinds <= listed, relative(path)


# Migrations


@pytest.mark.parametrize("name", SERVICES)
def test_migrations_are_numbered_from_0001_without_gaps_each_after_the_one_before(name: str):
    scripts = sorted((service_folder(name) / "migrations").glob("*.py"))
    assert scripts
    previous = None
    for number, path in enumerate(scripts, start=1):
        assert re.fullmatch(rf"{number:04}_[a-z0-9_]+\.py", path.name), path.name
        said = _constants(path)
        assert (said["revision"], said["down_revision"]) == (f"{number:04}", previous), path.name
        previous = f"{number:04}"


def _constants(path: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for node in ast.parse(path.read_text()).body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        if isinstance(target, ast.Name):
            found[target.id] = ast.literal_eval(node.value)
    return found


# Documents

LINK = re.compile(r"(?<!!)\[[^\]\[]*\]\(<?(?P<target>[^)>\s]+)>?[^)]*\)")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:")
DOCUMENTS = files("*.md")


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_every_link_inside_the_repository_leads_somewhere(path: Path):
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    targets = [match["target"] for match in LINK.finditer(text)]
    dead = [target for target in targets if not ELSEWHERE.match(target) and not _leads(path, target)]
    assert dead == []


def _leads(path: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    found = (path.parent / name).resolve() if name else path
    if not found.exists() or not found.is_relative_to(ROOT):
        return False
    return not anchor or found.suffix != ".md" or anchor in _anchors(found)


def _anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.+?) *$", path.read_text(), flags=re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


def test_there_are_documents_to_look_at():
    assert {"README.md", "docs/architecture.md"} <= {relative(path) for path in DOCUMENTS}
