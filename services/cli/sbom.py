"""`everleaf sbom`: what this installation is made of, as CycloneDX 1.6, for whoever looks for what is known to be vulnerable.

It is read where it runs, so that the image tells what is in that very image: `docker run --rm everleaf sbom`.
"""

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import Distribution, distributions, version
from pathlib import Path
from typing import Any
from urllib.parse import quote

_DPKG = Path("/var/lib/dpkg/status")
_OS_RELEASE = Path("/etc/os-release")
_LOCKS = (
    Path(sys.prefix) / "share/everleaf/portal-package-lock.json",
    Path(__file__).parents[2] / "portal/package-lock.json",
)
"""Where it is that an installation, and a working copy, keep what the portal was built from."""


def bill(*, now: datetime) -> dict[str, Any]:
    """Return the bill of materials: Python's packages, the portal's, and those of a Debian beneath, each with its package URL."""
    parts = {each["purl"]: each for each in (*_python(), *_portal(), *_debian())}
    own = parts.pop(_purl("pypi", "everleaf", version("everleaf")))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": now.isoformat(timespec="seconds"),
            "component": {**own, "type": "application"},
        },
        "components": [parts[purl] for purl in sorted(parts)],
    }


def _component(kind: str, name: str, release: str, *, licence: str | None) -> dict[str, Any]:
    purl = _purl(kind, name, release)
    said = {} if licence is None else {"licenses": [{"license": {"name": licence}}]}
    return {"type": "library", "bom-ref": purl, "name": name, "version": release, "purl": purl, **said}


def _purl(kind: str, name: str, release: str) -> str:
    """Return a package URL (https://github.com/package-url/purl-spec): a scope's `@` and a version's `+` are encoded."""
    return f"pkg:{kind}/{quote(name, safe='/')}@{quote(release, safe='')}"


def _python() -> Iterator[dict[str, Any]]:
    for each in distributions():
        # As the index calls it (PEP 503): a package URL knows no other spelling.
        name = each.metadata["Name"].lower().replace("_", "-").replace(".", "-")
        yield _component("pypi", name, each.version, licence=_licence(each))


def _licence(distribution: Distribution) -> str | None:
    told = distribution.metadata.json
    named = str(told.get("license_expression") or told.get("license") or "")
    if named and "\n" not in named:  # some keep the whole text there
        return named
    classed = [each.rsplit(" :: ", 1)[-1] for each in told.get("classifier", []) if "License" in each]
    return classed[0] if classed else None


def _portal() -> Iterator[dict[str, Any]]:
    """What ends in the portal's bundle: the tools that build it do not."""
    lock = next((path for path in _LOCKS if path.is_file()), None)
    packages = json.loads(lock.read_text())["packages"] if lock else {}
    for path, told in packages.items():
        if path and not told.get("dev"):
            name = path.rpartition("node_modules/")[2]
            yield _component("npm", name, told["version"], licence=told.get("license"))


def _debian() -> Iterator[dict[str, Any]]:
    """What the image stands on, with the version that Debian's advisories are about."""
    if not _DPKG.is_file():
        return
    distribution = next(
        (line[3:].strip('"') for line in _OS_RELEASE.read_text().splitlines() if line.startswith("ID=")),
        "debian",
    )
    for paragraph in _DPKG.read_text(errors="replace").split("\n\n"):
        told = dict(line.split(": ", 1) for line in paragraph.splitlines() if _is_field(line))
        if told.get("Status", "").endswith(" installed"):
            yield _component(f"deb/{distribution}", told["Package"], told["Version"], licence=None)


def _is_field(line: str) -> bool:
    return ": " in line and not line.startswith(" ")
