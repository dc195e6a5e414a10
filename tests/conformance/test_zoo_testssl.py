"""The scanner beside testssl.sh, which is slow and sees most: versions, order, groups, stapling, habits."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from services.discovery.domain.sightings import Depth
from tests.conformance.test_zoo import ZOO, Animal
from tests.discovery.scanner.looking import look_deep
from tests.servers import odd
from tests.servers.odd import serving
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
GROUPS = {"prime256v1": "secp256r1"}
"""Where OpenSSL has another name."""
QUIETLY = ("--quiet", "--warnings", "off", "--color", "0", "--nodns", "none", "--ip", "127.0.0.1")
SECONDS = 150
STAPLING = "TLS 1.1 and 1.2, stapling"


@dataclass(frozen=True)
class Compared:
    """A server, and which of testssl.sh's checks it is asked with: each takes seconds, some half a minute."""

    animal: Animal
    checks: tuple[str, ...]


BY_NAME = {animal.name: animal for animal in ZOO}
COMPARED = (
    Compared(BY_NAME["modern"], ("-p", "-P", "-f", "-C", "-R", "-Z")),
    Compared(BY_NAME["TLS 1.0 only"], ("-p", "-f", "-C", "-Z")),
    Compared(
        Animal(
            STAPLING,
            (
                *("-no_tls1_3", "-min_protocol", "TLSv1.1", "-groups", "P-256:P-384"),
                *("-cipher", "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-SHA:@SECLEVEL=0"),
            ),
        ),
        ("-p", "-S", "-P", "-C", "-R", "-Z"),
    ),
)
SSL2 = "SSL 2.0 only"
Findings = dict[str, str]
"""What testssl.sh writes: its words by the names of its checks."""


@contextmanager
def animal_with_staple(
    animal: Animal, ca: CertificateAuthority, folder: Path
) -> Iterator[tuple[int, Animal]]:
    """Serve; who has an order of suites, or a staple, shows it."""
    issued = ca.issue("zoo.test", kind=animal.kind)
    options = (*animal.options, "-serverpref")
    if animal.name == STAPLING:
        staple = folder / "staple.der"
        staple.write_bytes(ca.ocsp_response(issued))
        options += ("-status_file", str(staple))
    with openssl_server(*options, issued=issued, folder=folder) as port:
        yield port, replace(animal, options=options)


def begin(port: int, checks: tuple[str, ...], *, written: Path) -> subprocess.Popen[bytes]:
    command = [program("testssl", package="testssl.sh"), *QUIETLY, "--mapping", "iana"]
    command += ["--jsonfile", str(written), *checks, f"127.0.0.1:{port}"]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=written.parent, **quiet)  # type: ignore[call-overload,no-any-return]  # the same for all three


@pytest.fixture(scope="module")
def seen(
    lab_ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Depth, Findings]]:
    """What we see and what testssl.sh sees, of all servers at a time."""
    running: dict[str, tuple[Depth, Path, subprocess.Popen[bytes]]] = {}
    with ExitStack() as opened:
        ports = {SSL2: opened.enter_context(serving(odd.ssl2_only(odd.chain_of(lab_ca.issue("odd.test")))))}
        checks = {SSL2: ("-p",)} | {each.animal.name: each.checks for each in COMPARED}
        folders = {name: tmp_path_factory.mktemp("testssl") for name in checks}
        for each in COMPARED:
            name = each.animal.name
            served = animal_with_staple(each.animal, lab_ca, folders[name])
            ports[name], _ = opened.enter_context(served)
        for name, port in ports.items():
            _, depth = look_deep(port)
            written = folders[name] / "testssl.json"
            running[name] = (depth, written, begin(port, checks[name], written=written))
        try:
            for _, _, process in running.values():
                process.wait(SECONDS)
        finally:
            for _, _, process in running.values():
                process.kill()
                process.wait()
    return {name: (depth, findings(written)) for name, (depth, written, _) in running.items()}


def findings(written: Path) -> Findings:
    return {entry["id"]: entry["finding"] for entry in json.loads(written.read_text())}


ANIMALS = [each.animal.name for each in COMPARED]
Seen = dict[str, tuple[Depth, Findings]]


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("name", [*ANIMALS, SSL2])
def test_testssl_sees_the_same_versions(name: str, seen: Seen) -> None:
    depth, found = seen[name]
    theirs = {ours for theirs, ours in VERSIONS.items() if found.get(theirs, "").startswith(OFFERED)}
    assert set(depth.versions) == theirs


OFFERED = ("offered", "vulnerable")
"""SSL 2.0 is said to be vulnerable, where it has ciphers."""


@pytest.mark.parametrize("name", ["modern", STAPLING])
def test_testssl_sees_the_same_suites_in_the_same_order(name: str, seen: Seen) -> None:
    depth, found = seen[name]
    theirs = {
        check.removeprefix("cipherorder_").replace("_", "."): tuple(words.split())
        for check, words in found.items()
        if check.startswith("cipherorder_")
    }
    assert theirs == depth.suites


@pytest.mark.parametrize("name", ["modern", "TLS 1.0 only"])
def test_testssl_sees_the_same_curves(name: str, seen: Seen) -> None:
    depth, found = seen[name]
    theirs = {GROUPS.get(curve, curve) for curve in found["PFS_ECDHE_curves"].split()}
    finite = set(found.get("DH_groups", "").split()) if "TLSv1.3" in depth.versions else set()
    assert set(depth.groups) == theirs | finite


@pytest.mark.parametrize("name", ANIMALS)
def test_testssl_sees_the_same_habits(name: str, seen: Seen) -> None:
    depth, found = seen[name]
    assert depth.compresses == found["CRIME_TLS"].upper().startswith("VULNERABLE")
    if (
        "secure_renego" in found
    ):  # testssl.sh finishes a handshake for it, which OpenSSL 3 does not at TLS 1.0
        assert depth.secure_renegotiation == found["secure_renego"].startswith("supported")


def test_testssl_sees_the_same_staple(seen: Seen) -> None:
    depth, found = seen[STAPLING]
    assert depth.is_stapled
    assert found["OCSP_stapling"] == "offered"


def test_testssl_asks_for_a_fallback_only_where_a_version_before_tls_1_2_is_spoken(seen: Seen) -> None:
    """We ask from TLS 1.3 to 1.2 too (RFC 7507 §3), and of one version there is none to fall back from."""
    assert {name: (seen[name][0].fallback_scsv, seen[name][1]["fallback_SCSV"]) for name in ANIMALS} == {
        STAPLING: (True, "supported"),
        "modern": (True, "no protocol below TLS 1.2 offered"),
        "TLS 1.0 only": (None, "no protocol below TLS 1 offered"),
    }
