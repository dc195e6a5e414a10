"""SSL 2.0 (draft-hickman-netscape-ssl-00): its hello, and its server's, which shows the certificate in clear.

Nobody may speak it any more (RFC 6176); who still does must be found.
"""

from services.discovery.scanner.flight import Malformed, NotTls
from services.discovery.scanner.numbers import SUITES_SSL2

_SERVER_HELLO, _ERROR = 4, 0
_X509 = 1
_FIXED = 11
"""Bytes of a hello before the certificate."""
_HEADER = 2 + _FIXED
"""Bytes of a SERVER-HELLO with its record's header before what has a length."""


def ssl2_hello() -> bytes:
    """Return a CLIENT-HELLO that offers every cipher there was."""
    kinds = b"".join(number.to_bytes(3, "big") for number in SUITES_SSL2)
    body = b"\x01\x00\x02" + len(kinds).to_bytes(2, "big") + b"\x00\x00" + b"\x00\x10" + kinds + bytes(16)
    return (0x8000 | len(body)).to_bytes(2, "big") + body


class Ssl2Flight:
    """The server's hello, as far as it has come."""

    def __init__(self) -> None:
        self.chain: tuple[bytes, ...] = ()
        self.suites: tuple[str, ...] = ()
        self._buffer = b""

    @property
    def has_heard(self) -> bool:
        """Return whether the server has said anything at all."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> bool:
        """Take bytes; return whether the hello is complete. Raises `Malformed`, `NotTls`."""
        self._buffer += data
        if not self._buffer[0] & 0x80:
            raise NotTls(self._buffer)
        if len(self._buffer) < _HEADER:
            return False
        if self._buffer[2] != _SERVER_HELLO:
            raise NotTls(self._buffer)
        length = int.from_bytes(self._buffer[:2], "big") & 0x7FFF
        if len(self._buffer) < 2 + length:
            return False
        self._read(self._buffer[2 : 2 + length])
        return True

    def _read(self, body: bytes) -> None:
        if len(body) < _FIXED:
            raise Malformed("a hello that is cut short")
        kind, certificate = body[2], int.from_bytes(body[5:7], "big")
        specs = int.from_bytes(body[7:9], "big")
        if _FIXED + certificate + specs > len(body):
            raise Malformed("a length that reaches beyond its message")
        if kind == _X509 and certificate:
            self.chain = (body[_FIXED : _FIXED + certificate],)
        numbers = body[_FIXED + certificate : _FIXED + certificate + specs]
        found = (SUITES_SSL2.get(int.from_bytes(numbers[at : at + 3], "big")) for at in range(0, specs, 3))
        self.suites = tuple(name for name in found if name)
