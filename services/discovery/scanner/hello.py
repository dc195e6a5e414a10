"""The ClientHello, by hand: so that servers are seen that OpenSSL's defaults cannot talk to.

RFC 8446 §4.1.2 (TLS 1.3), RFC 5246 §7.4.1.2 (TLS 1.2), RFC 6101 §5.6.1.2 (SSL 3.0). Nothing here ends
a handshake: the server's first flight tells version, suite and certificates, and then the connection
is closed. So one random serves a whole scan, and a hello that was made once is sent to everybody.
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from services.discovery.scanner.keys import Keys
from services.discovery.scanner.numbers import COMMON_SUITES, GROUPS, SUITES_13, TLS10, TLS12, TLS13

CLASSIC_GROUPS = (0x001D, 0x0017, 0x0018, 0x0019, 0x001E)
ALL_GROUPS = tuple(GROUPS)

# Signature schemes (RFC 8446 §4.2.3), the old ones last: a server with only a SHA-1 chain answers too.
SCHEMES = tuple(
    int(number, 16)
    for number in [
        "0403",
        "0503",
        "0603",
        "0807",
        "0808",
        "0804",
        "0805",
        "0806",
        "0809",
        "080A",
        "080B",
        "081A",
        "081B",
        "081C",
        "0401",
        "0501",
        "0601",
        "0402",
        "0502",
        "0602",
        "0203",
        "0201",
        "0202",
        "0303",
        "0301",
        "0302",
    ]
)
SCHEMES_OF = {
    "rsa": tuple(scheme for scheme in SCHEMES if scheme & 0xFF == 1 or 0x0804 <= scheme <= 0x0806),  # noqa: PLR2004 - rsa_pss_rsae
    "ecdsa": tuple(scheme for scheme in SCHEMES if scheme & 0xFF == 3 or 0x081A <= scheme <= 0x081C),  # noqa: PLR2004 - brainpool
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Offer:
    """What one hello offers; each is the same as itself only, so that its hello is found again at once."""

    version: int = TLS12
    """The highest version up to TLS 1.2; TLS 1.3 is offered by `shares`."""
    suites: tuple[int, ...] = COMMON_SUITES
    groups: tuple[int, ...] = CLASSIC_GROUPS
    shares: tuple[int, ...] | None = None
    """Groups to send key shares of; none at all asks a TLS 1.3 server for a HelloRetryRequest, which it
    sends in clear (RFC 8446 §4.2.8). None leaves TLS 1.3 out."""
    versions_13: tuple[int, ...] = (TLS13, TLS12)
    schemes: tuple[int, ...] = SCHEMES
    alpn: tuple[str, ...] = ("h2", "http/1.1")
    with_extensions: bool = True
    compressions: bytes = b"\0"
    with_ticket: bool = False
    ticket: bytes = b""
    """What was handed out by the server before (RFC 5077 §3.2)."""
    session: bytes = b""
    """The session's id, where no TLS 1.3 is offered."""
    with_heartbeat: bool = False
    """We would answer heartbeats, and send some (RFC 6520 §2)."""


def only_13(*, shares: tuple[int, ...] = (), groups: tuple[int, ...] = ALL_GROUPS) -> Offer:
    """Return an offer of TLS 1.3 alone."""
    return Offer(suites=tuple(SUITES_13), groups=groups, shares=shares, versions_13=(TLS13,))


_u16 = struct.Struct(">H").pack
_RANDOM, _SESSION = os.urandom(32), os.urandom(32)


def client_hello(offer: Offer, *, server_name: str | None, keys: Keys) -> bytes:
    """Return one record with a ClientHello; `server_name` is ASCII."""
    legacy = min(offer.version, TLS12)
    extensions = _extensions(offer, server_name, keys) if offer.with_extensions else []
    body = b"".join(
        (
            _u16(legacy),
            _RANDOM,
            bytes([len(offer.session)]) + offer.session if offer.shares is None else b"\x20" + _SESSION,
            _numbers(offer.suites),
            bytes([len(offer.compressions)]) + offer.compressions,
            _vector(b"".join(extensions)) if extensions else b"",
        )
    )
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16" + _u16(min(legacy, TLS10)) + _vector(message)


def _extensions(offer: Offer, server_name: str | None, keys: Keys) -> list[bytes]:
    extensions = []
    if server_name:
        extensions.append(_extension(0, _vector(b"\0" + _vector(server_name.encode()))))
    extensions.append(_extension(0xFF01, b"\0"))
    if offer.groups:
        extensions += [_extension(10, _numbers(offer.groups)), _extension(11, b"\x01\0")]
    if offer.version >= TLS12:
        extensions.append(_extension(13, _numbers(offer.schemes)))
    if offer.alpn:
        names = b"".join(bytes([len(name)]) + name.encode() for name in offer.alpn)
        extensions.append(_extension(16, _vector(names)))
    extensions += [_extension(5, b"\x01\0\0\0\0"), _extension(18, b""), _extension(23, b"")]
    if offer.with_ticket:
        extensions.append(_extension(35, offer.ticket))
    if offer.with_heartbeat:
        extensions.append(_extension(15, b"\x01"))
    if offer.shares is not None:
        extensions += _offer_13(
            offer.versions_13, [(group, keys.share(group) or b"") for group in offer.shares]
        )
    return extensions


def _offer_13(versions: Sequence[int], shares: Sequence[tuple[int, bytes]]) -> list[bytes]:
    entries = b"".join(_u16(group) + _vector(key) for group, key in shares)
    numbers = b"".join(map(_u16, versions))
    return [
        _extension(43, bytes([len(numbers)]) + numbers),
        _extension(45, b"\x01\x01"),
        _extension(51, _vector(entries)),
    ]


def _extension(number: int, body: bytes) -> bytes:
    return _u16(number) + _vector(body)


def _numbers(numbers: Sequence[int]) -> bytes:
    return _vector(b"".join(map(_u16, numbers)))


def _vector(body: bytes) -> bytes:
    return _u16(len(body)) + body
