"""Where things are in the repository, for the tests that look at the repository itself."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVICES = ("discovery", "inventory", "notifier", "provisioner", "renewal")
NOT_OURS = {".venv", "build", "dist", "node_modules", "__pycache__"}


def service_folder(name: str) -> Path:
    """Return the folder of a service."""
    return ROOT / "services" / name


def files(pattern: str) -> list[Path]:
    """Return the files of the repository whose names match, leaving out what was not written here."""
    found = []
    for path in ROOT.rglob(pattern):
        parts = path.relative_to(ROOT).parts
        if not any(part in NOT_OURS or part.startswith(".") for part in parts):
            found.append(path)
    return sorted(found)


def relative(path: Path) -> str:
    """Return a path as one writes it in the repository."""
    return path.relative_to(ROOT).as_posix()
