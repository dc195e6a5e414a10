"""Weaknesses known by a name: servers that have one have it by nmap's and testssl.sh's word too, and those without have none."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from services.discovery.domain.sightings import Finding
from tests.discovery.scanner.looking import look_deep
from tests.servers.flawed import Flaw, bleeding_tickets, flawed
from tests.servers.odd import serving
from tests.servers.processes import program
from tests.servers.s_server import openssl_server
from tests.servers.tls import CertificateAuthority

QUIETLY = ("--quiet", "--warnings", "off", "--color", "0", "--nodns", "none", "--ip", "127.0.0.1")
SECONDS = 200
OPENSSL = "OpenSSL with RSA key exchange and tickets"
TICKETS = "Ticketbleed"
OUR_NAMES = {
    "heartbleed": "heartbleed",
    "CCS": "ccs-injection",
    "ticketbleed": "ticketbleed",
    "ROBOT": "robot",
}
"""Those of testssl.sh's."""
BY_SCRIPT = {"ssl-heartbleed": "heartbleed", "ssl-ccs-injection": "ccs-injection"}
Findings = dict[str, bool]
"""By our names: whether it is vulnerable."""


@dataclass(frozen=True)
class Asked:
    """What is asked of whom; testssl.sh takes a quarter of a minute for a server, whatever it is asked."""

    server: str
    scripts: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()


ASKED = (
    # Not for ROBOT: of a sound server testssl.sh waits five times in vain.
    Asked(OPENSSL, scripts=tuple(BY_SCRIPT), checks=("-H", "-I", "-T")),
    Asked(Flaw.HEARTBLEED.name, scripts=("ssl-heartbleed",)),
    Asked(Flaw.CCS.name, scripts=("ssl-ccs-injection",)),
    Asked(TICKETS, checks=("-T",)),
    Asked(Flaw.STRONG_ROBOT.name, checks=("-BB",)),
)


@pytest.fixture(scope="module")
def ports(lab_ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """Where each server is."""
    issued, folder = lab_ca.issue("flawed.test", kind="rsa"), tmp_path_factory.mktemp("flawed")
    talks = {flaw.name: flawed(issued, flaw) for flaw in (Flaw.HEARTBLEED, Flaw.CCS, Flaw.STRONG_ROBOT)}
    talks[TICKETS] = bleeding_tickets(issued.server_context(folder))
    options = ("-tls1_2", "-cipher", "kRSA:ECDHE+AESGCM:@SECLEVEL=0")
    with ExitStack() as opened:
        served = {name: opened.enter_context(serving(talk)) for name, talk in talks.items()}
        served[OPENSSL] = opened.enter_context(openssl_server(*options, issued=issued, folder=folder / "o"))
        yield served


@pytest.fixture(scope="module")
def said(ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Findings]:
    """What nmap and testssl.sh say, asked all at a time."""
    found: dict[str, Findings] = {}
    running = []
    for each in ASKED:
        written = tmp_path_factory.mktemp("said")
        if each.scripts:
            running.append((each, written, _nmap(ports[each.server], each.scripts, written)))
        if each.checks:
            running.append((each, written, _testssl(ports[each.server], each.checks, written)))
    try:
        for _, _, process in running:
            process.wait(SECONDS)
    finally:
        for _, _, process in running:
            process.kill()
            process.wait()
    for each, written, _ in running:
        found.setdefault(each.server, {}).update(_read(written))
    return found


def _nmap(port: int, scripts: tuple[str, ...], folder: Path) -> subprocess.Popen[bytes]:
    wanted = ",".join(f"+{script}" for script in scripts)
    options = ["-Pn", "-n", "-p", str(port), "--script", wanted, "--script-args", "vulns.showall"]
    return _begin(
        [program("nmap", package="nmap"), *options, "-oX", str(folder / "nmap.xml"), "127.0.0.1"], folder
    )


def _testssl(port: int, checks: tuple[str, ...], folder: Path) -> subprocess.Popen[bytes]:
    command = [program("testssl", package="testssl.sh"), *QUIETLY, "--jsonfile", str(folder / "testssl.json")]
    return _begin([*command, *checks, f"127.0.0.1:{port}"], folder)


def _begin(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=folder, **quiet)  # type: ignore[call-overload,no-any-return]  # the same for all three


def _read(folder: Path) -> Findings:
    found: Findings = {}
    if (folder / "nmap.xml").exists():
        for script in ET.parse(folder / "nmap.xml").iter("script"):
            state = script.findtext(".//elem[@key='state']", "")
            found[BY_SCRIPT[script.get("id", "")]] = state == "VULNERABLE"
    if (folder / "testssl.json").exists():
        for entry in json.loads((folder / "testssl.json").read_text()):
            if entry["id"] in OUR_NAMES:
                found[OUR_NAMES[entry["id"]]] = entry["finding"].startswith("VULNERABLE")
    return found


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.server)
def test_others_find_the_same_weaknesses(
    asked: Asked, ports: dict[str, int], said: dict[str, Findings]
) -> None:
    _, depth = look_deep(ports[asked.server])
    theirs = said[asked.server]
    assert theirs, "nobody has said anything"
    assert {name: depth.flaws[name].finding for name in theirs} == {
        name: Finding.VULNERABLE if is_vulnerable else Finding.NOT for name, is_vulnerable in theirs.items()
    }
    assert any(theirs.values()) == (asked.server != OPENSSL)
    assert len(theirs) == 3 or asked.server != OPENSSL
