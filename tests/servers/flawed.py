"""Servers with the weaknesses that are known by a name; nobody packages one any more, so each is made by hand.

They speak TLS 1.2 with two suites, and have their weakness as those had it in whom it was found:

* Heartbleed, as OpenSSL 1.0.1f: the payload's length is believed, and what lies behind it is sent
  (https://www.openssl.org/news/secadv/20140407.txt, RFC 6520 §4)
* CCS injection, as OpenSSL 1.0.1g: a ChangeCipherSpec is taken before a key is agreed, and what follows is decrypted
  (https://www.openssl.org/news/secadv/20140605.txt)
* Ticketbleed, as F5 BIG-IP: the id of a session that is taken up by ticket is sent back as 32 bytes whatever its length
  (https://filippo.io/ticketbleed/, CVE-2016-9244)
* ROBOT: another alert for another fault in the encrypted secret (https://robotattack.org/)

Whoever sends what no client would is refused as the real ones refuse it. That each is what it claims to be, nmap and
testssl.sh say in `tests/conformance/test_flaws.py`.
"""

import os
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from cryptography.hazmat.primitives.asymmetric import rsa

from tests.servers.odd import Talk, certificate, chain_of, message, record
from tests.servers.tls import Issued

_CHANGE_CIPHER, _ALERT, _HANDSHAKE, _HEARTBEAT = 20, 21, 22, 24
_TLS12 = 0x0303
_SUITES = (0x009C, 0x002F)
MEMORY = b"hunter2"
"""What stands behind what was sent: nobody may keep it."""
_MOST_ANSWERED = 16384 - 3 - 16
_UNEXPECTED, _BAD_MAC, _DECRYPTION_FAILED, _HANDSHAKE_FAILURE = 10, 20, 21, 40
_DECODE_ERROR, _VERSION, _DECRYPT_ERROR = 50, 70, 51


class Flaw(Enum):
    """What is wrong with a server, or with none of them."""

    NONE = auto()
    HEARTBLEED = auto()
    MENDED_HEARTBEAT = auto()
    """Heartbeats as OpenSSL 1.0.1g: those of false length are discarded, and others are answered."""
    SILENT_HEARTBEAT = auto()
    """Heartbeats are agreed to, and not one is answered before the handshake's end, as RFC 6520 §3 has it."""
    CCS = auto()
    WEAK_ROBOT = auto()
    """Whether a secret is right is told, and no more."""
    STRONG_ROBOT = auto()
    """In which way it is wrong is told."""
    EAGER_ROBOT = auto()
    """A secret that is wrong is refused at once, a right one at Finished, by the same alert."""
    ERRATIC = auto()
    """Alerts are made up."""


@dataclass(frozen=True)
class _Hello:
    version: int
    suites: tuple[int, ...]
    session: bytes
    extensions: dict[int, bytes]

    @property
    def is_for_12(self) -> bool:
        versions = self.extensions.get(43)
        return self.version == _TLS12 if versions is None else b"\x03\x03" in versions[1:]


class _Stream:
    """Records of one connection, both ways."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def read(self) -> tuple[int, bytes]:
        """Return the next record's kind and fragment. Raises `ConnectionError` at the end."""
        header = self._exactly(5)
        return header[0], self._exactly(int.from_bytes(header[3:5], "big"))

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = self._connection.recv(65536)
            if not data:
                raise ConnectionError
            self._buffer += data
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def send(self, kind: int, fragment: bytes) -> None:
        self._connection.sendall(record(fragment, kind=kind))

    def refuse(self, number: int) -> None:
        """Send a fatal alert."""
        self.send(_ALERT, bytes([2, number]))


def flawed(issued: Issued, flaw: Flaw, *, bled: list[int] | None = None) -> Talk:
    """Return a server with this flaw; `issued` has an RSA key, and `bled` gets how many bytes of memory each heartbeat took."""

    def talk(connection: socket.socket) -> None:
        stream = _Stream(connection)
        hello = _greet(stream, issued, flaw)
        if hello is not None:
            beats = 15 in hello.extensions and "HEART" in flaw.name
            _go_on(stream, issued, flaw, bled=bled if bled is not None else [], with_heartbeat=beats)

    return talk


def _greet(stream: _Stream, issued: Issued, flaw: Flaw) -> _Hello | None:
    """Answer the hello with all that comes before the client's key exchange."""
    kind, fragment = stream.read()
    if kind != _HANDSHAKE or fragment[:1] != b"\1":
        stream.refuse(_UNEXPECTED)
        return None
    hello = _parse(fragment)
    suite = next((each for each in _SUITES if each in hello.suites), None)
    if not hello.is_for_12 or suite is None:
        stream.refuse(_VERSION if suite else _HANDSHAKE_FAILURE)
        return None
    answers = b"\xff\x01\x00\x01\x00" + (
        b"\x00\x0f\x00\x01\x01" if "HEART" in flaw.name and 15 in hello.extensions else b""
    )
    said = _server_hello(suite, b"", answers) + certificate(*chain_of(issued)) + message(14, b"")
    stream.send(_HANDSHAKE, said)
    return hello


def _go_on(stream: _Stream, issued: Issued, flaw: Flaw, *, bled: list[int], with_heartbeat: bool) -> None:
    secret, is_changed = -1, False
    while True:
        kind, fragment = stream.read()
        if kind == _HEARTBEAT and with_heartbeat:
            _beat(stream, fragment, flaw, bled)
        elif kind == _HANDSHAKE and fragment[:1] == b"\x10" and secret < 0:
            secret = _kind_of_secret(issued, fragment[6:])
            if secret > 0 and flaw is Flaw.EAGER_ROBOT:
                return stream.refuse(_BAD_MAC)
        elif kind == _CHANGE_CIPHER and not is_changed and (secret >= 0 or flaw is Flaw.CCS):
            is_changed = True
        elif is_changed and secret >= 0:
            return stream.refuse(_after(secret, flaw))
        elif is_changed:
            return stream.refuse(_DECRYPTION_FAILED)
        elif kind == _ALERT:
            return None
        else:
            return stream.refuse(_UNEXPECTED)


def _beat(stream: _Stream, fragment: bytes, flaw: Flaw, bled: list[int]) -> None:
    length = int.from_bytes(fragment[1:3], "big")
    is_true = 1 + 2 + length + 16 <= len(fragment)
    if fragment[0] != 1 or flaw is Flaw.SILENT_HEARTBEAT or (not is_true and flaw is not Flaw.HEARTBLEED):
        return
    there = fragment[3 : 3 + length]
    beyond = min(length, _MOST_ANSWERED) - len(there)
    if beyond > 0:
        bled.append(beyond)
    payload = there + (MEMORY * (1 + beyond // len(MEMORY)))[: max(beyond, 0)]
    stream.send(_HEARTBEAT, b"\2" + length.to_bytes(2, "big") + payload + bytes(16))


def _kind_of_secret(issued: Issued, encrypted: bytes) -> int:
    """Return 0 for a secret that is right, or in which way it is wrong (RFC 5246 §7.4.7.1)."""
    key = issued.key
    assert isinstance(key, rsa.RSAPrivateKey)
    size = key.key_size // 8
    if len(encrypted) != size:
        return 5
    numbers = key.private_numbers()
    plain = pow(int.from_bytes(encrypted, "big"), numbers.d, numbers.public_numbers.n).to_bytes(size, "big")
    if plain[:2] != b"\x00\x02":
        return 1
    at = plain.find(b"\0", 2)
    if at < 0:
        return 3
    secret = plain[at + 1 :]
    if len(secret) != 48:
        return 2
    return 0 if secret[:2] == b"\x03\x03" else 4


def _after(secret: int, flaw: Flaw) -> int:
    """Return the alert that a Finished brings which does not decrypt."""
    if flaw is Flaw.ERRATIC:
        return _BAD_MAC + os.urandom(1)[0] % 200
    if flaw is Flaw.WEAK_ROBOT:
        return _BAD_MAC if secret == 0 else _DECRYPT_ERROR
    if flaw is Flaw.STRONG_ROBOT:
        return {0: _BAD_MAC, 1: _DECRYPT_ERROR, 4: _BAD_MAC}.get(secret, _DECODE_ERROR)
    return _BAD_MAC  # as RFC 5246 §7.4.7.1 demands: a random secret is gone on with


def _server_hello(suite: int, session: bytes, extensions: bytes) -> bytes:
    body = b"\x03\x03" + os.urandom(32) + bytes([len(session)]) + session + suite.to_bytes(2, "big") + b"\0"
    return message(2, body + len(extensions).to_bytes(2, "big") + extensions)


def _parse(whole: bytes) -> _Hello:
    at = 39 + whole[38]
    suites = whole[at + 2 : at + 2 + int.from_bytes(whole[at : at + 2], "big")]
    at += 2 + len(suites)
    at += 1 + whole[at]
    return _Hello(
        version=int.from_bytes(whole[4:6], "big"),
        suites=tuple(int.from_bytes(suites[i : i + 2], "big") for i in range(0, len(suites), 2)),
        session=whole[39 : 39 + whole[38]],
        extensions=dict(_extensions(whole[at + 2 :])),
    )


def _extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        end = 4 + int.from_bytes(data[2:4], "big")
        yield int.from_bytes(data[:2], "big"), data[4:end]
        data = data[end:]


def bleeding_tickets(context: ssl.SSLContext) -> Talk:
    """Return a server by OpenSSL that hands out tickets, and bleeds where one of them comes with a short id."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def talk(connection: socket.socket) -> None:
        first = connection.recv(65536, socket.MSG_PEEK)
        hello = _parse(first[5:]) if first[:1] == b"\x16" and len(first) > 44 else None
        if hello is not None and hello.extensions.get(35) and 0 < len(hello.session) < 32:
            session = (hello.session + MEMORY + os.urandom(32))[:32]
            connection.recv(65536)
            connection.sendall(record(_server_hello(hello.suites[0], session, b"\xff\x01\x00\x01\x00")))
            connection.recv(4096)
            return
        with context.wrap_socket(connection, server_side=True) as secured:
            if secured.recv(4096):
                secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    return talk
