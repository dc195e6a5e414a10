"""A ClientHello of TLS 1.2, and the leaf in what a server answers: a look that ends no handshake, at a tenth of its cost.

Up to TLS 1.2 the certificates are sent in clear, right after the ServerHello (RFC 5246 §7.3). That the server has the
key as well is not seen so, nor what it shows to who speaks TLS 1.3: for that a handshake has to be made.
"""

import os
from collections.abc import Iterator

_ALERT, _HANDSHAKE, _WARNING = 21, 22, 1
_CERTIFICATE = 11
_RECORD, _MESSAGE = 5, 4
"""Bytes of the header of a record, and of a message in it (RFC 5246 §6.2.1, §7.4)."""
_MOST = 256 * 1024
# What OpenSSL offers, in its order: of a server with two certificates the same one is to be seen as in a handshake.
_SUITES = bytes.fromhex(
    "c02c c030 cca9 cca8 c02b c02f c024 c028 c023 c027 c00a c014 c009 c013 009d 009c 003d 003c 0035 002f"
)
_GROUPS = bytes.fromhex("001d 0017 001e 0019 0018")
_SCHEMES = bytes.fromhex(
    "0403 0503 0603 0807 0808 0809 080a 080b 0804 0805 0806 0401 0501 0601 0303 0301 0302 0402 0502 0602"
)


class NotShown(Exception):
    """The server does not show its certificate so: it speaks no TLS 1.2, or no TLS at all."""


def client_hello(server_name: str | None) -> bytes:
    """Return one record with a ClientHello (RFC 5246 §7.4.1.2); `server_name` is a host's name in ASCII."""
    extensions = b"".join(_extensions(server_name))
    body = b"\x03\x03" + os.urandom(32) + b"\0" + _vector(_SUITES) + b"\x01\0" + _vector(extensions)
    return b"\x16\x03\x01" + _vector(b"\x01" + len(body).to_bytes(3, "big") + body)


def _extensions(server_name: str | None) -> Iterator[bytes]:
    if server_name is not None:
        yield _extension(0, _vector(b"\0" + _vector(server_name.encode("ascii"))))
    yield _extension(0xFF01, b"\0")  # renegotiation, which some insist on (RFC 5746 §3.4)
    yield _extension(11, b"\x01\0") + _extension(10, _vector(_GROUPS))
    yield _extension(13, _vector(_SCHEMES))
    yield _extension(23, b"")  # the extended master secret (RFC 7627 §5.1)


def _extension(number: int, body: bytes) -> bytes:
    return number.to_bytes(2, "big") + _vector(body)


def _vector(body: bytes) -> bytes:
    return len(body).to_bytes(2, "big") + body


def leaf_in(answer: bytes) -> bytes | None:
    """Return the leaf as DER, or None where the answer has not come that far. Raises `NotShown`."""
    if len(answer) > _MOST:
        raise NotShown
    messages = b"".join(_fragments(answer))
    at = 0
    while len(messages) >= at + _MESSAGE:
        end = at + _MESSAGE + int.from_bytes(messages[at + 1 : at + _MESSAGE], "big")
        if len(messages) < end:
            break
        if messages[at] == _CERTIFICATE:
            return _first(messages[at + _MESSAGE : end])
        at = end
    return None


def _fragments(answer: bytes) -> Iterator[bytes]:
    """Yield what the whole records of an answer say of the handshake."""
    at = 0
    while len(answer) >= at + _RECORD:
        kind, end = answer[at], at + _RECORD + int.from_bytes(answer[at + 3 : at + _RECORD], "big")
        if kind not in (_ALERT, _HANDSHAKE):
            raise NotShown
        if len(answer) < end:
            return
        if kind == _HANDSHAKE:
            yield answer[at + _RECORD : end]
        elif answer[at + _RECORD : end][:1] != bytes(
            [_WARNING]
        ):  # it does not know the name, say, and goes on without
            raise NotShown
        at = end


def _first(certificates: bytes) -> bytes:
    """Return the first of the certificates in a message's body (RFC 5246 §7.4.2)."""
    length = int.from_bytes(certificates[3:6], "big")
    leaf = certificates[6 : 6 + length]
    if not length or len(leaf) < length:
        raise NotShown
    return leaf
