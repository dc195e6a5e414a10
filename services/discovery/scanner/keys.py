"""The few secrets of TLS 1.3 that a look needs: enough to read the server's Certificate message (RFC 8446 §7.1).

Nothing we send is worth protecting, so our private key is the one that spares us the key exchange: one, or minus
one. Our share is then the point that every key pair of the curve begins with, and the shared secret is
the server's own share. What is encrypted for us is as open to everybody as it was in TLS 1.2.
"""

import hashlib
import hmac
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
        name, length = _SUITES[suite]
        handshake = hmac.digest(_derived(name), self.exchange(group, their_share), name)
        transcript = hashlib.new(name, client_hello + server_hello).digest()
        traffic = _expand(name, handshake, _label(b"s hs traffic", transcript, len(transcript)))
        key = _expand(name, traffic, _label(b"key", b"", length))[:length]
        iv = _expand(name, traffic, _label(b"iv", b"", 12))[:12]
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


@lru_cache
def _derived(name: str) -> bytes:
    """Return what every handshake without a pre-shared key begins with (RFC 8446 §7.1)."""
    empty = hashlib.new(name).digest()
    early = hmac.digest(bytes(len(empty)), bytes(len(empty)), name)
    return _expand(name, early, _label(b"derived", empty, len(empty)))


def _expand(name: str, secret: bytes, info: bytes) -> bytes:
    # One block of HKDF-Expand is enough: no length here exceeds the hash's.
    return hmac.digest(secret, info + b"\x01", name)


def _label(label: bytes, context: bytes, length: int) -> bytes:
    full = b"tls13 " + label
    return length.to_bytes(2, "big") + bytes([len(full)]) + full + bytes([len(context)]) + context
