"""How Microsoft SQL Server comes to TLS: MS-TDS 2.2.6.5 (PRELOGIN), with TLS inside its packets."""

import struct
from collections.abc import Iterator

from shared.starttls.conversation import (
    Conversation,
    Dialogue,
    Framing,
    OtherProtocol,
    Refused,
    Step,
)

_HEADER = struct.Struct("!BBHHBB")  # type, status, length, SPID, packet id, window (MS-TDS 2.2.3.1)
_PRELOGIN, _RESPONSE = 0x12, 0x04
_LAST = 0x01
_LARGEST = 4096  # the packet size that holds until a login negotiates another
_MOST_FRAMED = 384 * 1024
"""Bytes, packets' headers among them: more than the first flight that a look reads ever takes."""
_VERSION_OPTION, _ENCRYPTION_OPTION, _TERMINATOR = 0x00, 0x01, 0xFF
_ENCRYPT_ON, _ENCRYPT_NOT_SUPPORTED, _ENCRYPT_MASK = 0x01, 0x02, 0x03
_ERROR_TOKEN, _ERROR_TEXT = 0xAA, 11  # where its text is (MS-TDS 2.2.7.10)
_VERSION = bytes.fromhex("100000000000")


class TdsFraming(Framing):
    """TLS records in PRELOGIN packets, as long as the TLS handshake lasts; then TLS goes bare."""

    def __init__(self) -> None:
        self._received = b""
        self._taken = 0

    def wrap(self, data: bytes) -> bytes:
        """Return the data as one message, of as many packets as it needs."""
        return b"".join(_packets(data))

    def unwrap(self, data: bytes) -> bytes:
        """Return what complete packets hold, and keep the rest. Raises `OtherProtocol` if it is no packet."""
        self._taken += len(data)
        if self._taken > _MOST_FRAMED:  # packets may be empty, so that no reader of TLS would count them
            raise OtherProtocol(f"more than {_MOST_FRAMED} bytes in packets")
        received, at, content = self._received + data, 0, b""
        while len(received) >= at + _HEADER.size:
            _, length = _header(received[at : at + _HEADER.size])
            if len(received) < at + length:
                break
            content += received[at + _HEADER.size : at + length]
            at += length
        self._received = received[at:]
        return content


def mssql(_server_name: str | None) -> Dialogue:
    """PRELOGIN that asks for encryption; then TLS is framed. Raises `Refused`, `OtherProtocol`."""
    conversation = Conversation()
    conversation.say(b"".join(_packets(_prelogin())))
    answer = yield from _message(conversation)
    if answer[:1] == bytes([_ERROR_TOKEN]):
        raise Refused(_error(answer))
    if _encryption(answer) & _ENCRYPT_MASK == _ENCRYPT_NOT_SUPPORTED:
        raise Refused("encryption is not supported (ENCRYPT_NOT_SUP)")
    return TdsFraming()


def _prelogin() -> bytes:
    """Options first, each with the place of its value: VERSION and ENCRYPTION, the two a server needs."""
    table = 2 * 5 + 1
    options = struct.pack("!BHH", _VERSION_OPTION, table, len(_VERSION))
    options += struct.pack("!BHH", _ENCRYPTION_OPTION, table + len(_VERSION), 1)
    return options + bytes([_TERMINATOR]) + _VERSION + bytes([_ENCRYPT_ON])


def _packets(data: bytes) -> Iterator[bytes]:
    room = _LARGEST - _HEADER.size
    parts = [data[at : at + room] for at in range(0, len(data), room)]
    for number, part in enumerate(parts, start=1):
        status = _LAST if number == len(parts) else 0
        size = _HEADER.size + len(part)
        yield _HEADER.pack(_PRELOGIN, status, size, 0, number % 256, 0) + part


def _message(conversation: Conversation) -> Step[bytes]:
    content = b""
    while True:
        is_last, length = _header((yield from conversation.exactly(_HEADER.size)))
        content += yield from conversation.exactly(length - _HEADER.size)
        if is_last:
            return content


def _header(data: bytes) -> tuple[bool, int]:
    """Return whether the packet ends its message, and its length with the header. Raises `OtherProtocol`."""
    kind, status, length, *_ = _HEADER.unpack_from(data)
    if kind not in {_PRELOGIN, _RESPONSE} or length < _HEADER.size:
        raise OtherProtocol(data)
    return bool(status & _LAST), length


def _encryption(answer: bytes) -> int:
    """Return the ENCRYPTION option's value. Raises `OtherProtocol` where the answer has none."""
    at = 0
    while at + 5 <= len(answer) and answer[at] != _TERMINATOR:
        option, offset, length = struct.unpack_from("!BHH", answer, at)
        if option == _ENCRYPTION_OPTION and length == 1 and offset < len(answer):
            return int(answer[offset])
        at += 5
    raise OtherProtocol(answer)


def _error(answer: bytes) -> str:
    (letters,) = struct.unpack_from("<H", answer.ljust(_ERROR_TEXT, b"\0"), _ERROR_TEXT - 2)
    return answer[_ERROR_TEXT : _ERROR_TEXT + 2 * letters].decode("utf-16-le", errors="replace")
