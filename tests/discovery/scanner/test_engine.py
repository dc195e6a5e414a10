"""The engine against real sockets: what it opens, how many at a time, and when it gives up."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing

import pytest

from services.discovery.domain.answers import Outcome
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked
from services.discovery.scanner.engine import Engine, Tempo
from services.discovery.scanner.look import Asker
from services.discovery.scanner.pace import Sockets
from tests.servers.odd import say, serving
from tests.servers.processes import free_port


def engine_of(asked: Sequence[Asked], *, tempo: Tempo, sockets: Sockets) -> Engine:
    return Engine(asked, permits=lambda *_: True, inquire=Asker().look, tempo=tempo, sockets=sockets)


def look(asked: Sequence[Asked], *, tempo: Tempo, sockets: Sockets | None = None) -> list[Sighting]:
    seen: list[Sighting] = []
    with closing(engine_of(asked, tempo=tempo, sockets=sockets or Sockets())) as engine:
        while not engine.is_done:
            seen += engine.step(wait=0.1)
    return seen


@pytest.mark.parametrize(
    ("words", "protocol"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "http"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "ssh"),
        (b"RFB 003.008\n", "vnc"),
        (b"-ERR unknown command\r\n", "redis"),
        (b"\x00\x01\x02", None),
    ],
)
def test_what_is_not_tls_is_named(words: bytes, protocol: str | None):
    with serving(say(words)) as port:
        (sighting,) = look([Asked(address="127.0.0.1", port=port)], tempo=Tempo())
    assert (sighting.outcome, sighting.protocol) == (Outcome.NO_TLS, protocol)
    assert (protocol or "not TLS") in sighting.reason


def test_silence_costs_the_time_out_once_however_many_are_silent():
    asked = [Asked(address=f"127.0.1.{number}", port=0) for number in range(1, 100)]
    with serving(lambda connection: time.sleep(3), address="0.0.0.0") as port:
        places = [Asked(address=one.address, port=port) for one in asked]
        began = time.monotonic()
        seen = look(places, tempo=Tempo(timeout=0.5))
        took = time.monotonic() - began
    assert Counter(sighting.outcome for sighting in seen) == {Outcome.SILENT: 99}
    assert took < 2


def test_no_more_connections_than_allowed_are_open_at_one_host():
    opened, most, lock = 0, 0, threading.Lock()

    def count(connection: socket.socket) -> None:
        nonlocal opened, most
        with lock:
            opened += 1
            most = max(most, opened)
        time.sleep(0.02)
        with lock:
            opened -= 1

    with serving(count) as port:
        asked = [Asked(address="127.0.0.1", port=port)] * 40
        seen = look(asked, tempo=Tempo(per_host=4))
    assert len(seen) == 40
    assert most <= 4


def test_a_refusal_that_comes_after_a_while_is_one() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    place = listener.getsockname()
    # The kernel drops the SYN where nobody accepts and the queue is full, and sends it again after a second.
    waiting = [socket.create_connection(place)]
    timer = threading.Timer(0.3, listener.close)
    timer.start()
    asked = [Asked(address=place[0], port=place[1])] * 3
    seen = look(asked, tempo=Tempo(timeout=3))
    timer.join()
    for each in waiting:
        each.close()
    assert Counter(sighting.outcome for sighting in seen) == {Outcome.REFUSED: 3}


def test_no_packet_goes_to_an_address_that_is_not_permitted() -> None:
    accepted = threading.Event()
    with serving(lambda connection: accepted.set()) as port:
        asked = [Asked(address="127.0.0.1", port=port)]
        inquire = Asker().look
        engine = Engine(asked, permits=lambda *_: False, inquire=inquire, tempo=Tempo(), sockets=Sockets())
        with closing(engine):
            (sighting,) = engine.step(wait=0.1)
            assert engine.is_done
    assert sighting.outcome is Outcome.EXCLUDED
    assert not accepted.wait(0.1)


def test_the_rate_is_held():
    closed = free_port()
    asked = [Asked(address=f"127.0.2.{number}", port=closed) for number in range(1, 61)]
    began = time.monotonic()
    seen = look(asked, tempo=Tempo(rate=100))
    took = time.monotonic() - began
    assert Counter(sighting.outcome for sighting in seen) == {Outcome.REFUSED: 60}
    assert took > 0.4


def test_where_sockets_are_short_all_are_looked_at_in_the_end():
    closed = free_port()
    asked = [Asked(address=f"127.0.3.{number}", port=closed) for number in range(1, 200)]
    sockets = Sockets(16)
    seen = look(asked, tempo=Tempo(), sockets=sockets)
    assert sorted(sighting.asked.address for sighting in seen) == sorted(one.address for one in asked)
    assert sockets.open == 0


def test_a_hello_that_nobody_likes_is_asked_in_older_ways_until_ssl_2_answers():
    certificate = b"not parsed here"

    def old(connection: socket.socket) -> None:
        hello = connection.recv(4096)
        if hello[0] & 0x80:  # only an SSL 2.0 record's header has this bit
            body = b"\x04\0\1\0\2" + len(certificate).to_bytes(2, "big") + b"\0\3\0\x10" + certificate
            body += bytes.fromhex("0700c0") + bytes(16)
            connection.sendall((0x8000 | len(body)).to_bytes(2, "big") + body)
            connection.recv(10)

    with serving(old) as port:
        (sighting,) = look([Asked(address="127.0.0.1", port=port)], tempo=Tempo())
    assert (sighting.outcome, sighting.tls_version) == (Outcome.TLS, "SSLv2")
    assert sighting.chain == (certificate,)


def test_an_engine_that_is_closed_early_leaves_no_socket_open():
    sockets = Sockets()
    with serving(lambda connection: time.sleep(2)) as port:
        asked = [Asked(address="127.0.0.1", port=port)] * 5
        engine = engine_of(asked, tempo=Tempo(), sockets=sockets)
        engine.step()
        assert sockets.open == 5
        engine.close()
    assert sockets.open == 0
