"""The bill of materials names all that is installed, as the official schema asks."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.cli import sbom
from tests.cyclonedx import validator

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[3]
LOCKED = re.compile(r"^([a-z0-9][a-z0-9.-]*)==([^ ;]+)( ;| \\)", re.MULTILINE)


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    return sbom.bill(now=NOW)


def _versions(bill: dict[str, Any], kind: str) -> dict[str, str]:
    named = [each for each in bill["components"] if each["purl"].startswith(f"pkg:{kind}/")]
    return {each["name"]: each["version"] for each in named}


def test_it_is_valid_by_the_official_schema(bill: dict[str, Any]) -> None:
    assert list(validator("1.6").iter_errors(bill)) == []
    assert bill["metadata"]["component"]["name"] == "everleaf"


def test_every_locked_package_that_is_needed_here_is_in_it_with_its_version(bill: dict[str, Any]) -> None:
    locked = {
        name.replace(".", "-"): release
        for name, release, end in LOCKED.findall((ROOT / "requirements.lock").read_text())
        if end == " \\"  # others are for other systems
    }
    assert len(locked) > 30
    installed = _versions(bill, "pypi")
    assert {name: installed.get(name) for name in locked} == locked


def test_what_the_portal_is_made_of_is_in_it_and_what_only_builds_it_is_not(bill: dict[str, Any]) -> None:
    portal = _versions(bill, "npm")
    assert {"react", "@mantine/core"} <= portal.keys()
    assert portal.keys().isdisjoint({"vite", "typescript", "@biomejs/biome"})


def test_what_debian_has_installed_is_in_it_and_what_it_has_removed_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    status = tmp_path / "status"
    status.write_text(
        "Package: libssl3\nStatus: install ok installed\nVersion: 3.0.11-1~deb12u2\nDescription: TLS\n more: of it\n\n"
        "Package: telnet\nStatus: deinstall ok config-files\nVersion: 1\n"
    )
    release = tmp_path / "os-release"
    release.write_text('NAME="Debian GNU/Linux"\nID=debian\n')
    monkeypatch.setattr(sbom, "_DPKG", status)
    monkeypatch.setattr(sbom, "_OS_RELEASE", release)
    debian = [each for each in sbom.bill(now=NOW)["components"] if each["purl"].startswith("pkg:deb/")]
    assert [each["purl"] for each in debian] == ["pkg:deb/debian/libssl3@3.0.11-1~deb12u2"]
