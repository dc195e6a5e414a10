"""The page of threats names tests that are there, and the repository holds no secret."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT

SECRETS = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*\n?[A-Za-z0-9+/=]{40,}",
    "a key of AWS": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a token of GitHub": r"\bgh[pousr]_[0-9A-Za-z]{36,}\b",
    "a token of Slack": r"\bxox[abprs]-[0-9A-Za-z-]{20,}",
    "a key of Google": r"\bAIza[0-9A-Za-z_-]{35}\b",
    "an API key of ours": r"\bevl_[0-9A-Za-z_-]{30,}",
    "a JWT": r"\beyJ[0-9A-Za-z_-]{20,}\.eyJ[0-9A-Za-z_-]{20,}\.[0-9A-Za-z_-]{20,}",
}
"""What looks like a secret, as those who hand it out have shaped it."""
MADE_UP = {
    "AKIAIOSFODNN7EXAMPLE": "the example in AWS's documentation",
    "AKIANOTTHISONE000000": "a test names it, to see that it is not used",
}
"""What looks like one and opens nothing."""
LARGEST = 2_000_000


def test_every_threat_names_tests_and_they_are_there():
    rows = [
        row
        for row in (ROOT / "docs/security.md").read_text().splitlines()
        if row.startswith("|") and "::" in row
    ]
    threats = [
        row
        for row in (ROOT / "docs/security.md").read_text().splitlines()
        if row.startswith("| ") and not row.startswith(("| **", "| threat"))
    ]
    assert threats == rows, "a threat without a test"
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", (ROOT / "docs/security.md").read_text())
    gone = [f"{path}::{name}" for path, name in named if name not in defined(ROOT / path)]
    assert gone == []


def defined(path: Path) -> set[str]:
    """Return the functions of a file; none where there is no such file."""
    if not path.is_file():
        return set()
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_no_file_of_the_repository_holds_what_looks_like_a_secret():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    found = []
    for name in filter(None, listed.decode().split("\0")):
        path = ROOT / name
        if not path.is_file() or path.stat().st_size > LARGEST:
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{name}: {kind}" for kind in looks_like(text)]
    assert found == []


def looks_like(text: str) -> list[str]:
    """Return what a text seems to hold."""
    return [
        kind
        for kind, pattern in SECRETS.items()
        if any(match not in MADE_UP for match in re.findall(pattern, text))
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("-----BEGIN EC PRIVATE " + "KEY-----\n" + "M" * 64, "a private key"),
        ("AKIA" + "Q" * 16, "a key of AWS"),
        ("evl_" + "q" * 40, "an API key of ours"),
        ("eyJ" + "a" * 30 + ".eyJ" + "b" * 30 + "." + "c" * 30, "a JWT"),
    ],
)
def test_what_is_searched_for_is_found(text: str, kind: str):
    assert looks_like(f"key = '{text}'") == [kind]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_every_dependency_is_locked_with_its_hash(name: str):
    text = (ROOT / name).read_text()
    pins = re.findall(
        r"^([A-Za-z0-9][\w.\[\],-]*)==(\S+)((?:.*\\\n)?(?:    --hash=sha256:[0-9a-f]{64}[ \\]*\n?)*)",
        text,
        re.MULTILINE,
    )
    assert len(pins) > 50
    assert [pin for pin, _, hashes in pins if "--hash=sha256:" not in hashes] == []


def test_the_static_analysis_covers_what_is_shipped():
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert lint["select"] == ["ALL"]
    assert {rule for rule in lint["ignore"] if rule.startswith("S")} == {"S603", "S607"}
    shipped = [
        where
        for where, rules in lint["per-file-ignores"].items()
        if "S" in rules and where.startswith(("services", "shared"))
    ]
    assert shipped == []
