"""Servers that mean no good, or speak as nobody does any more: bounded time and memory, and a reason in the end."""

import socket
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.discovery.domain.answers import Outcome
from services.discovery.domain.looks import Reach
from services.discovery.domain.targets import Asked
from services.discovery.scanner import engine
from services.discovery.scanner.engine import Engine, Tempo
from services.discovery.scanner.look import Asker
from services.discovery.scanner.pace import Sockets
from services.discovery.scanner.starttls import PROTOCOLS
from shared.x509 import fingerprint
from tests.discovery.scanner.looking import look
from tests.servers import odd
from tests.servers.odd import Talk, message, record, serving
from tests.servers.tls import CertificateAuthority, Issued

HELLO = odd.server_hello(0x0303)
TIMEOUT = 0.4
FAST, FULL = 8, 30
"""Time-outs after which a look has ended at each depth, however often it was made to wait for one."""


def in_records(data: bytes) -> bytes:
    return b"".join(record(data[start : start + 16_000]) for start in range(0, len(data), 16_000))


HOSTILE: dict[str, Talk] = {
    "handshake messages without end": odd.without_end(record(HELLO), record(message(12, bytes(16_000)))),
    "alerts without end": odd.without_end(b"", record(b"\1\x5a", kind=21) * 1000),
    "empty records without end": odd.without_end(b"", record(b"") * 1000),
    "application data without end": odd.without_end(record(HELLO), record(bytes(16_000), kind=23)),
    "a chain of 16 MiB": odd.without_end(
        record(HELLO + b"\x0b\xff\xff\xff\xff\xff\xfc"), record(bytes(16_000))
    ),
    "ten thousand certificates": odd.answer(in_records(HELLO + odd.certificate(*[b"c" * 20] * 10_000))),
    "a chain with wrong lengths": odd.answer(record(HELLO + message(11, b"\0\0\x09\0\0\x09leaf"))),
    "an empty chain": odd.answer(record(HELLO + odd.certificate())),
    "a record that is too long": odd.answer(b"\x16\x03\x03\xff\xff" + bytes(70_000)),
    "a hello that is cut off": odd.answer_and_close(record(HELLO)[:20]),
    "text without end": odd.without_end(b"", b"HTTP/1.1 200 OK\r\n" * 4000),
    "a line without end": odd.without_end(b"220 ", b"x" * 65_536),
    "a drip": odd.dripping(record(HELLO) * 10, pause=0.05),
    "a reset": odd.reset,
    "an echo": odd.echo,
    "its own version": odd.answer(record(odd.server_hello(0x7F1C))),
    "a suite that nobody knows": odd.answer(record(odd.server_hello(0x0303, 0xFEFE))),
    "nothing": lambda connection: time.sleep(5),
}


@pytest.mark.parametrize("reach", list(Reach))
@pytest.mark.parametrize("name", HOSTILE)
def test_it_costs_bounded_time_and_memory_and_becomes_a_reason(name: str, reach: Reach) -> None:
    with serving(HOSTILE[name]) as port:
        tracemalloc.start()
        began = time.monotonic()
        sighting = look(Asked(address="127.0.0.1", port=port), reach=reach, timeout=TIMEOUT)
        spent = time.monotonic() - began
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert sighting.outcome in (Outcome.NO_TLS, Outcome.FAILED, Outcome.SILENT, Outcome.TLS)
    assert sighting.chain == ()
    assert sighting.reason or sighting.outcome is Outcome.SILENT, sighting
    assert spent < TIMEOUT * (FAST if reach is Reach.FAST else FULL)
    assert peak < 8_000_000


def test_a_certificate_that_does_not_parse_is_kept_as_it_was_served() -> None:
    with serving(odd.answer(odd.flight([b"no DER at all"]))) as port:
        sighting = look(Asked(address="127.0.0.1", port=port), reach=Reach.FAST)
    assert (sighting.outcome, sighting.chain) == (Outcome.TLS, (b"no DER at all",))


def test_hostile_servers_hold_up_nobody_beside_them(lab_ca: CertificateAuthority) -> None:
    chain = odd.chain_of(lab_ca.issue("good.test"))
    with ExitStack() as opened:
        hostile = [opened.enter_context(serving(talk)) for talk in HOSTILE.values()]
        good = opened.enter_context(serving(odd.answer(odd.flight(chain))))
        asked = [Asked(address="127.0.0.1", port=port) for port in hostile]
        asked += [Asked(address=f"127.0.0.{last}", port=good) for last in range(1, 2)] * 100
        tempo = Tempo(timeout=2, per_host=None)
        scan = Engine(asked, permits=lambda *_: True, inquire=Asker().look, tempo=tempo, sockets=Sockets())
        found: list[float] = []
        began = time.monotonic()
        with closing(scan):
            while not scan.is_done and len(found) < 100:
                found += [
                    time.monotonic() - began
                    for sighting in scan.step(wait=0.05)
                    if sighting.asked.port == good and sighting.outcome is Outcome.TLS
                ]
    assert len(found) == 100
    assert max(found) < 2, "nobody waited for the time-out of another"


ENDLESS: dict[str, tuple[Talk, str | None]] = {
    "handshake messages": (HOSTILE["handshake messages without end"], None),
    "alerts": (odd.without_end(record(HELLO), record(b"\1\x70", kind=21) * 1000), None),
    "application data": (HOSTILE["application data without end"], None),
    "lines of a greeting": (odd.greeting_without_end(b"", b"220-and on\r\n" * 100), "smtp"),
    "one line of a greeting": (odd.greeting_without_end(b"220 ", b"x" * 65_536), "smtp"),
    "features": (odd.greeting_without_end(b"<stream:stream><stream:features>", b"<x/>" * 1000), "xmpp"),
    "packets with nothing in them": (odd.empty_tds_packets, "mssql"),
    "the rows of a directory": (odd.without_end(b"\x30\x84\x7f\xff\xff\xff", bytes(65_536)), "ldap"),
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
    assert sighting.reason
    assert 0 < max(taken) < odd.MOST_SENT / 4, "the rest is what the machine's own buffers took"
    assert spent < 1


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


@pytest.fixture
def issued(lab_ca: CertificateAuthority) -> Issued:
    return lab_ca.issue("odd.test", kind="rsa")


@pytest.mark.parametrize("reach", list(Reach))
@pytest.mark.parametrize(
    ("talk", "version"),
    [
        (odd.ssl3_only, "SSLv3"),
        (odd.ssl2_only, "SSLv2"),
        (lambda chain: odd.dripping(odd.flight(chain), pause=0.0002), "TLSv1.2"),
        (lambda chain: odd.deaf_to_long_hellos(chain, longest=260), "TLSv1.2"),
    ],
    ids=["SSL 3.0 only", "SSL 2.0 only", "byte by byte", "deaf to hellos over 255 bytes"],
)
def test_the_certificate_of_an_odd_server_is_found(
    talk: object, version: str, reach: Reach, issued: Issued
) -> None:
    assert callable(talk)
    with serving(talk(odd.chain_of(issued))) as port:
        sighting = look(Asked(address="127.0.0.1", port=port), reach=reach, timeout=1)
    assert (sighting.outcome, sighting.tls_version) == (Outcome.TLS, version)
    assert fingerprint(sighting.chain[0]) == issued.fingerprint


@pytest.mark.parametrize("reach", list(Reach))
def test_a_server_that_serves_by_name_only_is_told_from_one_that_serves_nobody(
    reach: Reach, issued: Issued
) -> None:
    with serving(odd.by_name_only(odd.chain_of(issued), name="odd.test")) as port:
        nameless = look(Asked(address="127.0.0.1", port=port), reach=reach, timeout=1)
        named = look(Asked(address="127.0.0.1", port=port, server_name="odd.test"), reach=reach, timeout=1)
    assert (nameless.outcome, nameless.chain) == (Outcome.TLS, ())
    assert "unrecognized_name" in nameless.reason
    assert fingerprint(named.chain[0]) == issued.fingerprint


@contextmanager
def talking() -> Iterator[tuple[int, list[list[bytes]]]]:
    """Serve what the list's last entry holds: its pieces one by one, a moment apart."""
    words: list[list[bytes]] = []

    def talk(connection: socket.socket) -> None:
        odd.hello_of(connection)
        for piece in words[-1]:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)

    with serving(talk) as port:
        yield port, words


@pytest.fixture(scope="module")
def chatty() -> Iterator[tuple[int, list[list[bytes]]]]:
    with talking() as made:
        yield made


@pytest.fixture(scope="module")
def real_flight(lab_ca: CertificateAuthority) -> bytes:
    return odd.flight(odd.chain_of(lab_ca.issue("real.test")))


pieces = st.lists(st.binary(min_size=1, max_size=200), max_size=5)
starts = st.sampled_from([b"", record(HELLO), record(HELLO)[:30], b"\x15\x03\x03\0\x02", b"220 mx ESMTP\r\n"])


@settings(max_examples=100, deadline=None)
@given(start=starts, rest=pieces, protocol=st.sampled_from([None, "auto", *PROTOCOLS]))
def test_whatever_a_server_says_a_look_ends_with_a_sighting(
    chatty: tuple[int, list[list[bytes]]], start: bytes, rest: list[bytes], protocol: str | None
) -> None:
    port, words = chatty
    words[:] = [[piece for piece in (start, *rest) if piece]]
    asked = Asked(address="127.0.0.1", port=port, starttls=protocol)
    sighting = look(asked, reach=Reach.FAST, timeout=0.3)
    assert sighting.asked == asked


@settings(max_examples=100, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6),
    cut=st.integers(1, 500),
)
def test_a_real_flight_with_bytes_changed_is_answered_in_good_order(
    chatty: tuple[int, list[list[bytes]]], real_flight: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    port, words = chatty
    flight = bytearray(real_flight)
    for position, value in changes:
        flight[position % len(flight)] = value
    words[:] = [[bytes(flight[start : start + cut]) for start in range(0, len(flight), cut)]]
    sighting = look(Asked(address="127.0.0.1", port=port), reach=Reach.FAST, timeout=0.3)
    assert sighting.outcome in Outcome
    assert changes or sighting.chain
