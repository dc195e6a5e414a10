"""Handshakes that OpenSSL finishes, over the engine's connections: for what is said only behind one.

Nothing is verified: it is looked at who is there, nothing of ours is told, and the certificate is judged elsewhere.
"""

import ssl
from functools import lru_cache

from services.discovery.scanner.talk import Conversation

_LEGACY_SERVER = 0x4
"""OpenSSL's SSL_OP_LEGACY_SERVER_CONNECT, which Python names since 3.12: who lacks RFC 5746 is looked at too."""


class Secured:
    """One side of a TLS connection in memory; what it yields and is sent are records."""

    def __init__(self, server_name: str | None, *, only_12: bool = False) -> None:
        self._came, self._going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = _context(only_12=only_12).wrap_bio(self._came, self._going, server_hostname=server_name)

    def handshake(self) -> Conversation[bytes]:
        """Shake hands, and return every record that the server has sent so far. Raises `ssl.SSLError`."""
        heard = b""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                data = yield self._going.read()
                self._came.write(data)
                heard += data
            else:
                return heard

    def ask(self, words: bytes, *, until: bytes, most: int) -> Conversation[bytes]:
        """Say something, and return the answer up to a mark, or as far as it goes. Raises `ssl.SSLError`."""
        self._tls.write(words)
        answer = b""
        while until not in answer and len(answer) < most:
            try:
                part = self._tls.read(4096)
            except ssl.SSLWantReadError:
                self._came.write((yield self._going.read()))
                continue
            if not part:
                break
            answer += part
        return answer[:most]


@lru_cache
def _context(*, only_12: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    if only_12:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.options |= _LEGACY_SERVER
    context.set_alpn_protocols(["http/1.1"])
    return context
