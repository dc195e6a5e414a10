"""The scanner beside testssl.sh, which is slow and sees most: versions, suites in the server's order, groups."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance.test_zoo import ZOO, Animal
from tests.discovery.scanner.looking import look_deep
from tests.servers.processes import program
from tests.servers.s_server import openssl_server
from tests.servers.tls import CertificateAuthority

VERSIONS = {
    "SSLv2": "SSLv2",
    "SSLv3": "SSLv3",
    "TLS1": "TLSv1",
    "TLS1_1": "TLSv1.1",
    "TLS1_2": "TLSv1.2",
    "TLS1_3": "TLSv1.3",
}
GROUPS = {"prime256v1": "secp256r1", "X25519": "X25519", "X448": "X448"}
COMPARED = [animal for animal in ZOO if animal.name in ("modern", "TLS 1.0 only")]
"""The others take testssl.sh more than half a minute each."""


@dataclass(frozen=True)
class Verdict:
    """What testssl.sh says, in our words."""

    versions: set[str]
    order: dict[str, tuple[str, ...]]
    """Suites by version, where the server has an order of its own."""
    curves: set[str]
    compresses: bool


def by_testssl(port: int, folder: Path) -> Verdict:
    """Run the checks that can be compared."""
    written = folder / "testssl.json"
    checks = ["-p", "-P", "-f", "-C", "--mapping", "iana"]
    quietly = [
        "--quiet",
        "--warnings",
        "off",
        "--color",
        "0",
        "--ip",
        "127.0.0.1",
        "--jsonfile",
        str(written),
    ]
    command = [program("testssl", package="testssl.sh"), *quietly, *checks, f"127.0.0.1:{port}"]
    subprocess.run(command, capture_output=True, timeout=150, check=False, cwd=folder)
    found = {entry["id"]: entry["finding"] for entry in json.loads(written.read_text())}
    order = {
        name.removeprefix("cipherorder_").replace("_", "."): tuple(finding.split())
        for name, finding in found.items()
        if name.startswith("cipherorder_")
    }
    return Verdict(
        versions={ours for theirs, ours in VERSIONS.items() if found.get(theirs, "").startswith("offered")},
        order=order,
        curves={GROUPS.get(name, name) for name in found.get("PFS_ECDHE_curves", "").split()},
        compresses=found["CRIME_TLS"].startswith("VULNERABLE"),
    )


def is_no_finite_field(group: str) -> bool:
    return not group.startswith("ffdhe")


@pytest.mark.parametrize("animal", COMPARED, ids=str)
def test_testssl_sees_the_same(animal: Animal, lab_ca: CertificateAuthority, tmp_path: Path) -> None:
    issued = lab_ca.issue("zoo.test", kind=animal.kind)
    other = lab_ca.issue("zoo.test", kind=animal.other) if animal.other else None
    options = (*animal.options, "-serverpref") if "-serverpref" not in animal.options else animal.options
    with openssl_server(*options, issued=issued, other=other, folder=tmp_path) as port:
        _, depth = look_deep(port)
        theirs = by_testssl(port, tmp_path)
    assert set(depth.versions) == theirs.versions
    for version, order in theirs.order.items():
        assert depth.suites[version] == order, version
    ours = set(filter(is_no_finite_field, depth.groups))
    assert ours == theirs.curves
    assert theirs.compresses == depth.compresses
