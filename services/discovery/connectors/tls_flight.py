"""What a server says first: records to messages to certificates, without any input or output.

Feed it bytes; it stops at the Certificate message (TLS 1.3), at ServerHelloDone (before it), at a
HelloRetryRequest, at an alert, or where the bytes make no sense. Every length is checked and the whole flight is bounded, since the server
may be hostile.
"""

from collections.abc import Iterator

from cryptography.exceptions import InvalidTag

from services.discovery.connectors.tls_hello import SUITES, TLS13
from services.discovery.connectors.tls_keys import Keys, RecordKey

MOST_BYTES = 256 * 1024
MOST_CHAIN = 64 * 1024
MOST_CERTIFICATES = 32
_RECORD = 2**14 + 256
_HANDSHAKE, _ALERT, _APPLICATION, _CHANGE_CIPHER = 22, 21, 23, 20
_SERVER_HELLO, _ENCRYPTED_EXTENSIONS, _CERTIFICATE, _KEY_EXCHANGE, _HELLO_DONE = 2, 8, 11, 12, 14
_NAMED_CURVE = 3  # RFC 8422 §5.4
_VERSIONS_EXTENSION, _SHARE_EXTENSION, _ALPN_EXTENSION = 43, 51, 16
_UNRECOGNIZED_NAME, _WARNING = 112, 1
# The random of a ServerHello that is a HelloRetryRequest (RFC 8446 §4.1.3).
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


class Malformed(Exception):
    """The bytes are TLS, but broken or beyond our bounds."""


class NotTls(Exception):
    """The bytes are not TLS."""


class Flight:
    """The server's first flight, as far as it has come."""

    def __init__(self, client_hello: bytes, keys: Keys) -> None:
        self.version: int | None = None
        self.suite: int | None = None
        self.group: int | None = None
        self.alpn: str | None = None
        self.chain: tuple[bytes, ...] = ()
        self.alert: int | None = None
        self.is_retry = False
        """A HelloRetryRequest: `group` is the one the server wants."""
        self.is_done = False
        self._client_hello = client_hello[5:]
        self._keys = keys
        self._record_key: RecordKey | None = None
        self._share = b""
        self._buffer = b""
        self._messages = bytearray()
        self._taken = 0

    @property
    def has_heard(self) -> bool:
        """Return whether the server has said anything at all."""
        return self._taken > 0

    def feed(self, data: bytes) -> bool:
        """Take bytes; return whether there is nothing more to wait for. Raises `Malformed`, `NotTls`."""
        self._taken += len(data)
        if self._taken > MOST_BYTES:
            raise Malformed(f"more than {MOST_BYTES} bytes and no certificate")
        self._buffer += data
        try:
            for kind, header, fragment in self._records():
                self._record(kind, header, fragment)
                if self.is_done:
                    return True
        except (IndexError, ValueError, KeyError) as error:
            raise Malformed(f"lengths or values that make no sense ({error})") from error
        except InvalidTag as error:
            raise Malformed("a record that does not decrypt") from error
        return False

    def _records(self) -> Iterator[tuple[int, bytes, bytes]]:
        data, at = self._buffer, 0
        try:
            while at < len(data):
                if data[at] not in (_HANDSHAKE, _ALERT, _APPLICATION, _CHANGE_CIPHER):
                    raise NotTls
                if len(data) < at + 5:  # a record's header (RFC 8446 §5.1)
                    return
                if data[at + 1] != 3:  # noqa: PLR2004 - every version since SSL 3.0 begins with it
                    raise NotTls
                length = int.from_bytes(data[at + 3 : at + 5], "big")
                if length > _RECORD:
                    raise Malformed("a record that is too long")
                if len(data) < at + 5 + length:
                    return
                begin, at = at, at + 5 + length
                yield data[begin], data[begin : begin + 5], data[begin + 5 : at]
        finally:
            self._buffer = data[at:]

    def _record(self, kind: int, header: bytes, fragment: bytes) -> None:
        if kind == _APPLICATION and self._record_key is not None:
            inner = self._record_key.open(header, fragment).rstrip(b"\0")
            kind, fragment = inner[-1], inner[:-1]
        if kind == _ALERT:
            self._alert(fragment)
        elif kind == _HANDSHAKE:
            self._messages += fragment
            self._take_messages()

    def _take_messages(self) -> None:
        at, there = 0, len(self._messages)
        while not self.is_done and there >= at + 4:
            end = at + 4 + int.from_bytes(self._messages[at + 1 : at + 4], "big")
            if there < end:
                break
            whole = bytes(self._messages[at:end])
            at = end
            self._message(whole[0], whole[4:], whole)
        del self._messages[:at]

    def _alert(self, fragment: bytes) -> None:
        level, number = fragment[0], fragment[1]
        if level == _WARNING and number == _UNRECOGNIZED_NAME:
            return  # the handshake goes on, with the default certificate
        self.alert = number
        self.is_done = True

    def _message(self, kind: int, body: bytes, whole: bytes) -> None:
        if kind == _SERVER_HELLO:
            self._server_hello(body, whole)
        elif kind == _ENCRYPTED_EXTENSIONS:
            self._extensions(body)
        elif kind == _CERTIFICATE:
            self.chain = tuple(_certificates(body, is_13=self.version == TLS13))
            self.is_done = self.version == TLS13
        elif kind == _KEY_EXCHANGE and self.version != TLS13:
            self._key_exchange(body)
        elif kind == _HELLO_DONE:
            self.is_done = True

    def _server_hello(self, body: bytes, whole: bytes) -> None:
        self.version = int.from_bytes(body[:2], "big")
        random, session = body[2:34], body[34]
        start = 35 + session
        self.suite = int.from_bytes(body[start : start + 2], "big")
        if len(body) > start + 3:
            self._extensions(body[start + 3 :])
        if random == _RETRY:
            self.is_retry = self.is_done = True
        elif self.version == TLS13:
            if self.group is None or not self._share:
                raise Malformed("a TLS 1.3 ServerHello without a key share")
            self._record_key = self._keys.record_key(
                suite=self.suite,
                group=self.group,
                their_share=self._share,
                client_hello=self._client_hello,
                server_hello=whole,
            )

    def _key_exchange(self, body: bytes) -> None:
        if "ECDHE" in SUITES.get(self.suite or 0, "") and body[0] == _NAMED_CURVE:
            self.group = int.from_bytes(body[1:3], "big")

    def _extensions(self, block: bytes) -> None:
        block = _take(block, 0, 2)[0]
        at = 0
        while at < len(block):
            number = int.from_bytes(block[at : at + 2], "big")
            body, at = _take(block, at + 2, 2)
            if number == _VERSIONS_EXTENSION:
                self.version = int.from_bytes(body, "big")
            elif number == _SHARE_EXTENSION:
                self.group = int.from_bytes(body[:2], "big")
                self._share = body[4:]
            elif number == _ALPN_EXTENSION:
                self.alpn = body[3 : 3 + body[2]].decode("ascii", "replace")


def _certificates(body: bytes, *, is_13: bool) -> Iterator[bytes]:
    start = 1 + body[0] if is_13 else 0
    entries, _ = _take(body, start, 3)
    if len(entries) > MOST_CHAIN:
        raise Malformed(f"a certificate chain of {len(entries)} bytes")
    at = number = 0
    while at < len(entries):
        certificate, at = _take(entries, at, 3)
        if is_13:
            _, at = _take(entries, at, 2)
        number += 1
        if number > MOST_CERTIFICATES:
            raise Malformed(f"more than {MOST_CERTIFICATES} certificates in a chain")
        yield certificate


def _take(data: bytes, at: int, width: int) -> tuple[bytes, int]:
    """Return a vector with a length of `width` bytes before it, and where it ends."""
    length = int.from_bytes(data[at : at + width], "big")
    end = at + width + length
    if end > len(data):
        raise Malformed("a length that reaches beyond its message")
    return data[at + width : end], end
