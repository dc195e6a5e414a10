"""The few secrets of TLS 1.3 that a look needs: enough to read the server's Certificate message.

One key pair per group serves a whole scan: nothing we send is worth protecting, and making a pair
per connection would cost more than the look itself. RFC 8446 §7.1.
"""

import hashlib
import hmac
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
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
_POINTS = {P256: 65, P384: 97}
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
    """The key pairs of one scan, each made when it is first offered."""

    def __init__(self) -> None:
        self._x25519 = x25519.X25519PrivateKey.generate()
        self._ec: dict[int, ec.EllipticCurvePrivateKey] = {}
        self._mlkem768: mlkem.MLKEM768PrivateKey | None = None
        self._mlkem1024: mlkem.MLKEM1024PrivateKey | None = None

    def share(self, group: int) -> bytes | None:
        """Return our key share for a group, None for one we do not speak."""
        if group == X25519:
            return self._x25519.public_key().public_bytes_raw()
        if group in _CURVES:
            return self._point(group)
        # The hybrids' order is their name's (draft-ietf-tls-ecdhe-mlkem §4), but for X25519MLKEM768.
        if group == X25519_MLKEM768:
            return self._pair768().public_key().public_bytes_raw() + (self.share(X25519) or b"")
        if group == P256_MLKEM768:
            return self._point(P256) + self._pair768().public_key().public_bytes_raw()
        if group == P384_MLKEM1024:
            return self._point(P384) + self._pair1024().public_key().public_bytes_raw()
        return None

    def record_key(
        self, *, suite: int, group: int, their_share: bytes, client_hello: bytes, server_hello: bytes
    ) -> RecordKey:
        """Derive the server's handshake traffic key. Raises `ValueError` or `KeyError` for nonsense."""
        name, length = _SUITES[suite]
        handshake = hmac.digest(_derived(name), self._exchange(group, their_share), name)
        transcript = hashlib.new(name, client_hello + server_hello).digest()
        traffic = _expand(name, handshake, _label(b"s hs traffic", transcript, len(transcript)))
        key = _expand(name, traffic, _label(b"key", b"", length))[:length]
        iv = _expand(name, traffic, _label(b"iv", b"", 12))[:12]
        return RecordKey(aead=_aead(suite, key), iv=int.from_bytes(iv, "big"))

    def _point(self, group: int) -> bytes:
        public = self._private(group).public_key()
        return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def _private(self, group: int) -> ec.EllipticCurvePrivateKey:
        if group not in self._ec:
            self._ec[group] = ec.generate_private_key(_CURVES[group])
        return self._ec[group]

    def _pair768(self) -> mlkem.MLKEM768PrivateKey:
        self._mlkem768 = self._mlkem768 or mlkem.MLKEM768PrivateKey.generate()
        return self._mlkem768

    def _pair1024(self) -> mlkem.MLKEM1024PrivateKey:
        self._mlkem1024 = self._mlkem1024 or mlkem.MLKEM1024PrivateKey.generate()
        return self._mlkem1024

    def _exchange(self, group: int, theirs: bytes) -> bytes:
        if group == X25519:
            return self._x25519.exchange(x25519.X25519PublicKey.from_public_bytes(theirs))
        if group in _CURVES:
            public = ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[group], theirs)
            return self._private(group).exchange(ec.ECDH(), public)
        if group == X25519_MLKEM768:
            ciphertext, share = theirs[:_MLKEM768_CIPHERTEXT], theirs[_MLKEM768_CIPHERTEXT:]
            return self._pair768().decapsulate(ciphertext) + self._exchange(X25519, share)
        curve = {P256_MLKEM768: P256, P384_MLKEM1024: P384}[group]
        point, ciphertext = theirs[: _POINTS[curve]], theirs[_POINTS[curve] :]
        pair = self._pair768() if group == P256_MLKEM768 else self._pair1024()
        return self._exchange(curve, point) + pair.decapsulate(ciphertext)


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
