"""What a server says first: records to messages to certificates, without any input or output.

Feed it bytes; it stops at the Certificate message (TLS 1.3), at ServerHelloDone (before it), at a
HelloRetryRequest, at an alert, or where the bytes make no sense. Every length is checked and the
whole flight is bounded, since the server may be hostile.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar

from cryptography.exceptions import InvalidTag

from services.discovery.scanner.keys import Keys, RecordKey
from services.discovery.scanner.numbers import SUITES_12, TLS12, TLS13

MOST_BYTES = 256 * 1024
MOST_CHAIN = 64 * 1024
MOST_CERTIFICATES = 32
MOST_SAID = 512
"""Bytes kept of an answer that is not TLS: enough to tell what it is."""
_RECORD = 2**14 + 256
_CHANGE_CIPHER, _ALERT, _HANDSHAKE, _APPLICATION = 20, 21, 22, 23
_CLIENT_HELLO, _SERVER_HELLO, _ENCRYPTED_EXTENSIONS, _CERTIFICATE = 1, 2, 8, 11
_KEY_EXCHANGE, _CERTIFICATE_REQUEST, _HELLO_DONE, _STATUS = 12, 13, 14, 22
_NAMED_CURVE = 3  # RFC 8422 §5.4
_STATUS_EXTENSION, _HEARTBEAT_EXTENSION, _ALPN_EXTENSION, _TICKET_EXTENSION = 5, 15, 16, 35
_VERSIONS_EXTENSION, _SHARE_EXTENSION, _RENEGOTIATION_EXTENSION = 43, 51, 0xFF01
_UNRECOGNIZED_NAME, _WARNING = 112, 1
# The random of a ServerHello that is a HelloRetryRequest (RFC 8446 §4.1.3).
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
_DOWNGRADE = b"DOWNGRD"
_ECDHE = frozenset(number for number, name in SUITES_12.items() if "_ECDHE_" in name)
_DHE = frozenset(number for number, name in SUITES_12.items() if "_DHE_" in name)


class Malformed(Exception):
    """The bytes are TLS, but broken or beyond our bounds."""


class NotTls(Exception):
    """The bytes are not TLS; `said` is how they begin."""

    def __init__(self, said: bytes) -> None:
        super().__init__()
        self.said = said[:MOST_SAID]


class Flight:
    """The server's first flight, as far as it has come."""

    __slots__ = (
        "_buffer",
        "_client_hello",
        "_keys",
        "_messages",
        "_record_key",
        "_share",
        "_taken",
        "alert",
        "alpn",
        "chain",
        "compression",
        "dh_bits",
        "group",
        "has_heartbeat",
        "has_session_id",
        "has_ticket",
        "is_done",
        "is_retry",
        "is_stapled",
        "renegotiates_securely",
        "sentinel",
        "suite",
        "version",
        "wants_client_certificate",
    )

    def __init__(self, client_hello: bytes, keys: Keys) -> None:
        self.version: int | None = None
        self.suite: int | None = None
        self.group: int | None = None
        self.alpn: str | None = None
        self.chain: tuple[bytes, ...] = ()
        self.alert: int | None = None
        self.is_retry = False
        """A HelloRetryRequest: `group` is the one the server wants."""
        self.sentinel: int | None = None
        """The version that the server could speak, by its own word (RFC 8446 §4.1.3): TLS13, or TLS12 at least."""
        self.is_stapled = self.wants_client_certificate = False
        self.has_session_id = self.has_ticket = self.has_heartbeat = self.renegotiates_securely = False
        self.dh_bits: int | None = None
        self.compression = 0
        self.is_done = False
        self._client_hello = client_hello
        self._keys = keys
        self._record_key: RecordKey | None = None
        self._share = b""
        self._buffer = b""
        self._messages = b""
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
        if self._buffer:
            data = self._buffer + data
        try:
            return self._records(data)
        except (IndexError, ValueError, KeyError) as error:
            raise Malformed(f"lengths or values that make no sense ({error})") from error
        except InvalidTag as error:
            raise Malformed("a record that does not decrypt") from error

    def _records(self, data: bytes) -> bool:
        at, there = 0, len(data)
        while at < there:
            kind = data[at]
            if not _CHANGE_CIPHER <= kind <= _APPLICATION:
                raise NotTls(data[at:])
            if there < at + 5:  # a record's header (RFC 8446 §5.1)
                break
            if data[at + 1] != 3:  # noqa: PLR2004 - every version since SSL 3.0 begins with it
                raise NotTls(data[at:])
            end = at + 5 + (data[at + 3] << 8 | data[at + 4])
            if end - at > _RECORD + 5:
                raise Malformed("a record that is too long")
            if there < end:
                break
            self._record(kind, data[at : at + 5], data[at + 5 : end])
            if self.is_done:
                return True
            at = end
        self._buffer = data[at:]
        return False

    def _record(self, kind: int, header: bytes, fragment: bytes) -> None:
        if kind == _APPLICATION and self._record_key is not None:
            inner = self._record_key.open(header, fragment).rstrip(b"\0")
            kind, fragment = inner[-1], inner[:-1]
        if not fragment and kind != _APPLICATION:
            raise Malformed("an empty record")  # RFC 5246 §6.2.1, RFC 8446 §5.1: there is none
        if kind == _HANDSHAKE:
            self._take_messages(self._messages + fragment if self._messages else fragment)
        elif kind == _ALERT:
            self._alert(fragment)

    def _take_messages(self, data: bytes) -> None:
        at, there = 0, len(data)
        while there >= at + 4:
            end = at + 4 + (data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3])
            if there < end:
                if end - at > MOST_BYTES:
                    raise Malformed(f"a message of {end - at} bytes")
                break
            take = self._TAKE.get(data[at])
            if take is not None:
                take(self, data[at:end])
                if self.is_done:
                    return
            at = end
        self._messages = data[at:]

    def _alert(self, fragment: bytes) -> None:
        level, number = fragment[0], fragment[1]
        if level == _WARNING and number == _UNRECOGNIZED_NAME:
            return  # the handshake goes on, with the default certificate
        self.alert = number
        self.is_done = True

    def _client_hello_back(self, _whole: bytes) -> None:
        raise Malformed("a ClientHello, as we had sent one")

    def _certificate(self, whole: bytes) -> None:
        self.chain = self._certificates(whole)
        self.is_done = self.version == TLS13

    def _hello_done(self, _whole: bytes) -> None:
        self.is_done = True

    def _encrypted_extensions(self, whole: bytes) -> None:
        self._extensions(whole, 4)

    def _certificate_request(self, _whole: bytes) -> None:
        self.wants_client_certificate = True

    def _status(self, _whole: bytes) -> None:
        self.is_stapled = True

    def _server_hello(self, whole: bytes) -> None:
        self.version = whole[4] << 8 | whole[5]
        random, session = whole[6:38], whole[38]
        start = 39 + session
        self.has_session_id = session > 0
        self.suite = whole[start] << 8 | whole[start + 1]
        self.compression = whole[start + 2]
        if len(whole) > start + 3:
            self._extensions(whole, start + 3)
        if random == _RETRY:
            self.is_retry = self.is_done = True
        elif self.version == TLS13:
            self._read_on_encrypted(whole)
        elif random[24:31] == _DOWNGRADE:
            self.sentinel = TLS13 if random[31] == 1 else TLS12

    def _read_on_encrypted(self, server_hello: bytes) -> None:
        if self.group is None or not self._share:
            raise Malformed("a TLS 1.3 ServerHello without a key share")
        self._record_key = self._keys.record_key(
            suite=self.suite or 0,
            group=self.group,
            their_share=self._share,
            client_hello=self._client_hello[5:],
            server_hello=server_hello,
        )

    def _key_exchange(self, whole: bytes) -> None:
        """Read the group of ECDHE (RFC 8422 §5.4), or how long the prime of DHE is (RFC 5246 §7.4.3)."""
        if self.suite in _ECDHE:
            self.group = whole[5] << 8 | whole[6] if whole[4] == _NAMED_CURVE else None
        elif self.suite in _DHE:
            length = whole[4] << 8 | whole[5]
            self.dh_bits = int.from_bytes(whole[6 : 6 + length], "big").bit_length()

    def _extensions(self, data: bytes, at: int) -> None:
        end = at + 2 + (data[at] << 8 | data[at + 1])
        if end > len(data):
            raise Malformed("a length that reaches beyond its message")
        at += 2
        while at < end:
            number, length = data[at] << 8 | data[at + 1], data[at + 2] << 8 | data[at + 3]
            at += 4
            if at + length > end:
                raise Malformed("a length that reaches beyond its message")
            self._extension(number, data, at, length)
            at += length

    def _extension(self, number: int, data: bytes, at: int, length: int) -> None:
        if number == _VERSIONS_EXTENSION:
            self.version = data[at] << 8 | data[at + 1]
        elif number == _SHARE_EXTENSION:
            self.group = data[at] << 8 | data[at + 1]
            self._share = data[at + 4 : at + length]
        elif number == _ALPN_EXTENSION:
            self.alpn = data[at + 3 : at + 3 + data[at + 2]].decode("ascii", "replace")
        elif number == _RENEGOTIATION_EXTENSION:
            self.renegotiates_securely = True
        elif number == _TICKET_EXTENSION:
            self.has_ticket = True
        elif number == _HEARTBEAT_EXTENSION:
            self.has_heartbeat = True

    def _certificates(self, whole: bytes) -> tuple[bytes, ...]:
        is_13 = self.version == TLS13
        at = 4 + (1 + whole[4] if is_13 else 0)
        end = at + 3 + int.from_bytes(whole[at : at + 3], "big")
        if end > len(whole):
            raise Malformed("a length that reaches beyond its message")
        if end - at > MOST_CHAIN:
            raise Malformed(f"a certificate chain of {end - at} bytes")
        at += 3
        chain: list[bytes] = []
        while at < end:
            begin = at + 3
            at = begin + (whole[at] << 16 | whole[at + 1] << 8 | whole[at + 2])
            if at > end:
                raise Malformed("a length that reaches beyond its message")
            chain.append(whole[begin:at])
            if len(chain) > MOST_CERTIFICATES:
                raise Malformed(f"more than {MOST_CERTIFICATES} certificates in a chain")
            if is_13:
                at = self._after_entry(whole, at, end, is_leaf=len(chain) == 1)
        return tuple(chain)

    def _after_entry(self, whole: bytes, at: int, end: int, *, is_leaf: bool) -> int:
        """Return where the next certificate begins, behind this one's extensions (RFC 8446 §4.4.2)."""
        after = at + 2 + (whole[at] << 8 | whole[at + 1])
        if after > end:
            raise Malformed("a length that reaches beyond its message")
        if is_leaf:
            self.is_stapled = self._has_status(whole[at + 2 : after])
        return after

    def _has_status(self, extensions: bytes) -> bool:
        at = 0
        while at + 4 <= len(extensions):
            if extensions[at] << 8 | extensions[at + 1] == _STATUS_EXTENSION:
                return True
            at += 4 + (extensions[at + 2] << 8 | extensions[at + 3])
        return False

    _TAKE: ClassVar[Mapping[int, Callable[["Flight", bytes], None]]] = {
        _CLIENT_HELLO: _client_hello_back,
        _SERVER_HELLO: _server_hello,
        _CERTIFICATE: _certificate,
        _KEY_EXCHANGE: _key_exchange,
        _HELLO_DONE: _hello_done,
        _ENCRYPTED_EXTENSIONS: _encrypted_extensions,
        _CERTIFICATE_REQUEST: _certificate_request,
        _STATUS: _status,
    }
    """What is done with each kind of message; the others tell nothing that we want to know."""
