"""Servers that are old, strict, slow or hostile: what no server that is packaged today can be made to do."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, auto

from cryptography.hazmat.primitives.serialization import Encoding

from tests.servers.tls import Issued

Talk = Callable[[socket.socket], None]

_HANDSHAKE, _ALERT, _APPLICATION_DATA = 22, 21, 23
_RSA_AES_256_CBC_SHA = 0x0035
MOST_SENT = 64 << 20
"""Where even a hostile server gives up, so that a scanner that does not would be told by the test and not by the
machine's memory."""


class _Counting(socket.socket):
    """Counts what the client's side took, or its machine's buffers."""

    taken = 0

    def sendall(self, data: bytes) -> None:  # type: ignore[override]  # flags are not used here
        """Send, and count what goes through even where not all does."""
        while data:
            sent = self.send(data)
            self.taken += sent
            data = data[sent:]


@contextmanager
def serving(talk: Talk, *, address: str = "127.0.0.1", taken: list[int] | None = None) -> Iterator[int]:
    """Serve on a free port with a thread for each connection; `taken` gets the bytes that each one took."""
    with socket.create_server((address, 0), backlog=512) as listener:

        def one(accepted: socket.socket) -> None:
            connection = _Counting(fileno=accepted.detach())
            with connection, contextlib.suppress(OSError):
                talk(connection)
            if taken is not None:
                taken.append(connection.taken)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def record(fragment: bytes, *, kind: int = _HANDSHAKE, version: int = 0x0303) -> bytes:
    """Return a TLS record (RFC 5246 §6.2.1)."""
    return bytes([kind]) + version.to_bytes(2, "big") + len(fragment).to_bytes(2, "big") + fragment


def message(kind: int, body: bytes) -> bytes:
    """Return a handshake message (RFC 5246 §7.4)."""
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def server_hello(version: int, suite: int = _RSA_AES_256_CBC_SHA) -> bytes:
    """Return a ServerHello without extensions."""
    return message(2, version.to_bytes(2, "big") + bytes(32) + b"\0" + suite.to_bytes(2, "big") + b"\0")


def certificate(*ders: bytes) -> bytes:
    """Return a Certificate message (RFC 5246 §7.4.2)."""
    entries = b"".join(len(der).to_bytes(3, "big") + der for der in ders)
    return message(11, len(entries).to_bytes(3, "big") + entries)


def chain_of(issued: Issued) -> list[bytes]:
    """Return the certificates that a server of these sends."""
    return [issued.certificate.public_bytes(Encoding.DER)]


def flight(chain: Sequence[bytes], *, version: int = 0x0303) -> bytes:
    """Return all that a server sends before the client's key exchange."""
    return record(server_hello(version) + certificate(*chain) + message(14, b""), version=version)


def hello_of(connection: socket.socket) -> bytes:
    """Read one ClientHello."""
    return connection.recv(65536)


def say(words: bytes) -> Talk:
    """Say this at once, whatever the client says."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(words)
        connection.recv(4096)

    return talk


def answer(words: bytes) -> Talk:
    """Say this once the client has spoken, and wait for its next word."""

    def talk(connection: socket.socket) -> None:
        hello_of(connection)
        connection.sendall(words)
        connection.recv(4096)

    return talk


def answer_and_close(words: bytes) -> Talk:
    """Say this and hang up."""

    def talk(connection: socket.socket) -> None:
        hello_of(connection)
        connection.sendall(words)

    return talk


def without_end(start: bytes, words: bytes) -> Talk:
    """Begin well and never end."""

    def talk(connection: socket.socket) -> None:
        hello_of(connection)
        connection.sendall(start)
        flood(connection, words)

    return talk


def greeting_without_end(start: bytes, words: bytes) -> Talk:
    """Speak first, and never let the client speak."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(start)
        flood(connection, words)

    return talk


def flood(connection: socket.socket, words: bytes) -> None:
    """Say it again and again."""
    for _ in range(MOST_SENT // len(words)):
        connection.sendall(words)


def empty_tds_packets(connection: socket.socket) -> None:
    """Agree to TLS as SQL Server does (MS-TDS 2.2.6.5), and then send packets with nothing in them."""
    connection.recv(4096)
    prelogin = bytes.fromhex("00000b0006 0100110001 ff") + bytes(6) + b"\1"
    connection.sendall(_tds_packet(prelogin))
    connection.recv(4096)
    flood(connection, _tds_packet(b"") * 8000)


def _tds_packet(content: bytes) -> bytes:
    return b"\x04\x01" + (8 + len(content)).to_bytes(2, "big") + bytes(4) + content


def dripping(words: bytes, *, pause: float) -> Talk:
    """Say it byte by byte."""

    def talk(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hello_of(connection)
        for byte in words:
            connection.sendall(bytes([byte]))
            time.sleep(pause)
        connection.recv(4096)

    return talk


def agreeable(chain: Sequence[bytes], *, pause: float) -> Talk:
    """Take the first suite of any version before TLS 1.3, each after a while."""

    def talk(connection: socket.socket) -> None:
        hello = hello_of(connection)
        time.sleep(pause)
        if not hello or hello[0] != _HANDSHAKE or b"\x00\x2b\x00\x03\x02\x03\x04" in hello:
            return
        version = int.from_bytes(hello[9:11], "big")
        suites = 11 + 32 + 1 + hello[43]
        suite = int.from_bytes(hello[suites + 2 : suites + 4], "big")
        said = server_hello(version, suite) + certificate(*chain) + message(14, b"")
        connection.sendall(record(said, version=version))
        connection.recv(4096)

    return talk


@contextmanager
def going_away(chain: Sequence[bytes], *, after: int) -> Iterator[int]:
    """Serve so many connections, and refuse all others, as who limits them or is being stopped."""
    words = flight(chain)
    could_13 = words[:35] + b"DOWNGRD\x01" + words[43:]
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for number in range(1, after + 1):
            connection, _ = listener.accept()
            if number == after:
                listener.close()
            with connection:
                answer(could_13)(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    thread.join(5)


def ssl3_only(chain: Sequence[bytes]) -> Talk:
    """Speak SSL 3.0 (RFC 6101) to whoever offers it, and nothing else."""

    def talk(connection: socket.socket) -> None:
        hello = hello_of(connection)
        takes_ssl3 = hello[:1] == b"\x16" and hello[9:11] == b"\x03\x00"
        words = (
            flight(chain, version=0x0300) if takes_ssl3 else record(b"\2\x28", kind=_ALERT, version=0x0300)
        )
        connection.sendall(words)
        connection.recv(4096)

    return talk


def ssl2_only(chain: Sequence[bytes]) -> Talk:
    """Speak SSL 2.0 (draft-hickman-netscape-ssl-00) alone; anything else is hung up on."""

    def talk(connection: socket.socket) -> None:
        hello = hello_of(connection)
        if not (hello and hello[0] & 0x80 and hello[2:3] == b"\1"):
            return
        suites = bytes.fromhex("0700c0010080")
        lengths = b"".join(size.to_bytes(2, "big") for size in (len(chain[0]), len(suites), 16))
        body = b"\x04\0\1\0\2" + lengths + chain[0] + suites + bytes(16)
        connection.sendall((0x8000 | len(body)).to_bytes(2, "big") + body)
        connection.recv(4096)

    return talk


def deaf_to(lengths: range, chain: Sequence[bytes]) -> Talk:
    """Never answer a hello of so many bytes, as old load balancers did (over 255, and 256 to 511)."""

    def talk(connection: socket.socket) -> None:
        if len(hello_of(connection)) not in lengths:
            connection.sendall(flight(chain))
        connection.recv(4096)

    return talk


class Dislike(Enum):
    """How a server shows that it does not like a hello."""

    CLOSE = auto()
    ALERT = auto()
    SILENCE = auto()

    def show(self, connection: socket.socket) -> None:
        """Show it."""
        if self is Dislike.ALERT:
            connection.sendall(record(b"\2\x28", kind=_ALERT))
        if self is Dislike.SILENCE:
            connection.recv(4096)


def version_intolerant(chain: Sequence[bytes], *, newest: int, dislike: Dislike) -> Talk:
    """Speak this version; whoever offers a newer one is not told so, as RFC 5246 §E.1 has it, but sent away."""

    def talk(connection: socket.socket) -> None:
        if int.from_bytes(hello_of(connection)[9:11], "big") > newest:
            dislike.show(connection)
            return
        connection.sendall(flight(chain, version=newest))
        connection.recv(4096)

    return talk


def cutting(port: int, *, after: int) -> Talk:
    """Pass on the beginning of what another server of this machine answers, and hang up."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(answer_of(port, hello_of(connection), most=after)[:after])

    return talk


def answer_of(port: int, hello: bytes, *, most: int = 1 << 20) -> bytes:
    """Return what a server of this machine answers before it waits for the client, or so much of it."""
    said = b""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=0.1) as behind,
        contextlib.suppress(TimeoutError),
    ):
        behind.sendall(hello)
        while len(said) < most and (more := behind.recv(65536)):
            said += more
    return said


def by_name_only(chain: Sequence[bytes], *, name: str) -> Talk:
    """Refuse with unrecognized_name(112) whoever does not ask for the name (RFC 6066 §3)."""

    def talk(connection: socket.socket) -> None:
        hello = hello_of(connection)
        connection.sendall(flight(chain) if name.encode() in hello else record(b"\2\x70", kind=_ALERT))
        connection.recv(4096)

    return talk


def reset(connection: socket.socket) -> None:
    """Answer with a reset."""
    hello_of(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def echo(connection: socket.socket) -> None:
    """Say what the client says."""
    while words := connection.recv(65536):
        connection.sendall(words)
