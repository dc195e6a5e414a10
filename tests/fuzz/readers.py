"""The readers of strangers' bytes, each as a function that may raise nothing but what its callers expect."""

import contextlib
from collections.abc import Callable, Iterator

from services.discovery.scanner.flight import Flight, Malformed, NotTls
from services.discovery.scanner.hello import client_hello
from services.discovery.scanner.keys import Keys
from services.discovery.scanner.look import FIRST, RETRY, SHARES
from services.discovery.scanner.ssl2 import Ssl2Flight
from services.discovery.scanner.starttls import PROTOCOLS, OtherProtocol, Refused
from shared import x509
from shared.errors import Invalid

Read = Callable[[bytes], None]

_KEYS = Keys()
_HELLOS = [client_hello(offer, server_name="fuzz.test", keys=_KEYS) for offer in (FIRST, RETRY, SHARES)]
_MOST_WORDS = 1 << 20
"""What a dialogue may say in answer to one input."""


def pieces(data: bytes) -> Iterator[bytes]:
    """Cut bytes as a network might: the first says how."""
    size = data[0] or 1
    return (data[start : start + size] for start in range(1, len(data), size))


def read_flight(data: bytes) -> None:
    """Read a server's first flight, after each hello there is."""
    hello = _HELLOS[data[0] % len(_HELLOS)]
    flight = Flight(hello, _KEYS)
    with contextlib.suppress(Malformed, NotTls):
        for piece in pieces(data[1:] or b"\0"):
            if flight.feed(piece):
                return


def read_ssl2(data: bytes) -> None:
    """Read an SSL 2.0 server's hello."""
    reader = Ssl2Flight()
    with contextlib.suppress(Malformed, NotTls):
        for piece in pieces(data):
            if reader.feed(piece):
                return


def converse(data: bytes) -> None:
    """Speak a STARTTLS protocol, whatever the server says."""
    name = sorted(PROTOCOLS)[data[0] % len(PROTOCOLS)]
    dialogue = PROTOCOLS[name].dialogue("fuzz.test")
    said = len(next(dialogue))
    with contextlib.suppress(StopIteration, Refused, OtherProtocol, Malformed, NotTls):
        for piece in pieces(data[1:] or b"\0"):
            said += len(dialogue.send(piece))
            assert said < _MOST_WORDS


def read_certificate(data: bytes) -> None:
    """Read a certificate."""
    with contextlib.suppress(Invalid):
        x509.read(data)


READERS: tuple[Read, ...] = (read_flight, read_ssl2, converse, read_certificate)


def read_any(data: bytes) -> None:
    """Let the first byte choose the reader."""
    if len(data) > 1:
        READERS[data[0] % len(READERS)](data[1:])
