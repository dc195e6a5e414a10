"""The scanner beside sslscan and nmap: at the same real servers they see the same."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from services.discovery.domain.sightings import Depth
from services.discovery.scanner.numbers import SUITES
from shared.x509 import fingerprint
from tests.discovery.scanner.looking import look_deep
from tests.servers import odd
from tests.servers.odd import Talk, serving
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


ODD: dict[str, Callable[[Sequence[bytes]], Talk]] = {
    "SSL 3.0 only": odd.ssl3_only,
    "sends away who offers more than TLS 1.0": partial(
        odd.version_intolerant, newest=0x0301, dislike=odd.Dislike.CLOSE
    ),
    "byte by byte": lambda chain: odd.dripping(odd.flight(chain), pause=0.0002),
}
"""What none of OpenSSL's servers does; nmap speaks to these."""


@pytest.mark.parametrize("name", ODD)
def test_nmap_sees_the_same_at_odd_servers(name: str, lab_ca: CertificateAuthority):
    chain = odd.chain_of(lab_ca.issue("odd.test", kind="rsa"))
    with serving(ODD[name](chain)) as port:
        sighting, depth = look_deep(port)
        assert ours(depth) == by_nmap(port)
    assert list(sighting.chain) == chain


def test_sslscan_sees_ssl_3_too_but_neither_its_suites_nor_its_certificate(lab_ca: CertificateAuthority):
    issued = lab_ca.issue("odd.test", kind="rsa")
    with serving(odd.ssl3_only(odd.chain_of(issued))) as port:
        sighting, depth = look_deep(port)
        root = ET.fromstring(_said("sslscan", "--xml=-", f"127.0.0.1:{port}"))
    spoken = {
        element.attrib["type"].upper() + "v" + element.attrib["version"]
        for element in root.iter("protocol")
        if element.attrib["enabled"] == "1"
    }
    assert spoken == set(depth.versions) == {"SSLv3"}
    assert not list(root.iter("cipher"))
    assert fingerprint(sighting.chain[0]) == issued.fingerprint


def test_nmap_sees_ssl_2_and_the_same_ciphers(lab_ca: CertificateAuthority):
    with serving(odd.ssl2_only(odd.chain_of(lab_ca.issue("odd.test", kind="rsa")))) as port:
        _, depth = look_deep(port)
        options = ["-n", "-Pn", "--script", "+sslv2", "-oX", "-", "-p", str(port), "127.0.0.1"]
        root = ET.fromstring(_said("nmap", *options))
    names = [element.text or "" for element in root.iterfind(".//script[@id='sslv2']/table/elem")]
    # nmap's names have "SSL2", those of the draft "SSL_CK".
    assert ours(depth) == {"SSLv2": {name.replace("SSL2_", "SSL_CK_") for name in names}}


def test_nmap_sees_the_same_versions_and_suites(animal: tuple[int, Issued]):
    port, _ = animal
    _, depth = look_deep(port)
    assert ours(depth) == by_nmap(port)
