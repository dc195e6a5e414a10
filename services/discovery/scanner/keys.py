"""The few secrets of TLS 1.3 that a look needs: enough to read the server's Certificate message (RFC 8446 §7.1).

Nothing we send is worth protecting, so our private key is the one that spares us the key exchange: one, or minus
one. Our share is then the point that every key pair of the curve begins with, and the shared secret is
the server's own share. What is encrypted for us is as open to everybody as it was in TLS 1.2.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec, mlkem
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.discovery.scanner.numbers import (
    P256,
    P256_MLKEM768,
    P384,
    P384_MLKEM1024,
    P521,
    X25519,
    X25519_MLKEM768,
)

Cipher = AESGCM | AESCCM | ChaCha20Poly1305

_CURVES: dict[int, ec.EllipticCurve] = {P256: ec.SECP256R1(), P384: ec.SECP384R1(), P521: ec.SECP521R1()}
_POINTS = {P256: 65, P384: 97, P521: 133}
_X25519_BASE = (9).to_bytes(32, "little")
"""The share of a private key that stands for minus one: five times the order of the curve's base point, less one,
is what RFC 7748 §5 makes a key, and a point and its negative are the same share (§6.1)."""
_MLKEM768_CIPHERTEXT, _MLKEM1024_CIPHERTEXT = 1088, 1568  # FIPS 203, table 3
_SUITES = {
    0x1301: ("sha256", 16),
    0x1302: ("sha384", 32),
    0x1303: ("sha256", 32),
    0x1304: ("sha256", 16),
    0x1305: ("sha256", 16),
}
FIRST_OFFER = (X25519, P256)


@dataclass(slots=True)
class RecordKey:
    """Opens the server's handshake records, in their order (RFC 8446 §5.2)."""

    aead: Cipher
    iv: int
    sequence: int = 0

    def open(self, header: bytes, ciphertext: bytes) -> bytes:
        """Return the inner plaintext with its type as last byte. Raises `InvalidTag`."""
        nonce = (self.iv ^ self.sequence).to_bytes(12, "big")
        self.sequence += 1
        return self.aead.decrypt(nonce, ciphertext, header)


class Keys:
    """The keys of one scan; those of ML-KEM, which has none that is free, are made when they are first offered."""

    def __init__(self) -> None:
        self._mlkem768: mlkem.MLKEM768PrivateKey | None = None
        self._mlkem1024: mlkem.MLKEM1024PrivateKey | None = None

    def share(self, group: int) -> bytes | None:
        """Return our key share for a group, None for one we do not speak."""
        if group == X25519:
            return _X25519_BASE
        if group in _CURVES:
            return _base_point(group)
        # The hybrids' order is their name's (draft-ietf-tls-ecdhe-mlkem §4), but for X25519MLKEM768.
        if group == X25519_MLKEM768:
            return self._pair768().public_key().public_bytes_raw() + _X25519_BASE
        if group == P256_MLKEM768:
            return _base_point(P256) + self._pair768().public_key().public_bytes_raw()
        if group == P384_MLKEM1024:
            return _base_point(P384) + self._pair1024().public_key().public_bytes_raw()
        return None

    def record_key(
        self, *, suite: int, group: int, their_share: bytes, client_hello: bytes, server_hello: bytes
    ) -> RecordKey:
        """Derive the server's handshake traffic key. Raises `ValueError` or `KeyError` for nonsense."""
        schedule = _schedule(suite)
        key, iv = schedule.derive(self.exchange(group, their_share), client_hello + server_hello)
        return RecordKey(aead=_aead(suite, key), iv=int.from_bytes(iv, "big"))

    def _pair768(self) -> mlkem.MLKEM768PrivateKey:
        self._mlkem768 = self._mlkem768 or mlkem.MLKEM768PrivateKey.generate()
        return self._mlkem768

    def _pair1024(self) -> mlkem.MLKEM1024PrivateKey:
        self._mlkem1024 = self._mlkem1024 or mlkem.MLKEM1024PrivateKey.generate()
        return self._mlkem1024

    def exchange(self, group: int, theirs: bytes) -> bytes:
        """Return the shared secret. Raises `ValueError` where their share is none."""
        if group == X25519:
            if not any(theirs):
                raise ValueError("a key share of zeros")  # RFC 8446 §7.4.2
            return _of_length(theirs, len(_X25519_BASE))
        if group in _CURVES:
            length = _POINTS[group]
            return _of_length(theirs, length)[1 : 1 + length // 2]  # of a point, its first coordinate
        if group == X25519_MLKEM768:
            ciphertext, share = theirs[:_MLKEM768_CIPHERTEXT], theirs[_MLKEM768_CIPHERTEXT:]
            return self._pair768().decapsulate(ciphertext) + self.exchange(X25519, share)
        curve = {P256_MLKEM768: P256, P384_MLKEM1024: P384}[group]
        point, ciphertext = theirs[: _POINTS[curve]], theirs[_POINTS[curve] :]
        pair = self._pair768() if group == P256_MLKEM768 else self._pair1024()
        return self.exchange(curve, point) + pair.decapsulate(ciphertext)


def _of_length(share: bytes, length: int) -> bytes:
    if len(share) != length:
        raise ValueError(f"a key share of {len(share)} bytes")
    return share


@lru_cache
def _base_point(group: int) -> bytes:
    public = ec.derive_private_key(1, _CURVES[group]).public_key()
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _aead(suite: int, key: bytes) -> Cipher:
    if suite == 0x1303:  # noqa: PLR2004 - a number of the registry
        return ChaCha20Poly1305(key)
    if suite in (0x1304, 0x1305):
        return AESCCM(key, tag_length=16 if suite == 0x1304 else 8)  # noqa: PLR2004 - the same
    return AESGCM(key)


class _Schedule:
    """The way from a shared secret to a key, for a hash and a length of keys: all that is the same each time is kept."""

    def __init__(self, name: str, key_length: int) -> None:
        self._new = getattr(hashlib, name)
        self._length, self._block = self._new().digest_size, self._new().block_size
        self._key_length = key_length
        # What every handshake without a pre-shared key begins with.
        empty = self._new().digest()
        early = self._hmac(bytes(self._length), bytes(self._length))
        self._derived = self._hmac(early, _info("derived", self._length, empty))
        self._traffic_info = _info("s hs traffic", self._length, bytes(self._length))[: -self._length - 1]
        self._key_info, self._iv_info = _info("key", key_length), _info("iv", 12)

    def derive(self, secret: bytes, transcript: bytes) -> tuple[bytes, bytes]:
        """Return the key and the IV of what the server sends after these messages."""
        handshake = self._hmac(self._derived, secret)
        traffic = self._hmac(handshake, self._traffic_info + self._new(transcript).digest() + b"\x01")
        return self._hmac(traffic, self._key_info)[: self._key_length], self._hmac(traffic, self._iv_info)[
            :12
        ]

    def _hmac(self, key: bytes, message: bytes) -> bytes:
        """Do as RFC 2104 §2 says; the library spends more on looking up its HMAC than on the hashing."""
        block = key.ljust(self._block, b"\0")
        inner = self._new(block.translate(_INNER) + message).digest()
        digest: bytes = self._new(block.translate(_OUTER) + inner).digest()
        return digest


_INNER, _OUTER = (bytes(each ^ pad for each in range(256)) for pad in (0x36, 0x5C))


def _info(label: str, length: int, context: bytes = b"") -> bytes:
    """Return what HKDF-Expand-Label expands; one block is enough, since no length here exceeds the hash's."""
    full = b"tls13 " + label.encode()
    parts = (length.to_bytes(2, "big"), bytes([len(full)]), full, bytes([len(context)]), context, b"\x01")
    return b"".join(parts)


@lru_cache
def _schedule(suite: int) -> _Schedule:
    """Return the schedule of a suite. Raises `KeyError` for one that we do not know."""
    return _Schedule(*_SUITES[suite])
