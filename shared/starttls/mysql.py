"""How MySQL and MariaDB come to TLS: "Protocol::SSLRequest" in their client/server protocol."""

import struct

from shared.starttls.conversation import (
    Conversation,
    Dialogue,
    Framing,
    OtherProtocol,
    Refused,
    Step,
)

_ERROR, _HANDSHAKE_V10 = 0xFF, 0x0A
_PROTOCOL_41, _SSL, _SECURE_CONNECTION = 0x0200, 0x0800, 0x8000
_UTF8 = 33
_LONGEST_PACKET = 4096
_VERSION_END = 4 + 8 + 1
"""Bytes between the server's version and its capabilities: thread id, salt, filler."""


class SslRequestFirst(Framing):
    """Sends the SSLRequest ahead of the ClientHello: the server does not answer it, so nothing can be waited for."""

    def __init__(self, request: bytes) -> None:
        self._request = request

    def wrap(self, data: bytes) -> bytes:
        """Return the data, behind the SSLRequest if that was not sent yet."""
        request, self._request = self._request, b""
        return request + data

    def unwrap(self, data: bytes) -> bytes:
        """Return the data: TLS is not framed here."""
        return data


def mysql(_server_name: str | None) -> Dialogue:
    """The server's handshake, then SSLRequest with the ClientHello. Raises `Refused`, `OtherProtocol`."""
    sequence, payload = yield from _packet(Conversation())
    if payload[0] == _ERROR:
        raise Refused(_message(payload))
    if payload[0] != _HANDSHAKE_V10:
        raise OtherProtocol(payload)
    version, end, rest = payload[1:].partition(b"\0")
    if not end or len(rest) < _VERSION_END + 2:
        raise OtherProtocol(payload)
    (capabilities,) = struct.unpack_from("<H", rest, _VERSION_END)
    if not capabilities & _SSL:
        raise Refused(b"SSL is not offered by " + version)
    return SslRequestFirst(_ssl_request(sequence + 1))


def _packet(conversation: Conversation) -> Step[tuple[int, bytes]]:
    """Read a packet and return its sequence id and its payload. Raises `OtherProtocol`."""
    head = yield from conversation.exactly(5)
    length = int.from_bytes(head[:3], "little")
    if not 0 < length <= _LONGEST_PACKET or head[3] != 0 or head[4] not in {_ERROR, _HANDSHAKE_V10}:
        raise OtherProtocol(head)
    return head[3], head[4:] + (yield from conversation.exactly(length - 1))


def _message(payload: bytes) -> bytes:
    """Return what an ERR_Packet says, behind its code and, from protocol 4.1 on, an SQL state."""
    words = payload[3:]
    return words[6:] if words.startswith(b"#") else words


def _ssl_request(sequence: int) -> bytes:
    flags = _PROTOCOL_41 | _SSL | _SECURE_CONNECTION
    body = struct.pack("<IIB23x", flags, 2**24 - 1, _UTF8)
    return len(body).to_bytes(3, "little") + bytes([sequence]) + body
