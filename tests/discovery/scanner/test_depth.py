"""Depth `full` against OpenSSL's server: everything it would negotiate, and nothing more."""

import socket
import subprocess
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from services.discovery.domain.answers import Outcome
from services.discovery.domain.targets import Asked
from services.discovery.scanner.numbers import SUITES_12
from services.discovery.scanner.parts import side_by_side
from shared.x509 import fingerprint
from tests.discovery.scanner.looking import look, look_deep
from tests.servers.processes import free_port, program
from tests.servers.s_server import openssl_server
from tests.servers.tls import CertificateAuthority

EVERY = "ALL:!aNULL:!aDSS:!PSK:!SRP:@SECLEVEL=0"


def openssl_suites(version: str) -> set[str]:
    """What OpenSSL says it would take at a version."""
    command = [program("openssl", package="openssl"), "ciphers", "-s", version, "-stdname", EVERY]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[0] for line in lines}


def test_a_rich_server_is_known_completely(lab_ca: CertificateAuthority, tmp_path: Path):
    ec, rsa = lab_ca.issue("rich.test", kind="ec"), lab_ca.issue("rich.test", kind="rsa")
    options = ["-cipher", EVERY, "-min_protocol", "TLSv1", "-serverpref", "-groups", "X25519:P-256:P-384"]
    with openssl_server(*options, issued=ec, other=rsa, folder=tmp_path) as port:
        sighting, depth = look_deep(port)
    assert depth.versions == ("TLSv1.3", "TLSv1.2", "TLSv1.1", "TLSv1")
    assert set(depth.suites["TLSv1.2"]) == openssl_suites("-tls1_2")
    assert set(depth.suites["TLSv1"]) == openssl_suites("-tls1")
    assert set(depth.suites["TLSv1.3"]) == {
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_AES_128_GCM_SHA256",
    }
    assert set(depth.groups) == {"X25519", "secp256r1", "secp384r1"}
    assert depth.preference["TLSv1.2"] == "server"
    assert (depth.downgrade_sentinel, depth.fallback_scsv, depth.secure_renegotiation) == (True, True, True)
    assert depth.compresses is False
    assert depth.connections <= 150
    shown = {
        fingerprint(sighting.chain[0]),
        *(fingerprint(chain[0]) for chain in sighting.other_chains.values()),
    }
    assert shown == {ec.fingerprint, rsa.fingerprint}
    assert len(sighting.other_chains) == 1


def test_a_server_that_lets_the_client_choose_is_known_for_it(lab_ca: CertificateAuthority, tmp_path: Path):
    options = ["-no_tls1_3", "-cipher", "ECDHE+AESGCM"]
    with openssl_server(*options, issued=lab_ca.issue("a.test"), folder=tmp_path) as port:
        _, depth = look_deep(port)
    assert depth.versions == ("TLSv1.2",)
    assert depth.preference == {"TLSv1.2": "client"}
    assert depth.downgrade_sentinel is None
    assert {"secp256r1", "X25519"} <= set(depth.groups)


def test_tls_1_3_alone_is_known_without_a_word_of_older_versions(
    lab_ca: CertificateAuthority, tmp_path: Path
):
    options = [
        "-tls1_3",
        "-ciphersuites",
        "TLS_AES_128_CCM_8_SHA256:TLS_AES_128_GCM_SHA256",
        "-groups",
        "P-521",
    ]
    issued = lab_ca.issue("new.test", kind="rsa")
    with openssl_server(*options, issued=issued, folder=tmp_path) as port:
        sighting, depth = look_deep(port)
    assert fingerprint(sighting.chain[0]) == issued.fingerprint
    assert depth.versions == ("TLSv1.3",)
    assert set(depth.suites["TLSv1.3"]) == {"TLS_AES_128_CCM_8_SHA256", "TLS_AES_128_GCM_SHA256"}
    assert depth.groups == ("secp521r1",)
    assert (depth.secure_renegotiation, depth.fallback_scsv) == (None, None)
    assert sighting.other_chains == {}


def test_key_exchange_by_rsa_alone_is_seen(lab_ca: CertificateAuthority, tmp_path: Path):
    options = ["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"]
    with openssl_server(*options, issued=lab_ca.issue("old.test", kind="rsa"), folder=tmp_path) as port:
        sighting, depth = look_deep(port)
    assert sighting.outcome is Outcome.TLS
    assert depth.suites == {"TLSv1.2": ("TLS_RSA_WITH_AES_128_CBC_SHA",)}
    assert depth.groups == ()


def test_a_client_certificate_that_is_asked_for_is_told(lab_ca: CertificateAuthority, tmp_path: Path):
    for version in ("-tls1_2", "-tls1_3"):
        folder = tmp_path / version
        with openssl_server(version, "-Verify", "1", issued=lab_ca.issue("m.test"), folder=folder) as port:
            sighting = look(Asked(address="127.0.0.1", port=port))
        assert sighting.wants_client_certificate
        assert sighting.chain


def test_a_diffie_hellman_prime_is_measured(lab_ca: CertificateAuthority, tmp_path: Path):
    options = ["-tls1_2", "-cipher", "DHE-RSA-AES128-SHA:@SECLEVEL=0"]
    with openssl_server(*options, issued=lab_ca.issue("dh.test", kind="rsa"), folder=tmp_path) as port:
        _, depth = look_deep(port)
    assert depth.dh_bits
    assert min(depth.dh_bits) >= 1024


def test_what_speaks_no_tls_is_not_asked_further():
    sighting = look(Asked(address="127.0.0.1", port=free_port()))
    assert (sighting.outcome, sighting.depth) == (Outcome.REFUSED, None)


def test_a_server_that_drops_long_hellos_is_asked_with_short_ones():
    """As some old load balancers do with more than 255 bytes: the suites come in parts."""
    taken = 0x0035

    def talk(connection: socket.socket) -> None:
        hello = connection.recv(4096)
        if len(hello) > 255 or taken.to_bytes(2, "big") not in hello or b"\x03\x04" in hello[50:]:
            return
        server_hello = b"\x02\0\0\x26\x03\x03" + bytes(32) + b"\0" + taken.to_bytes(2, "big") + b"\0"
        chain = b"\x0b\0\0\x0a\0\0\x07\0\0\x04junk"
        flight = server_hello + chain + b"\x0e\0\0\0"
        connection.sendall(b"\x16\x03\x03" + len(flight).to_bytes(2, "big") + flight)
        connection.recv(10)

    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    talk(connection)

        threading.Thread(target=serve, daemon=True).start()
        sighting, depth = look_deep(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
    assert sighting.chain == (b"junk",)
    assert depth.suites["TLSv1.2"] == (SUITES_12[taken],)


def test_parts_run_side_by_side_ask_together_and_end_each_in_its_time():
    def part(rounds: int, name: str) -> Generator[list[Any], list[Any], list[Any]]:
        heard: list[Any] = []
        for number in range(rounds):
            heard += yield [f"{name}{number}"]
        return heard

    both: Generator[Any, Any, Any] = side_by_side([part(1, "a"), part(3, "b"), part(0, "c")])
    asked = next(both)
    assert asked == ["a0", "b0"]
    assert both.send(["A0", "B0"]) == ["b1"]
    assert both.send(["B1"]) == ["b2"]
    with pytest.raises(StopIteration) as end:
        both.send(["B2"])
    assert end.value.value == [["A0"], ["B0", "B1", "B2"], []]
