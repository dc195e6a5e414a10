"""The ClientHello, by hand: so that servers are seen that OpenSSL's defaults cannot talk to.

RFC 8446 §4.1.2 (TLS 1.3) and RFC 5246 §7.4.1.2 (TLS 1.2). Nothing here ends a handshake: the
server's first flight tells version, suite and certificates, and then the connection is closed.
"""

import os
import struct
from collections.abc import Sequence

TLS10, TLS12, TLS13 = 0x0301, 0x0303, 0x0304
VERSIONS = {0x0300: "SSLv3", TLS10: "TLSv1", 0x0302: "TLSv1.1", TLS12: "TLSv1.2", TLS13: "TLSv1.3"}

X25519, P256, P384, P521 = 0x001D, 0x0017, 0x0018, 0x0019
GROUPS = {
    X25519: "X25519",
    P256: "secp256r1",
    P384: "secp384r1",
    P521: "secp521r1",
    0x001E: "X448",
    0x11EC: "X25519MLKEM768",
    0x11EB: "SecP256r1MLKEM768",
    0x11ED: "SecP384r1MLKEM1024",
}

SUITES_13 = {
    0x1301: "TLS_AES_128_GCM_SHA256",
    0x1302: "TLS_AES_256_GCM_SHA384",
    0x1303: "TLS_CHACHA20_POLY1305_SHA256",
}
SUITES_12 = {
    0xC02B: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    0xC02F: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    0xC02C: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    0xC030: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    0xCCA9: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    0xCCA8: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    0x009E: "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
    0x009F: "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
    0xCCAA: "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    0xC023: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    0xC027: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    0xC024: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
    0xC028: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
    0xC009: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    0xC013: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    0xC00A: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    0xC014: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    0x0067: "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256",
    0x006B: "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256",
    0x0033: "TLS_DHE_RSA_WITH_AES_128_CBC_SHA",
    0x0039: "TLS_DHE_RSA_WITH_AES_256_CBC_SHA",
    0x009C: "TLS_RSA_WITH_AES_128_GCM_SHA256",
    0x009D: "TLS_RSA_WITH_AES_256_GCM_SHA384",
    0x003C: "TLS_RSA_WITH_AES_128_CBC_SHA256",
    0x003D: "TLS_RSA_WITH_AES_256_CBC_SHA256",
    0x002F: "TLS_RSA_WITH_AES_128_CBC_SHA",
    0x0035: "TLS_RSA_WITH_AES_256_CBC_SHA",
    0x0041: "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA",
    0x0084: "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA",
    0xC008: "TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA",
    0xC012: "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    0x0016: "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA",
    0x000A: "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    0x0005: "TLS_RSA_WITH_RC4_128_SHA",
    0x0004: "TLS_RSA_WITH_RC4_128_MD5",
}
SUITES = SUITES_13 | SUITES_12

# Signature schemes (RFC 8446 §4.2.3), the old ones last: a server with only a SHA-1 chain answers too.
_SCHEMES = bytes.fromhex(
    "0403 0503 0603 0807 0808 0804 0805 0806 0809 080a 080b 0401 0501 0601 0203 0201 0202"
)

_u16 = struct.Struct(">H").pack


def client_hello(
    *,
    server_name: str | None,
    shares: Sequence[tuple[int, bytes]] = (),
    groups: Sequence[int] = (X25519, P256, P384, P521),
    with_alpn: bool = True,
) -> bytes:
    """Return one record with a ClientHello.

    `shares` are the key shares for TLS 1.3; without any, 1.2 is the highest version offered.
    `server_name` is ASCII.
    """
    offers_13 = bool(shares)
    suites = [*(SUITES_13 if offers_13 else ()), *SUITES_12]
    extensions = [
        *([_server_name(server_name)] if server_name else []),
        _extension(0xFF01, b"\0"),
        _extension(10, _vector(b"".join(map(_u16, groups)))),
        _extension(11, b"\x01\0"),
        _extension(13, _vector(_SCHEMES)),
        *([_extension(16, _vector(b"\x02h2\x08http/1.1"))] if with_alpn else []),
        _extension(23, b""),
        *(_offer_13(shares) if offers_13 else []),
    ]
    session = b"\x20" + os.urandom(32) if offers_13 else b"\0"
    body = b"".join(
        (
            _u16(TLS12),
            os.urandom(32),
            session,
            _vector(b"".join(map(_u16, suites))),
            b"\x01\0",
            _vector(b"".join(extensions)),
        )
    )
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16" + _u16(TLS10) + _vector(message)


def _server_name(name: str) -> bytes:
    return _extension(0, _vector(b"\0" + _vector(name.encode())))


def _offer_13(shares: Sequence[tuple[int, bytes]]) -> list[bytes]:
    entries = b"".join(_u16(group) + _vector(key) for group, key in shares)
    return [
        _extension(43, b"\x04" + _u16(TLS13) + _u16(TLS12)),
        _extension(45, b"\x01\x01"),
        _extension(51, _vector(entries)),
    ]


def _extension(number: int, body: bytes) -> bytes:
    return _u16(number) + _vector(body)


def _vector(body: bytes) -> bytes:
    return _u16(len(body)) + body
