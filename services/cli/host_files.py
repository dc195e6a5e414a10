"""The files of the machine that the command runs on: read, listed, and their keys held against certificates."""

import pwd
import stat
from base64 import b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from glob import glob, has_magic
from hashlib import sha256
from os import R_OK, access
from pathlib import Path
from typing import Self

import anyio.to_thread
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    SSHCertificate,
    load_pem_private_key,
    load_ssh_private_key,
    load_ssh_public_identity,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

from services.discovery.configuration.bigip.archive import Archive, opened
from services.discovery.configuration.files import MOST_BYTES
from services.discovery.configuration.registry import SSHD
from services.discovery.domain.comparisons import Configured
from services.discovery.domain.holdings import Key, Use, is_replaceable
from shared import x509
from shared.errors import Invalid

USUAL_PASSWORDS = (b"changeit", None, b"")
"""Of keystores: Java's own, and none at all."""
_DER = b"\x30"
_OPENSSH = b"BEGIN OPENSSH PRIVATE KEY"
_FOR_EVER = 1 << 63
"""Seconds: an OpenSSH certificate without an end is valid until the last that its field can hold."""


class LocalFiles:
    """Files of this machine."""

    async def read(self, path: str) -> bytes:
        """Return a file's content, up to one byte more than may be read."""
        return await anyio.to_thread.run_sync(partial(_start_of, path))

    async def glob(self, pattern: str) -> Sequence[str]:
        """Return the paths that fit."""
        return await anyio.to_thread.run_sync(partial(_fitting, pattern))

    async def is_folder(self, path: str) -> bool:
        """Return whether there is a folder at this path."""
        return await anyio.Path(path).is_dir()


def _start_of(path: str) -> bytes:
    # Not only to save memory: a pipe or a device would be read for ever.
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise OSError("not a regular file")
    with Path(path).open("rb") as file:
        return file.read(MOST_BYTES + 1)


def _fitting(pattern: str) -> list[str]:
    folder = Path(pattern).parent
    if has_magic(Path(pattern).name) and folder.is_dir() and not access(folder, R_OK):
        raise PermissionError(f"{folder} may not be listed")
    return sorted(glob(pattern))  # noqa: PTH207 - to Path.glob, unlike to servers, * stands for hidden files too


def opened_archive(path: str) -> Archive:
    """Read a UCS archive of this machine. Raises `Invalid`."""
    try:
        with Path(path).open("rb") as stream:
            return opened(stream)
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}.", next_step="Check the path.") from error


def configured(use: Use, *, archive: Archive | None = None) -> Configured:
    """Return a slot with what is in its files: this machine's, or those of an archive, where keys are not looked at."""
    use = replace(use, key=None) if archive else use
    content = archive.content if archive else _start_of
    read = _Certificate.of_ssh if use.product == SSHD.name else _Certificate.of_tls
    found = read(use.certificate, content)
    if found is None:
        return Configured(use=use, key=_key(use, public=None))
    return Configured(
        use=use,
        fingerprint=found.fingerprint,
        not_after=found.not_after,
        key_type=found.key_type,
        names=found.names,
        key=_key(use, public=found.key_fingerprint),
    )


@dataclass(frozen=True, kw_only=True)
class _Certificate:
    """What matters of a certificate, of whatever kind."""

    fingerprint: str
    not_after: datetime | None = None
    key_type: str | None = None
    key_fingerprint: str | None = None
    names: tuple[str, ...] = ()

    @classmethod
    def of_tls(cls, path: str, content: Callable[[str], bytes]) -> Self | None:
        """Read the first certificate of a PEM file, or that of a PKCS#12 keystore; None where there is none."""
        file = path.partition("#")[0]  # after which an entry of a keystore is named
        try:
            text = content(file)
            leaf = _in_keystore(text) or x509.from_pem(text.decode("latin-1"))[0]
        except (OSError, Invalid):
            return None
        try:
            facts = x509.read(leaf)
        except Invalid:
            return cls(fingerprint=x509.fingerprint(leaf))
        kind = facts.key_type.partition("-")[0]
        return cls(
            fingerprint=facts.fingerprint,
            not_after=facts.not_after.astimezone(UTC),
            key_type=kind if kind in ("rsa", "ecdsa") else None,
            key_fingerprint=facts.key_fingerprint,
            names=facts.names,
        )

    @classmethod
    def of_ssh(cls, path: str, content: Callable[[str], bytes]) -> Self | None:
        """Read an OpenSSH certificate; None where there is none. Its fingerprint is the SHA-256 of its bytes."""
        try:
            text = content(path)
            found = load_ssh_public_identity(text)
            raw = b64decode(text.split()[1])
        except (OSError, ValueError, IndexError, UnsupportedAlgorithm):
            return None
        if not isinstance(found, SSHCertificate):
            return None
        is_for_ever = found.valid_before >= _FOR_EVER
        return cls(
            fingerprint=sha256(raw).hexdigest(),
            not_after=None if is_for_ever else datetime.fromtimestamp(found.valid_before, UTC),
            key_fingerprint=x509.key_fingerprint(found.public_key()),
        )


def _in_keystore(content: bytes) -> bytes | None:
    """Return the certificate of a PKCS#12 keystore that opens with a usual password; None where it is none."""
    for password in USUAL_PASSWORDS if content.startswith(_DER) else ():
        try:
            _, leaf, _ = load_key_and_certificates(content, password)
        except (ValueError, UnsupportedAlgorithm):
            continue
        return leaf.public_bytes(Encoding.DER) if leaf else None
    return None


def _key(use: Use, *, public: str | None) -> Key | None:
    """Return what is known of a key; `public` is the fingerprint of the one that is wanted."""
    if use.key is None:
        return None
    try:
        status = Path(use.key).stat()
    except OSError:
        return Key(path=use.key)
    spki, is_encrypted = _public_half(use.key)
    return Key(
        path=use.key,
        spki_sha256=spki,
        is_match=spki == public if spki and public else None,
        mode=stat.S_IMODE(status.st_mode),
        owner=_owner(status.st_uid),
        is_exposed=bool(status.st_mode & stat.S_IROTH),
        is_replaceable=is_replaceable(status.st_mode, folder=Path(use.key).parent.stat().st_mode),
        is_encrypted=is_encrypted,
    )


def _public_half(path: str) -> tuple[str | None, bool]:
    """Return the SHA-256 of the public half of a private key, where it can be read, and whether it is encrypted."""
    try:
        text = _start_of(path)
        load = load_ssh_private_key if _OPENSSH in text else load_pem_private_key
        private = load(text, password=None)
    except TypeError:  # a passphrase is needed
        return None, True
    except (OSError, ValueError, UnsupportedAlgorithm):
        return None, False
    return x509.key_fingerprint(private.public_key()), False


def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
