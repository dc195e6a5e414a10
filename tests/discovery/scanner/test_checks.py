"""What depth `full` looks for beside what is offered: weaknesses known by a name, and HSTS."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from services.discovery.domain.sightings import Finding, Header, Hsts
from services.discovery.domain.targets import Asked
from services.discovery.scanner.flight import Malformed
from services.discovery.scanner.hsts import hsts_of
from services.discovery.scanner.numbers import TLS12
from services.discovery.scanner.robot import client_key_exchange
from tests.discovery.scanner.looking import look, look_deep
from tests.servers.flawed import MEMORY, Flaw, bleeding_tickets, flawed
from tests.servers.nginx import Nginx
from tests.servers.odd import serving
from tests.servers.s_server import openssl_server
from tests.servers.tls import CertificateAuthority, Issued

ALL_SOUND = dict.fromkeys(("heartbleed", "ccs-injection", "ticketbleed", "robot"), Finding.NOT)
BY_HAND = {**ALL_SOUND, "ticketbleed": Finding.UNCHECKED}
"""A server made by hand finishes no handshake, and so hands out no ticket."""


@pytest.fixture
def issued(lab_ca: CertificateAuthority) -> Issued:
    return lab_ca.issue("flawed.test", kind="rsa")


def findings(port: int) -> dict[str, Finding]:
    _, depth = look_deep(port)
    assert not depth.unreached
    return {name: flaw.finding for name, flaw in depth.flaws.items()}


@pytest.mark.parametrize(
    ("flaw", "differs"),
    [
        (Flaw.NONE, {}),
        (Flaw.HEARTBLEED, {"heartbleed": Finding.VULNERABLE}),
        (Flaw.MENDED_HEARTBEAT, {}),
        (Flaw.CCS, {"ccs-injection": Finding.VULNERABLE}),
        (Flaw.WEAK_ROBOT, {"robot": Finding.VULNERABLE}),
        (Flaw.STRONG_ROBOT, {"robot": Finding.VULNERABLE}),
        (Flaw.EAGER_ROBOT, {"robot": Finding.VULNERABLE}),
        (Flaw.ERRATIC, {"robot": Finding.UNCHECKED}),
    ],
    ids=lambda each: each.name if isinstance(each, Flaw) else "",
)
def test_a_weakness_is_found_where_it_is_and_nowhere_else(
    flaw: Flaw, differs: Mapping[str, Finding], issued: Issued
) -> None:
    with serving(flawed(issued, flaw)) as port:
        assert findings(port) == {**BY_HAND, **differs}


def test_heartbeats_that_nobody_answers_are_no_weakness(issued: Issued) -> None:
    with serving(flawed(issued, Flaw.SILENT_HEARTBEAT)) as port:
        sighting = look(Asked(address="127.0.0.1", port=port), timeout=0.7)
    assert sighting.depth is not None
    assert sighting.depth.flaws["heartbleed"].finding is Finding.NOT


def test_a_ticket_that_brings_back_more_than_one_byte_of_an_id_is_found(
    issued: Issued, tmp_path: Path
) -> None:
    with serving(bleeding_tickets(issued.server_context(tmp_path))) as port:
        assert findings(port) == {**ALL_SOUND, "ticketbleed": Finding.VULNERABLE}


def test_of_what_bleeds_little_is_asked_for_and_nothing_is_kept(
    issued: Issued, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bled: list[int] = []
    with serving(flawed(issued, Flaw.HEARTBLEED, bled=bled)) as port:
        of_heartbeat, _ = look_deep(port)
    with serving(bleeding_tickets(issued.server_context(tmp_path))) as port:
        of_tickets, _ = look_deep(port)
    assert bled == [16]
    told = repr((asdict(of_heartbeat), asdict(of_tickets))) + caplog.text
    assert MEMORY.decode() not in told


def test_openssl_that_takes_rsa_key_exchange_and_hands_out_tickets_has_none_of_them(
    issued: Issued, tmp_path: Path
) -> None:
    options = ("-tls1_2", "-cipher", "kRSA:ECDHE+AESGCM:@SECLEVEL=0")
    with openssl_server(*options, issued=issued, folder=tmp_path) as port:
        assert findings(port) == ALL_SOUND


def test_where_tls_1_3_alone_is_spoken_nothing_is_asked(issued: Issued, tmp_path: Path) -> None:
    with openssl_server("-tls1_3", issued=issued, folder=tmp_path) as port:
        assert findings(port) == ALL_SOUND


def test_a_key_that_would_cost_minutes_is_not_encrypted_to(issued: Issued) -> None:
    key = issued.certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    modulus = key.public_numbers().n.to_bytes(256, "big")
    usual = b"\x02\x82\x01\x01\x00" + modulus + b"\x02\x03\x01\x00\x01"
    # As many bytes, but sixteen of the modulus belong to the exponent.
    costly = b"\x02\x81\xf1\x00" + modulus[:240] + b"\x02\x14" + b"\x01" * 20
    der = issued.certificate.public_bytes(Encoding.DER).replace(usual, costly)
    with pytest.raises(Malformed, match="no RSA key of use"):
        client_key_exchange(der, TLS12, 0)


def test_behind_starttls_the_same_is_looked_for_and_no_http(issued: Issued) -> None:
    bleeding = flawed(issued, Flaw.HEARTBLEED)

    def mail(connection: socket.socket) -> None:
        for words in (b"220 mail.test ESMTP\r\n", b"250-mail.test\r\n250 STARTTLS\r\n", b"220 go on\r\n"):
            connection.sendall(words)
            if words != b"220 go on\r\n":
                connection.recv(4096)
        bleeding(connection)

    with serving(mail) as port:
        sighting = look(Asked(address="127.0.0.1", port=port, starttls="smtp"))
    assert sighting.depth is not None
    assert {name: flaw.finding for name, flaw in sighting.depth.flaws.items()} == {
        **BY_HAND,
        "heartbleed": Finding.VULNERABLE,
    }
    assert sighting.depth.hsts is None


@pytest.fixture
def shop(lab_ca: CertificateAuthority, tmp_path: Path) -> Callable[[str], Hsts | None]:
    """Return what is found of HSTS at a real nginx with these settings."""

    def found(settings: str, *, server_name: str | None = "shop.test") -> Hsts | None:
        nginx = Nginx(tmp_path / "nginx", ca=lab_ca)
        (tmp_path / "ca.pem").write_bytes(lab_ca.pem)
        nginx.settings = settings.replace("CA", str(tmp_path / "ca.pem"))
        nginx.add_site("shop.test", issued=lab_ca.issue("shop.test"))
        nginx.start()
        try:
            sighting = look(Asked(address="127.0.0.1", port=nginx.port, server_name=server_name))
        finally:
            nginx.stop()
        assert sighting.depth is not None
        return sighting.depth.hsts

    return found


def test_hsts_is_read_from_a_real_server(shop: Callable[[str], Hsts | None]) -> None:
    settings = 'add_header Strict-Transport-Security "max-age=31536000; includeSubDomains";'
    assert shop(settings) == Hsts(Header.SENT, max_age=31536000, include_subdomains=True)


def test_hsts_that_is_not_sent_is_absent_and_of_no_name_unknown(shop: Callable[..., Hsts | None]) -> None:
    assert shop("ssl_protocols TLSv1.2;") == Hsts(Header.ABSENT)
    of_no_name = shop("ssl_protocols TLSv1.2;", server_name=None)
    assert of_no_name is not None
    assert of_no_name.header is Header.UNCHECKED


def test_a_server_that_wants_to_know_its_client_may_send_more_to_it(
    shop: Callable[[str], Hsts | None],
) -> None:
    found = shop("ssl_verify_client on; ssl_client_certificate CA;")
    assert found is not None
    assert (found.header, found.reason) == (
        Header.UNCHECKED,
        "it may send it to who has a client certificate",
    )


def test_who_greets_first_speaks_no_http(issued: Issued, tmp_path: Path) -> None:
    context = issued.server_context(tmp_path)

    def imap(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.sendall(b"* OK ready\r\n")
            secured.recv(4096)
            secured.sendall(b"GET BAD what?\r\n\r\n")

    with serving(imap) as port:
        _, depth = look_deep(port)
    assert depth.hsts == Hsts(Header.NOT_HTTP, "the answer to a request of HTTP is not HTTP")


_AGE = "Strict-Transport-Security: max-age=300"


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ([], Hsts(Header.ABSENT)),
        (["strict-transport-security:max-age=300"], Hsts(Header.SENT, max_age=300)),
        (['Strict-Transport-Security: MAX-AGE="300" ; preload'], Hsts(Header.SENT, max_age=300)),
        ([_AGE + ";includeSubDomains;;"], Hsts(Header.SENT, max_age=300, include_subdomains=True)),
        ([_AGE, "Strict-Transport-Security: max-age=1"], Hsts(Header.SENT, max_age=300)),
        (["Strict-Transport-Security: max-age=99999999999"], Hsts(Header.SENT, max_age=2**31 - 1)),
    ],
)
def test_the_header_is_read_as_browsers_read_it(headers: list[str], wanted: Hsts) -> None:
    assert hsts_of("\r\n".join(["HTTP/1.1 200 OK", "Server: x", *headers, "", ""]).encode()) == wanted


@pytest.mark.parametrize(
    "said",
    ["", "includeSubDomains", "max-age=", "max-age=-1", "max-age=1; max-age=2", 'max-age="1', "max-age=1;=;"],
)
def test_a_header_that_browsers_ignore_is_as_good_as_none(said: str) -> None:
    found = hsts_of(f"HTTP/1.1 200 OK\r\nStrict-Transport-Security: {said}\r\n\r\n".encode())
    assert (found.header, found.max_age) == (Header.ABSENT, None)
    assert "browsers ignore it" in found.reason


def test_headers_without_end_are_not_read_on() -> None:
    assert hsts_of(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 2000).header is Header.UNCHECKED
