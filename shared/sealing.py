"""Secrets at rest and on the way: envelope encryption, and HPKE to a receiver's public key.

At rest every secret gets a data key of its own, used once (AES-256-GCM, NIST SP 800-38D), bound to
its row by associated data, and wrapped by a key-encryption key (AES key wrap, RFC 3394). A
ciphertext copied to another row does not open. On the way a secret is encrypted to the receiver's
X25519 key by HPKE (RFC 9180). Python cannot wipe memory reliably; keep what is opened short-lived.
"""

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from shared.errors import Invalid

_VERSION = b"\x01"
_ID, _WRAPPED, _NONCE = 8, 40, 12
KEY_BYTES = 32


class WrappingKey(Protocol):
    """A key-encryption key: in memory (`KeyEncryptionKey`), or in a token (`shared.pkcs11.TokenWrappingKey`)."""

    @property
    def id(self) -> bytes:
        """8 bytes that name the key without telling it."""

    def wrap(self, data_key: bytes) -> bytes:
        """Return a data key of 32 bytes, wrapped by AES key wrap (RFC 3394): 40 bytes."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return a data key. Raises `ValueError` where it was not wrapped by this key."""


class CannotOpen(Invalid):
    """A sealed secret that does not open: another row's, changed, or sealed with another key."""

    title = "A sealed secret cannot be opened"
    slug = "cannot-open"


@dataclass(frozen=True)
class KeyEncryptionKey:
    """A key that wraps data keys; known by the first 8 bytes of its SHA-256."""

    key: bytes = field(repr=False)

    @property
    def id(self) -> bytes:
        """Return 8 bytes that name the key without telling it."""
        return sha256(b"everleaf key-encryption key" + self.key).digest()[:_ID]

    def wrap(self, data_key: bytes) -> bytes:
        """Return a data key, wrapped."""
        return aes_key_wrap(self.key, data_key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return a data key. Raises `ValueError` where it was not wrapped by this key."""
        try:
            return aes_key_unwrap(self.key, wrapped)
        except InvalidUnwrap as error:
            msg = "not wrapped by this key"
            raise ValueError(msg) from error

    @classmethod
    def load_or_make(cls, path: Path) -> "KeyEncryptionKey":
        """Read 64 hexadecimal digits from a file, made (0600) where there is none yet.

        Raises `Invalid` where the file cannot be read, cannot be made, or holds something else.
        """
        try:
            if not path.exists():
                _make_key_file(path)
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(
                f"The key-encryption key {path} cannot be used: {getattr(error, 'strerror', 'not text')}.",
                next_step="Name a file that this process may read.",
            ) from error
        return cls.from_hex(text)

    @classmethod
    def from_hex(cls, text: str) -> "KeyEncryptionKey":
        """Read 64 hexadecimal digits. Raises `Invalid`, without quoting them, where they are not."""
        try:
            key = bytes.fromhex(text.strip())
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise Invalid(
                "The key-encryption key is not 64 hexadecimal digits.",
                next_step="Make one with `openssl rand -hex 32` and keep a copy in a safe place.",
            )
        return cls(key)


def _make_key_file(path: Path) -> None:
    # Written whole and safely on disk before it has its name: two processes that start together
    # must not see half a key, and a key that a power cut takes away takes every secret with it.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Sealer:
    """Seals with the first key and opens with any of them, so keys can be changed over time."""

    def __init__(self, keys: Sequence[WrappingKey]) -> None:
        self._current = keys[0]
        self._by_id = {key.id: key for key in keys}

    @property
    def prefix(self) -> bytes:
        """What everything begins with that is sealed with the present key."""
        return _VERSION + self._current.id

    @property
    def prefixes(self) -> frozenset[bytes]:
        """What everything begins with that can be opened here."""
        return frozenset(_VERSION + key for key in self._by_id)

    def rewrap(self, sealed: bytes) -> bytes:
        """Return the same sealed secret under the present key: only its data key is wrapped anew, the secret stays shut.

        Raises `CannotOpen` where no key fits.
        """
        if sealed.startswith(self.prefix):
            return sealed
        rest = sealed[1 + _ID :]
        data_key = self._data_key(sealed)
        return self.prefix + self._current.wrap(data_key) + rest[_WRAPPED:]

    def seal(self, secret: bytes, *, row: str) -> bytes:
        """Encrypt a secret for one row, named by `row` (for example `renewal/orders/ID/key`)."""
        data_key, nonce = AESGCM.generate_key(256), os.urandom(_NONCE)
        wrapped = self._current.wrap(data_key)
        sealed = AESGCM(data_key).encrypt(nonce, secret, row.encode())
        return self.prefix + wrapped + nonce + sealed

    def open(self, sealed: bytes, *, row: str) -> bytes:
        """Return the secret. Raises `CannotOpen` where it is not this row's or no key fits."""
        data_key = self._data_key(sealed)
        rest = sealed[1 + _ID + _WRAPPED :]
        try:
            return AESGCM(data_key).decrypt(rest[:_NONCE], rest[_NONCE:], row.encode())
        except (InvalidTag, ValueError) as error:
            raise _does_not_open() from error

    def _data_key(self, sealed: bytes) -> bytes:
        try:
            key = self._by_id[sealed[1 : 1 + _ID] if sealed[:1] == _VERSION else b""]
            return key.unwrap(sealed[1 + _ID :][:_WRAPPED])
        except (KeyError, ValueError) as error:
            raise _does_not_open() from error


def _does_not_open() -> CannotOpen:
    return CannotOpen(
        "A sealed secret does not open.",
        next_step="Check that the key-encryption key is the one it was sealed with.",
    )


_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


def seal_to(public_key: bytes, secret: bytes, *, purpose: str) -> bytes:
    """Encrypt to a raw 32-byte X25519 public key; `purpose` must be said again to open it.

    Raises `Invalid` where the public key is none.
    """
    try:
        return _SUITE.encrypt(secret, X25519PublicKey.from_public_bytes(public_key), purpose.encode())
    except ValueError as error:
        raise Invalid(
            "The public key to seal to is not an X25519 key.", next_step="Send its 32 raw bytes."
        ) from error


def open_with(private_key: bytes, sealed: bytes, *, purpose: str) -> bytes:
    """Return what `seal_to` sealed. Raises `CannotOpen` where key or purpose are others."""
    try:
        return _SUITE.decrypt(sealed, X25519PrivateKey.from_private_bytes(private_key), purpose.encode())
    except (InvalidTag, ValueError) as error:
        raise CannotOpen(
            "A sealed message does not open.",
            next_step="Ask for it again with the public key of this service.",
        ) from error
