"""The scanner beside sslscan and nmap: at the same real servers they see the same."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from services.discovery.domain.sightings import Depth
from services.discovery.scanner.numbers import SUITES
from tests.discovery.scanner.looking import look_deep
from tests.servers.processes import program
from tests.servers.s_server import openssl_server
from tests.servers.tls import CertificateAuthority, Issued, KeyKind

Suites = dict[str, set[str]]
"""By version."""


@dataclass(frozen=True)
class Animal:
    """A server, by its certificates and OpenSSL's options."""

    name: str
    options: tuple[str, ...]
    kind: KeyKind = "rsa"
    other: KeyKind | None = None

    def __str__(self) -> str:
        return self.name


ZOO = (
    Animal(
        "rich, RSA and ECDSA",
        ("-cipher", "ALL:!aNULL:!PSK:!SRP:@SECLEVEL=0", "-min_protocol", "TLSv1", "-serverpref"),
        kind="ec",
        other="rsa",
    ),
    Animal("modern", ("-min_protocol", "TLSv1.2", "-cipher", "ECDHE+AESGCM:ECDHE+CHACHA20"), kind="ec"),
    Animal("TLS 1.3 only", ("-tls1_3",)),
    Animal("TLS 1.2 only, RSA key exchange", ("-tls1_2", "-cipher", "kRSA:@SECLEVEL=0")),
    Animal("TLS 1.0 only", ("-tls1", "-cipher", "ALL:!aNULL:!PSK:!SRP:@SECLEVEL=0")),
    Animal("old and lenient", ("-no_tls1_3", "-min_protocol", "TLSv1", "-cipher", "ALL:@SECLEVEL=0")),
)


@pytest.fixture(params=ZOO, ids=str)
def animal(
    request: pytest.FixtureRequest, lab_ca: CertificateAuthority, tmp_path: Path
) -> Iterator[tuple[int, Issued]]:
    kept: Animal = request.param
    issued = lab_ca.issue("zoo.test", kind=kept.kind)
    other = lab_ca.issue("zoo.test", kind=kept.other) if kept.other else None
    with openssl_server(*kept.options, issued=issued, other=other, folder=tmp_path) as port:
        yield port, issued


def ours(depth: Depth) -> Suites:
    return {version: set(suites) for version, suites in depth.suites.items() if suites}


def by_sslscan(port: int) -> Suites:
    output = _said("sslscan", "--xml=-", "--no-fallback", "--no-heartbleed", f"127.0.0.1:{port}")
    found: Suites = {}
    for cipher in ET.fromstring(output).iter("cipher"):
        version = cipher.attrib["sslversion"].replace("TLSv1.0", "TLSv1")
        found.setdefault(version, set()).add(SUITES[int(cipher.attrib["id"], 16)])
    return found


def by_nmap(port: int) -> Suites:
    options = ["-n", "-Pn", "--script", "+ssl-enum-ciphers", "-oX", "-"]
    root = ET.fromstring(_said("nmap", *options, "-p", str(port), "127.0.0.1"))
    found: Suites = {}
    for table in root.iterfind(".//script[@id='ssl-enum-ciphers']/table"):
        names = [
            element.text or "" for element in table.iterfind("table[@key='ciphers']/table/elem[@key='name']")
        ]
        version = table.attrib["key"].replace("TLSv1.0", "TLSv1")
        # nmap has a name of its own for the key exchange of TLS 1.3.
        found[version] = {name.replace("TLS_AKE_WITH_", "TLS_") for name in names}
    return found


def _said(name: str, *arguments: str) -> str:
    done = subprocess.run(
        [program(name, package=name), *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout


def test_sslscan_sees_the_same_versions_and_suites(animal: tuple[int, Issued]):
    port, _ = animal
    _, depth = look_deep(port)
    assert ours(depth) == by_sslscan(port)


def test_nmap_sees_the_same_versions_and_suites(animal: tuple[int, Issued]):
    port, _ = animal
    _, depth = look_deep(port)
    assert ours(depth) == by_nmap(port)
