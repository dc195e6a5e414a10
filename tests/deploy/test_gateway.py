"""The gateway holds one caller back who asks without end, and nobody else."""

import re
import ssl
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from socket import create_connection

import pytest

from tests.deploy.parts import FrontDoor
from tests.journeys.platforms import SERVICES
from tests.servers.processes import free_port
from tests.servers.tls import CertificateAuthority

FLOOD = 900
"""Requests that are sent at once: more than twice the burst, and fewer than nginx answers on one connection."""


@pytest.fixture
def gateway(tmp_path: Path, lab_ca: CertificateAuthority) -> Iterator[FrontDoor]:
    """The gateway with nobody behind it: who is let through is answered 502."""
    tls = tmp_path / "tls"
    tls.mkdir()
    issued = lab_ca.issue("localhost", "127.0.0.1")
    (tls / "cert.pem").write_bytes(issued.chain_pem)
    (tls / "key.pem").write_bytes(issued.key_pem)
    (tls / "ca.pem").write_bytes(lab_ca.pem)
    door = FrontDoor(tmp_path / "gateway", tls=tls)
    door.start({name: [free_port()] for name in SERVICES})
    yield door
    door.stop()


def _answers(gateway: FrontDoor, *, caller: str, count: int, trusting: ssl.SSLContext) -> Counter[int]:
    """Send so many requests without waiting for answers, and count those by status."""
    asked = b"GET /inventory/v1/certificates HTTP/1.1\r\nHost: localhost\r\n"
    plain = create_connection(("127.0.0.1", gateway.port), timeout=120, source_address=(caller, 0))
    with trusting.wrap_socket(plain, server_hostname="localhost") as connection:
        connection.sendall((asked + b"\r\n") * (count - 1) + asked + b"Connection: close\r\n\r\n")
        with connection.makefile("rb") as told:
            return Counter(int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", told.read()))


def test_a_caller_who_asks_without_end_is_held_back_and_others_are_let_through(
    gateway: FrontDoor, lab_ca: CertificateAuthority
) -> None:
    trusting = lab_ca.client_context()
    greedy = _answers(gateway, caller="127.0.0.2", count=FLOOD, trusting=trusting)
    assert greedy.total() == FLOOD
    assert greedy[429] > 0
    assert greedy.keys() == {429, 502}
    assert _answers(gateway, caller="127.0.0.3", count=20, trusting=trusting) == {502: 20}
