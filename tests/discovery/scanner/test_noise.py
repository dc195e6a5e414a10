"""The whole engine against noise: real answers that were changed, mixed up and cut anywhere. Never an exception, always a sighting."""

import contextlib
import itertools
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.discovery.domain.answers import Outcome
from services.discovery.domain.looks import Reach
from services.discovery.domain.targets import Asked
from shared.starttls import PROTOCOLS
from tests.discovery.scanner.looking import look
from tests.fuzz.seeds import GREETINGS, answers
from tests.servers.odd import serving
from tests.servers.tls import CertificateAuthority

TIMEOUT = 0.3
MOST_SECONDS = {Reach.FAST: 20 * TIMEOUT, Reach.FULL: 150 * TIMEOUT}
HEARS_FOR = 0.003
"""Seconds that the noisy server gives a client to say something, before it says its next piece."""

Pieces = list[bytes]


@dataclass
class Noise:
    """What the connections of one place hear: the first of them the first entry, and round again."""

    port: int
    script: list[Pieces] = field(default_factory=list)
    turn: Iterator[int] = field(default_factory=itertools.count)

    def will_say(self, script: list[Pieces]) -> None:
        self.script, self.turn = script, itertools.count()

    def talk(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(HEARS_FOR)
        for piece in self.script[next(self.turn) % len(self.script)]:
            with contextlib.suppress(TimeoutError):
                connection.recv(65_536)
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(1)
        connection.recv(65_536)


@pytest.fixture(scope="module")
def noise() -> Iterator[Noise]:
    made = Noise(port=0)
    with serving(made.talk) as port:
        made.port = port
        yield made


@pytest.fixture(scope="module")
def real(lab_ca: CertificateAuthority) -> list[bytes]:
    return [*answers(lab_ca), *GREETINGS]


@st.composite
def changed(draw: st.DrawFn, real: Sequence[bytes]) -> bytes:
    """Return a real answer with some bytes changed, a part left out and a part said twice."""
    data = bytearray(draw(st.sampled_from(real)))
    position = st.integers(0, len(data) - 1)
    for at, value in draw(st.lists(st.tuples(position, st.integers(0, 255)), max_size=4)):
        data[at] = value
    start, end = sorted((draw(position), draw(position)))
    what = draw(st.sampled_from(["nothing", "nothing", "leave out", "say twice", "end"]))
    if what == "leave out":
        del data[start : min(end, start + 20)]
    elif what == "say twice":
        data[end:end] = data[start:end]
    elif what == "end":
        del data[end:]
    return bytes(data)


@st.composite
def scripts(draw: st.DrawFn, real: Sequence[bytes]) -> list[Pieces]:
    """Return what up to four connections hear, each in pieces."""
    script = []
    for _ in range(draw(st.integers(1, 4))):
        words = draw(st.one_of(changed(real), changed(real), st.binary(max_size=300)))
        cuts = sorted(draw(st.lists(st.integers(0, len(words)), max_size=4)))
        script.append([words[a:b] for a, b in itertools.pairwise((0, *cuts, len(words))) if a < b])
    return script


def noisy(noise: Noise, script: list[Pieces], *, reach: Reach, starttls: str | None) -> None:
    noise.will_say(script)
    asked = Asked(address="127.0.0.1", port=noise.port, starttls=starttls)
    began = time.monotonic()
    sighting = look(asked, reach=reach, timeout=TIMEOUT)
    assert sighting.asked == asked
    assert sighting.outcome in Outcome
    assert sighting.reason or sighting.chain
    assert "on our side" not in sighting.reason
    assert time.monotonic() - began < MOST_SECONDS[reach]


quickly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings(quickly, max_examples=250)
@given(data=st.data(), starttls=st.sampled_from([None, None, "auto", *PROTOCOLS]))
def test_whatever_is_said_a_fast_look_ends_with_a_sighting(
    noise: Noise, real: list[bytes], data: st.DataObject, starttls: str | None
) -> None:
    noisy(noise, data.draw(scripts(real)), reach=Reach.FAST, starttls=starttls)


@settings(quickly, max_examples=120)
@given(data=st.data())
def test_whatever_is_said_a_full_look_ends_with_a_sighting(
    noise: Noise, real: list[bytes], data: st.DataObject
) -> None:
    noisy(noise, data.draw(scripts(real)), reach=Reach.FULL, starttls=None)
