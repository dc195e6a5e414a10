"""A simulator of Microsoft SQL Server up to the end of the TLS handshake, from MS-TDS; no product of it is packaged.

It hangs up, as the real one does, on what breaks the rules: another packet type, a wrong length or status,
a PRELOGIN whose options do not add up or do not begin with VERSION, TLS outside of packets. `faults` holds why.
"""

import contextlib
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.servers.tls import Issued

HEADER = struct.Struct("!BBHHBB")
PRELOGIN, RESPONSE = 0x12, 0x04
END_OF_MESSAGE = 0x01
LARGEST = 4096
VERSION, ENCRYPTION, INSTANCE, THREAD, MARS, TERMINATOR = 0, 1, 2, 3, 4, 0xFF
LENGTHS = {VERSION: 6, ENCRYPTION: 1, THREAD: 4, MARS: 1}
OFF, ON, NOT_SUPPORTED, REQUIRED = range(4)
OUR_VERSION = bytes.fromhex("0f0007d00000")


class Fault(Exception):
    """What the client sent is not TDS."""


class SqlServer:
    """A running simulator on `port`; it offers encryption where it has a certificate, and answers ENCRYPT_NOT_SUP otherwise."""

    def __init__(self, directory: Path, *, tls: Issued | None) -> None:
        self.faults: list[str] = []
        self._context = tls.server_context(directory / "tls") if tls else None
        self._server = _Listener(("127.0.0.1", 0), self._answer)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Start it."""
        self._thread.start()

    def stop(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, connection: "_Connection") -> None:
        try:
            asked = _encryption_asked(connection.message())
            offers = self._context is not None and asked != NOT_SUPPORTED
            connection.respond(_prelogin((ON if asked else OFF) if offers else NOT_SUPPORTED), kind=RESPONSE)
            if self._context is not None and offers:
                _shake_hands(connection, context=self._context)
        except Fault as fault:
            self.faults.append(str(fault))


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], answer: "Callable[[_Connection], None]") -> None:
        super().__init__(address, _Connection)
        self.answer = answer


class _Connection(socketserver.StreamRequestHandler):
    server: _Listener
    timeout = 10

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self.server.answer(self)

    def message(self) -> bytes:
        """Read packets up to the one that ends their message."""
        content = b""
        for number in range(1, 256):
            status, part = self._packet(number)
            content += part
            if status & END_OF_MESSAGE:
                return content
        raise Fault("a message without an end")

    def respond(self, content: bytes, *, kind: int) -> None:
        for packet in _packets(content, kind=kind):
            self.wfile.write(packet)

    def _packet(self, number: int) -> tuple[int, bytes]:
        head = self.rfile.read(HEADER.size)
        if len(head) < HEADER.size:
            raise ConnectionResetError("the client has gone")
        kind, status, length, _, packet_id, window = HEADER.unpack(head)
        if kind != PRELOGIN:
            raise Fault(f"a packet of type {kind:#04x}")
        if status & ~END_OF_MESSAGE:
            raise Fault(f"status {status:#04x}")
        if not HEADER.size < length <= LARGEST or (length < LARGEST and not status):
            raise Fault(f"a packet of {length} bytes with status {status}")
        if window or packet_id not in {0, number}:
            raise Fault(f"window {window}, packet id {packet_id} for packet {number}")
        return status, self.rfile.read(length - HEADER.size)


def _packets(content: bytes, *, kind: int) -> Iterator[bytes]:
    room = LARGEST - HEADER.size
    for number, at in enumerate(range(0, len(content), room), start=1):
        part = content[at : at + room]
        status = END_OF_MESSAGE if at + room >= len(content) else 0
        yield HEADER.pack(kind, status, HEADER.size + len(part), 0, number % 256, 0) + part


def _encryption_asked(message: bytes) -> int:
    options = dict(_options(message))
    if ENCRYPTION not in options:
        raise Fault("no ENCRYPTION option")
    asked = options[ENCRYPTION][0]
    if asked not in {OFF, ON, NOT_SUPPORTED, REQUIRED}:
        raise Fault(f"ENCRYPTION is {asked}")
    return asked


def _options(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Read the option table (MS-TDS 2.2.6.5): VERSION is required and comes first."""
    at = 0
    while message[at : at + 1] != bytes([TERMINATOR]):
        if len(message) < at + 5:
            raise Fault("no TERMINATOR")
        option, offset, length = struct.unpack_from("!BHH", message, at)
        if (option == VERSION) != (at == 0):
            raise Fault("VERSION is not the first option")
        if LENGTHS.get(option, length) != length or offset + length > len(message):
            raise Fault(f"option {option} has {length} bytes at {offset}")
        yield option, message[offset : offset + length]
        at += 5


def _prelogin(encryption: int) -> bytes:
    values = {
        VERSION: OUR_VERSION,
        ENCRYPTION: bytes([encryption]),
        INSTANCE: b"\0",
        THREAD: b"",
        MARS: b"\0",
    }
    table, content = b"", b""
    start = 5 * len(values) + 1
    for option, value in values.items():
        table += struct.pack("!BHH", option, start + len(content), len(value))
        content += value
    return table + bytes([TERMINATOR]) + content


def _shake_hands(connection: _Connection, *, context: ssl.SSLContext) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = context.wrap_bio(incoming, outgoing, server_side=True)
    is_done = False
    while not is_done:
        try:
            secure.do_handshake()
            is_done = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            raise Fault(f"TLS: {error.reason}") from error
        if outgoing.pending:
            connection.respond(outgoing.read(), kind=PRELOGIN)
        if not is_done:
            incoming.write(connection.message())
