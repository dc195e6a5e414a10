"""Servers that mean no good: bounded time, bytes and memory, a reason in the end, and nobody beside them waits."""

import re
import time
import tracemalloc
from contextlib import ExitStack, closing
from dataclasses import dataclass

import pytest

from services.discovery.domain.answers import Outcome
from services.discovery.domain.looks import Reach
from services.discovery.domain.targets import Asked
from services.discovery.scanner import engine
from services.discovery.scanner.engine import Engine, Tempo
from services.discovery.scanner.look import Asker, inquiry_of
from services.discovery.scanner.pace import Sockets
from shared.x509 import fingerprint
from tests.discovery.scanner.looking import look
from tests.servers import odd
from tests.servers.odd import Talk, message, record, serving
from tests.servers.tls import CertificateAuthority, Issued

HELLO = odd.server_hello(0x0303)
TLS13 = bytes.fromhex("002b00020304")
RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
TIMEOUT = 0.4
SLACK = 2.0
"""Seconds that a busy machine may take beside the time-out."""


def in_records(data: bytes) -> bytes:
    return b"".join(record(data[start : start + 16_000]) for start in range(0, len(data), 16_000))


def hello_13(extensions: bytes, *, random: bytes = bytes(32)) -> bytes:
    body = b"\x03\x03" + random + b"\0\x13\x01\0" + len(extensions).to_bytes(2, "big") + extensions
    return record(message(2, body))


def x25519(share: bytes) -> bytes:
    return TLS13 + bytes.fromhex("00330024001d0020") + share


@dataclass(frozen=True)
class Hostile:
    """A server, and what is to be said of it."""

    talk: Talk
    outcome: Outcome
    reason: str


HOSTILE = {
    "handshake messages without end": Hostile(
        odd.without_end(record(HELLO), record(message(12, bytes(16_000)))),
        Outcome.FAILED,
        "more than 262144 bytes and no certificate",
    ),
    "alerts without end": Hostile(
        odd.without_end(b"", record(b"\1\x5a", kind=21) * 1000), Outcome.TLS, "TLS alert 90 (user_canceled)"
    ),
    "warnings without end": Hostile(
        odd.without_end(b"", record(b"\1\x70", kind=21) * 1000), Outcome.FAILED, "more than 262144 bytes"
    ),
    "empty records without end": Hostile(
        odd.without_end(b"", record(b"") * 1000), Outcome.FAILED, "an empty record"
    ),
    "application data without end": Hostile(
        odd.without_end(record(HELLO), record(bytes(16_000), kind=23)),
        Outcome.FAILED,
        "more than 262144 bytes",
    ),
    "changes of cipher without end": Hostile(
        odd.without_end(b"", record(b"\1", kind=20) * 1000), Outcome.FAILED, "more than 262144 bytes"
    ),
    "requests to begin anew without end": Hostile(
        odd.without_end(b"", record(message(0, b"")) * 1000), Outcome.FAILED, "more than 262144 bytes"
    ),
    "a chain of 16 MiB": Hostile(
        odd.without_end(record(HELLO + b"\x0b\xff\xff\xff\xff\xff\xfc"), record(bytes(16_000))),
        Outcome.FAILED,
        "a message of 16777219 bytes",
    ),
    "ten thousand certificates": Hostile(
        odd.answer(in_records(HELLO + odd.certificate(*[b"c" * 20] * 10_000))),
        Outcome.FAILED,
        "a certificate chain of 230003 bytes",
    ),
    "a thousand tiny certificates": Hostile(
        odd.answer(in_records(HELLO + odd.certificate(*[b"c"] * 1000))),
        Outcome.FAILED,
        "more than 32 certificates in a chain",
    ),
    "a chain with wrong lengths": Hostile(
        odd.answer(record(HELLO + message(11, b"\0\0\x09\0\0\x09leaf"))), Outcome.FAILED, "reaches beyond"
    ),
    "an empty chain": Hostile(
        odd.answer(record(HELLO + odd.certificate() + message(14, b""))),
        Outcome.TLS,
        "no certificate was shown",
    ),
    "a hello and nothing more": Hostile(odd.answer(record(HELLO)), Outcome.FAILED, "had not finished"),
    "a record that is too long": Hostile(
        odd.answer(b"\x16\x03\x03\xff\xff" + bytes(70_000)), Outcome.FAILED, "a record that is too long"
    ),
    "a hello that is cut off": Hostile(
        odd.answer_and_close(record(HELLO)[:20]), Outcome.FAILED, "closed in the middle of the answer"
    ),
    "half an alert": Hostile(odd.answer(record(b"\2", kind=21)), Outcome.FAILED, "make no sense"),
    "text without end": Hostile(
        odd.without_end(b"", b"HTTP/1.1 200 OK\r\n" * 4000), Outcome.NO_TLS, "it speaks http"
    ),
    "a web page of 64 KiB": Hostile(
        odd.answer_and_close(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"<p>" * 22_000),
        Outcome.NO_TLS,
        "it speaks http",
    ),
    "a line without end": Hostile(
        odd.greeting_without_end(b"220 ", b"x" * 65_536), Outcome.NO_TLS, "smtp or ftp"
    ),
    "a drip": Hostile(
        odd.dripping(record(HELLO) * 10, pause=0.05), Outcome.FAILED, "began to answer, and had not finished"
    ),
    "a reset": Hostile(odd.reset, Outcome.NO_TLS, "it hung up on the ClientHello"),
    "an echo": Hostile(odd.echo, Outcome.FAILED, "a ClientHello, as we had sent one"),
    "its own version": Hostile(
        odd.answer(record(odd.server_hello(0x7F1C))), Outcome.FAILED, "had not finished"
    ),
    "a suite that nobody knows": Hostile(
        odd.answer(record(odd.server_hello(0x0303, 0xFEFE))), Outcome.FAILED, "had not finished"
    ),
    "TLS 1.3 without a key share": Hostile(
        odd.answer(hello_13(TLS13)), Outcome.FAILED, "without a key share"
    ),
    "a key share of zeros": Hostile(odd.answer(hello_13(x25519(bytes(32)))), Outcome.FAILED, "make no sense"),
    "records that nobody encrypted": Hostile(
        odd.answer(hello_13(x25519(b"\x09" + bytes(31))) + record(bytes(500), kind=23)),
        Outcome.FAILED,
        "a record that does not decrypt",
    ),
    "another group each time it is asked": Hostile(
        odd.answer(hello_13(TLS13 + bytes.fromhex("003300020018"), random=RETRY_RANDOM)),
        Outcome.TLS,
        "only with the group secp384r1",
    ),
    "nothing": Hostile(lambda connection: time.sleep(5), Outcome.SILENT, "no answer in time"),
}


@pytest.mark.parametrize("reach", list(Reach))
@pytest.mark.parametrize("name", HOSTILE)
def test_it_costs_bounded_time_and_becomes_a_reason(name: str, reach: Reach) -> None:
    hostile = HOSTILE[name]
    with serving(hostile.talk) as port:
        began = time.monotonic()
        sighting = look(Asked(address="127.0.0.1", port=port), reach=reach, timeout=TIMEOUT)
        spent = time.monotonic() - began
    assert (sighting.outcome, sighting.chain) == (hostile.outcome, ())
    assert hostile.reason in sighting.reason
    assert spent < TIMEOUT + SLACK, "one connection may wait for the time-out, not one after the other"


@pytest.mark.parametrize("name", HOSTILE)
def test_it_costs_bounded_memory(name: str) -> None:
    with serving(HOSTILE[name].talk) as port:
        tracemalloc.start()
        look(Asked(address="127.0.0.1", port=port), reach=Reach.FAST, timeout=TIMEOUT)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 4_000_000


ENDLESS: dict[str, tuple[Talk, str | None]] = {
    "handshake messages": (HOSTILE["handshake messages without end"].talk, None),
    "warnings": (odd.without_end(record(HELLO), record(b"\1\x70", kind=21) * 1000), None),
    "application data": (HOSTILE["application data without end"].talk, None),
    "lines of a greeting": (odd.greeting_without_end(b"", b"220-and on\r\n" * 100), "smtp"),
    "one line of a greeting": (odd.greeting_without_end(b"220 ", b"x" * 65_536), "smtp"),
    "features": (odd.greeting_without_end(b"<stream:stream><stream:features>", b"<x/>" * 1000), "xmpp"),
    "packets with nothing in them": (odd.empty_tds_packets, "mssql"),
    "an answer of 2 GiB": (odd.without_end(b"\x30\x84\x7f\xff\xff\xff", bytes(65_536)), "ldap"),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_who_never_ends_is_hung_up_on_after_so_many_bytes(name: str) -> None:
    talk, starttls = ENDLESS[name]
    taken: list[int] = []
    with serving(talk, taken=taken) as port:
        began = time.process_time()
        sighting = look(Asked(address="127.0.0.1", port=port, starttls=starttls), reach=Reach.FAST)
        spent = time.process_time() - began
        for _ in range(100):
            if taken:
                break
            time.sleep(0.01)
    assert sighting.outcome in (Outcome.FAILED, Outcome.NO_TLS)
    assert re.search("more than|message of", sighting.reason)
    assert 0 < max(taken) < odd.MOST_SENT / 4, "the rest is what the machine's own buffers took"
    assert spent < 2, "of CPU, the server's among it"


@pytest.fixture
def issued(lab_ca: CertificateAuthority) -> Issued:
    return lab_ca.issue("hostile.test", kind="rsa")


def test_a_certificate_that_does_not_parse_is_kept_as_it_was_served() -> None:
    with serving(odd.answer(odd.flight([b"no DER at all"]))) as port:
        sighting = look(Asked(address="127.0.0.1", port=port), reach=Reach.FAST)
    assert (sighting.outcome, sighting.chain) == (Outcome.TLS, (b"no DER at all",))
    assert sighting.reason, "it says why it does not parse"


@pytest.mark.parametrize("reach", list(Reach))
@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_certificate_once_shown_is_kept_whatever_becomes_of_the_server(
    after: int, reach: Reach, issued: Issued
) -> None:
    with odd.going_away(odd.chain_of(issued), after=after) as port:
        sighting = look(Asked(address="127.0.0.1", port=port), reach=reach, timeout=1)
    assert (sighting.outcome, fingerprint(sighting.chain[0])) == (Outcome.TLS, issued.fingerprint)
    if reach is Reach.FULL:
        assert sighting.depth is None
        assert "did not come about" in sighting.reason


def test_a_trap_of_hundreds_of_slow_answers_is_left_with_what_is_known(
    monkeypatch: pytest.MonkeyPatch, issued: Issued
) -> None:
    timeout, most = 0.5, 8
    monkeypatch.setattr(engine, "_MOST_TIMEOUTS", most)
    with serving(odd.agreeable(odd.chain_of(issued), pause=0.1)) as port:
        began = time.monotonic()
        sighting = look(Asked(address="127.0.0.1", port=port), timeout=timeout)
        spent = time.monotonic() - began
    assert fingerprint(sighting.chain[0]) == issued.fingerprint
    assert "slowly" in sighting.reason
    assert spent < most * timeout


@pytest.mark.parametrize("reach", list(Reach))
def test_hostile_servers_hold_up_nobody_beside_them(reach: Reach, issued: Issued) -> None:
    with ExitStack() as opened:
        asked = [
            Asked(address="127.0.0.1", port=opened.enter_context(serving(each.talk)))
            for each in HOSTILE.values()
        ]
        asked += [
            Asked(address="127.0.0.1", port=opened.enter_context(serving(talk)), starttls=starttls)
            for talk, starttls in ENDLESS.values()
            if starttls is not None
        ]
        good = opened.enter_context(serving(odd.answer(odd.flight(odd.chain_of(issued)))))
        asked += [Asked(address="127.0.0.1", port=good)] * 100
        found = found_after(asked, reach=reach, port=good)
    assert len(found) == 100
    assert max(found) < WAITS[reach], "nobody waited for the time-out of another"


WAITS = {Reach.FAST: 5, Reach.FULL: 25}
"""Seconds in which a hundred that answer are looked at; the time-out of those that do not is longer."""


def found_after(asked: list[Asked], *, reach: Reach, port: int) -> list[float]:
    """Return after how many seconds each place of this port showed its certificate."""
    tempo = Tempo(timeout=30, per_host=None, per_network=None)
    inquire = inquiry_of(reach, Asker())
    scan = Engine(asked, permits=lambda *_: True, inquire=inquire, tempo=tempo, sockets=Sockets())
    found: list[float] = []
    began = time.monotonic()
    with closing(scan):
        while not scan.is_done and len(found) < asked.count(asked[-1]) and time.monotonic() - began < 60:
            found += [
                time.monotonic() - began
                for sighting in scan.step(wait=0.05)
                if sighting.asked.port == port and sighting.chain
            ]
    return found
