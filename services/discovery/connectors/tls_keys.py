"""The few secrets of TLS 1.3 that a look needs: enough to read the server's Certificate message.

One key pair per group serves a whole scan: nothing we send is worth protecting, and making a pair
per connection would cost more than the look itself. RFC 8446 §7.1.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.discovery.connectors.tls_hello import P256, P384, P521, X25519

_CURVES: dict[int, ec.EllipticCurve] = {P256: ec.SECP256R1(), P384: ec.SECP384R1(), P521: ec.SECP521R1()}
_SUITES: dict[int, tuple[str, int, type[AESGCM] | type[ChaCha20Poly1305]]] = {
    0x1301: ("sha256", 16, AESGCM),
    0x1302: ("sha384", 32, AESGCM),
    0x1303: ("sha256", 32, ChaCha20Poly1305),
}
FIRST_OFFER = (X25519, P256)


@dataclass
class RecordKey:
    """Opens the server's handshake records, in their order (RFC 8446 §5.2)."""

    aead: AESGCM | ChaCha20Poly1305
    iv: int
    sequence: int = 0

    def open(self, header: bytes, ciphertext: bytes) -> bytes:
        """Return the inner plaintext with its type as last byte. Raises `InvalidTag`."""
        nonce = (self.iv ^ self.sequence).to_bytes(12, "big")
        self.sequence += 1
        return self.aead.decrypt(nonce, ciphertext, header)


class Keys:
    """The key pairs of one scan."""

    def __init__(self) -> None:
        self._x25519 = x25519.X25519PrivateKey.generate()
        self._ec: dict[int, ec.EllipticCurvePrivateKey] = {}

    def share(self, group: int) -> bytes | None:
        """Return our key share for a group, None for one we do not speak."""
        if group == X25519:
            return self._x25519.public_key().public_bytes_raw()
        if group not in _CURVES:
            return None
        public = self._private(group).public_key()
        return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def record_key(
        self, *, suite: int, group: int, their_share: bytes, client_hello: bytes, server_hello: bytes
    ) -> RecordKey:
        """Derive the server's handshake traffic key. Raises `ValueError` or `KeyError` for nonsense."""
        name, length, aead = _SUITES[suite]
        size = hashlib.new(name).digest_size
        expand = _expander(name)
        early = hmac.digest(bytes(size), bytes(size), name)
        derived = expand(early, b"derived", hashlib.new(name).digest(), size)
        handshake = hmac.digest(derived, self._exchange(group, their_share), name)
        transcript = hashlib.new(name, client_hello + server_hello).digest()
        traffic = expand(handshake, b"s hs traffic", transcript, size)
        return RecordKey(
            aead=aead(expand(traffic, b"key", b"", length)),
            iv=int.from_bytes(expand(traffic, b"iv", b"", 12), "big"),
        )

    def _private(self, group: int) -> ec.EllipticCurvePrivateKey:
        if group not in self._ec:
            self._ec[group] = ec.generate_private_key(_CURVES[group])
        return self._ec[group]

    def _exchange(self, group: int, theirs: bytes) -> bytes:
        if group == X25519:
            return self._x25519.exchange(x25519.X25519PublicKey.from_public_bytes(theirs))
        public = ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[group], theirs)
        return self._private(group).exchange(ec.ECDH(), public)


def _expander(name: str) -> Callable[[bytes, bytes, bytes, int], bytes]:
    def expand(secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
        full = b"tls13 " + label
        info = length.to_bytes(2, "big") + bytes([len(full)]) + full + bytes([len(context)]) + context
        # One block of HKDF-Expand is enough: no length here exceeds the hash's.
        return hmac.digest(secret, info + b"\x01", name)[:length]

    return expand
