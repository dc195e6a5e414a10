"""The files of the machine that the command runs on: read, listed, and their keys held against certificates."""

import pwd
import stat
from collections.abc import Sequence
from functools import partial
from glob import glob, has_magic
from os import R_OK, access
from pathlib import Path

import anyio.to_thread
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.discovery.configuration.files import MOST_BYTES
from services.discovery.domain.comparisons import Configured
from services.discovery.domain.holdings import Key, Use
from shared import x509
from shared.errors import Invalid


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


def configured(use: Use) -> tuple[Configured, bytes | None]:
    """Return a slot with what is in its files, and its leaf in DER where it could be read."""
    leaf = _leaf(use.certificate)
    if leaf is None:
        return Configured(use=use, key=_key(use, leaf=None)), None
    try:
        facts = x509.read(leaf)
    except Invalid:
        return Configured(use=use, fingerprint=x509.fingerprint(leaf)), leaf
    kind = facts.key_type.partition("-")[0]
    slot = Configured(
        use=use,
        fingerprint=facts.fingerprint,
        key_type=kind if kind in ("rsa", "ecdsa") else None,
        names=facts.names,
        key=_key(use, leaf=facts),
    )
    return slot, leaf


def _leaf(path: str) -> bytes | None:
    try:
        return x509.from_pem(_start_of(path).decode("latin-1"))[0]
    except (OSError, Invalid):
        return None


def _key(use: Use, *, leaf: x509.CertificateFacts | None) -> Key | None:
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
        is_match=spki == leaf.key_fingerprint if spki and leaf else None,
        mode=stat.S_IMODE(status.st_mode),
        owner=_owner(status.st_uid),
        is_exposed=bool(status.st_mode & stat.S_IROTH),
        is_encrypted=is_encrypted,
    )


def _public_half(path: str) -> tuple[str | None, bool]:
    """Return the SHA-256 of the public half of a private key, where it can be read, and whether it is encrypted."""
    try:
        private = load_pem_private_key(_start_of(path), password=None)
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
