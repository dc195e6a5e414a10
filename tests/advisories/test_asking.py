"""A known vulnerability is told with what mends it, and what nobody could be asked of is never taken for sound.

Both keepers are as their documentation has them: OSV's `POST /v1/query` (osv.dev, "API", and its schema 1.7) and the npm
registry's `POST /-/npm/v1/security/advisories/bulk` (docs.npmjs.com, `npm audit`, "Bulk Advisory Endpoint").
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.advisories.asking import ACCEPTED, of_portal, of_python
from tests.architecture.tree import ROOT
from tests.servers.api import Api, Asked, Told
from tests.servers.processes import free_port

HASH = "0" * 64
KNOWN = {
    "schema_version": "1.7.0",
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-0001"],
    "modified": "2026-11-01T00:00:00Z",
    "summary": "It believes anybody.",
    "affected": [
        {
            "package": {"name": "gullible", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        }
    ],
}


@pytest.fixture
def keeper() -> Iterator[Api]:
    """Knows of `gullible` before 1.1, and of everything the portal ships."""
    api = Api(_answer)
    api.start()
    yield api
    api.stop()


def _answer(asked: Asked) -> Told:
    if asked.method == "POST" and asked.path == "/v1/query":
        about = asked.json
        assert about["package"]["ecosystem"] == "PyPI"
        known = about["package"]["name"] == "gullible" and about["version"] == "1.0"
        return Told(document={"vulns": [KNOWN]} if known else {})
    if asked.method == "POST" and asked.path == "/-/npm/v1/security/advisories/bulk":
        body = gzip.decompress(asked.body) if asked.headers.get("content-encoding") == "gzip" else asked.body
        return Told(document={name: [_advisory(name)] for name in json.loads(body) if name == "react"})
    return Told(status=404, document={"error": "Not found"})


def _advisory(name: str) -> dict[str, object]:
    return {
        "id": 1,
        "url": "https://advisories.test/1",
        "title": f"{name} renders anything",
        "severity": "high",
        "vulnerable_versions": "*",
        "cwe": ["CWE-79"],
        "cvss": {"score": 8.1, "vectorString": None},
    }


def _lock(folder: Path, *pins: str) -> Path:
    file = folder / "requirements.lock"
    file.write_text("".join(f"{pin} \\\n    --hash=sha256:{HASH}\n" for pin in pins))
    return file


def test_a_vulnerable_distribution_is_named_with_the_version_that_mends_it(keeper: Api, tmp_path: Path):
    lock = _lock(tmp_path, "gullible==1.0", "sound==2.0")
    answer = of_python(lock, "--vulnerability-service", "osv", "--osv-url", f"{keeper.url}/v1/query")
    assert answer.faults == ("gullible 1.0: PYSEC-2026-1, mended in 1.1",)
    assert answer.unknown == ""
    assert {asked.json["package"]["name"] for asked in keeper.asked} == {"gullible", "sound"}


def test_an_advisory_that_does_not_concern_us_is_no_fault(
    keeper: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(ACCEPTED, "CVE-2026-0001", "nobody asks it anything")
    lock = _lock(tmp_path, "gullible==1.0")
    answer = of_python(lock, "--vulnerability-service", "osv", "--osv-url", f"{keeper.url}/v1/query")
    assert (answer.faults, answer.unknown) == ((), "")


def test_where_the_keeper_is_away_nothing_is_known(tmp_path: Path):
    nobody = f"http://localhost:{free_port()}/v1/query"
    answer = of_python(
        _lock(tmp_path, "gullible==1.0"), "--vulnerability-service", "osv", "--osv-url", nobody
    )
    assert answer.faults == ()
    assert answer.unknown.startswith("all of it: ")


def test_what_the_portal_ships_is_asked_of(keeper: Api):
    answer = of_portal(ROOT / "portal", f"--registry={keeper.url}")
    assert any(fault.startswith("react ") and "https://advisories.test/1" in fault for fault in answer.faults)


def test_where_the_registry_is_away_nothing_is_known_of_the_portal():
    answer = of_portal(ROOT / "portal", f"--registry=http://localhost:{free_port()}", "--fetch-retries=0")
    assert answer.faults == ()
    assert answer.unknown.startswith("all of it: ")
