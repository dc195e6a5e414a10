"""The keys that spare us the key exchange: real ones all the same."""

import os

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.discovery.scanner.keys import Keys
from services.discovery.scanner.numbers import (
    P256,
    P256_MLKEM768,
    P384,
    P384_MLKEM1024,
    P521,
    X25519,
    X25519_MLKEM768,
)

ORDER = 2**252 + 27742317777372353535851937790883648493  # RFC 7748 §4.1
CURVES: dict[int, ec.EllipticCurve] = {P256: ec.SECP256R1(), P384: ec.SECP384R1(), P521: ec.SECP521R1()}


class Server:
    """The other side, which does all of the work."""

    def exchange_x25519(self, share: bytes) -> tuple[bytes, bytes]:
        private = x25519.X25519PrivateKey.generate()
        secret = private.exchange(x25519.X25519PublicKey.from_public_bytes(share))
        return private.public_key().public_bytes_raw(), secret

    def exchange_ec(self, curve: ec.EllipticCurve, share: bytes) -> tuple[bytes, bytes]:
        private = ec.generate_private_key(curve)
        secret = private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(curve, share))
        return private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint), secret

    def answer(self, group: int, share: bytes) -> tuple[bytes, bytes]:
        """Return its own share, and the secret."""
        if group == X25519:
            return self.exchange_x25519(share)
        if group in CURVES:
            return self.exchange_ec(CURVES[group], share)
        if group == X25519_MLKEM768:
            secret, ciphertext = mlkem.MLKEM768PublicKey.from_public_bytes(share[:1184]).encapsulate()
            public, classic = self.exchange_x25519(share[1184:])
            return ciphertext + public, secret + classic
        if group == P256_MLKEM768:
            public, classic = self.exchange_ec(CURVES[P256], share[:65])
            secret, ciphertext = mlkem.MLKEM768PublicKey.from_public_bytes(share[65:]).encapsulate()
        else:
            public, classic = self.exchange_ec(CURVES[P384], share[:97])
            secret, ciphertext = mlkem.MLKEM1024PublicKey.from_public_bytes(share[97:]).encapsulate()
        return public + ciphertext, classic + secret


@pytest.mark.parametrize(
    "group", [X25519, P256, P384, P521, X25519_MLKEM768, P256_MLKEM768, P384_MLKEM1024], ids=hex
)
def test_both_sides_come_to_the_same_secret(group: int) -> None:
    keys = Keys()
    share = keys.share(group)
    assert share is not None
    theirs, secret = Server().answer(group, share)
    assert keys.exchange(group, theirs) == secret


def test_our_share_of_x25519_is_that_of_a_private_key_which_leaves_every_other_share_as_it_is() -> None:
    private = x25519.X25519PrivateKey.from_private_bytes((5 * ORDER - 1).to_bytes(32, "little"))
    assert private.public_key().public_bytes_raw() == Keys().share(X25519)
    other = x25519.X25519PrivateKey.generate().public_key()
    assert private.exchange(other) == other.public_bytes_raw()


@pytest.mark.parametrize(("group", "length"), [(X25519, 32), (P256, 65), (P384, 97), (P521, 133)])
def test_a_share_that_is_none_is_refused(group: int, length: int) -> None:
    for share in (os.urandom(length - 1), os.urandom(length + 1), b""):
        with pytest.raises(ValueError, match="key share"):
            Keys().exchange(group, share)
    with pytest.raises(ValueError, match="zeros"):
        Keys().exchange(X25519, bytes(32))
