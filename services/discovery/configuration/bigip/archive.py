"""A UCS archive as the files of the BIG-IP that it was made on: read in memory within bounds, and never unpacked.

Only the configuration and the certificates are taken out of it. Private keys, links, devices and everything else are
passed over, wherever they are.
"""

import fnmatch
import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from services.discovery.configuration.bigip import FILE_STORE
from services.discovery.configuration.files import MOST_BYTES
from shared.errors import Invalid

MOST_MEMBERS = 200_000
MOST_UNPACKED = 4 * 1024 * 1024 * 1024
"""Bytes that the whole archive may become, most of which are passed over …"""
MOST_KEPT = 256 * 1024 * 1024
"""… and that are held in memory."""
LONGEST_HEADER = 64 * 1024
LARGEST_CERTIFICATE = 1024 * 1024
_BLOCK, _CHUNK = 512, 1024 * 1024
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE)
_CONFIGURATION = re.compile(r"config/(partitions/[^/]+/)?bigip(_base)?\.conf")
_CERTIFICATE = re.compile(
    r"(?:var/tmp/filestore_temp/files_d|config/filestore/files_d)/(?P<rest>[^/]+_d/certificate_d/[^/]+)"
)
_KEY_BEGINS = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_ASK_AGAIN = "Make it again with `tmsh save sys ucs NAME`, and without a passphrase."


class Archive:
    """Files of a UCS archive, under the paths that they have on the device."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    async def read(self, path: str) -> bytes:
        """Return a file's content. Raises `FileNotFoundError`."""
        return self.content(path)

    def content(self, path: str) -> bytes:
        """Return a file's content. Raises `FileNotFoundError`."""
        try:
            return self._files[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    async def glob(self, pattern: str) -> Sequence[str]:
        """Return the paths that fit; no wildcard stands for a slash."""
        depth = pattern.count("/")
        return sorted(
            path for path in self._files if path.count("/") == depth and fnmatch.fnmatchcase(path, pattern)
        )

    async def is_folder(self, path: str) -> bool:
        """Return whether there is anything under a path."""
        return any(file.startswith(f"{path}/") for file in self._files)


def opened(stream: BinaryIO) -> Archive:
    """Read an archive. Raises `Invalid` where it is none, is encrypted, or is too large."""
    files: dict[str, bytes] = {}
    kept = 0
    try:
        for path, content in _read(_Bounded(gzip.GzipFile(fileobj=stream))):
            files[path] = content
            kept += len(content)
            if kept > MOST_KEPT:
                raise _too_large()
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise Invalid("It is no UCS archive, or an encrypted one.", next_step=_ASK_AGAIN) from error
    if not any(_CONFIGURATION.fullmatch(path.removeprefix("/")) for path in files):
        raise Invalid("There is no BIG-IP configuration in the archive.", next_step=_ASK_AGAIN)
    return Archive(files)


class _Bounded:
    """The unpacked archive, as a stream that ends when it becomes too large."""

    def __init__(self, unpacked: gzip.GzipFile) -> None:
        self._unpacked = unpacked
        self._read = 0

    def read(self, size: int) -> bytes:
        """Return so many bytes. Raises `EOFError` where there are fewer."""
        content = self._unpacked.read(size)
        self._read += size
        if self._read > MOST_UNPACKED:
            raise _too_large()
        if len(content) < size:
            raise EOFError
        return content

    def skip(self, size: int) -> None:
        """Pass over so many bytes."""
        for start in range(0, size, _CHUNK):
            self.read(min(_CHUNK, size - start))


def _read(stream: _Bounded) -> Iterator[tuple[str, bytes]]:
    """Yield what is taken out of the archive, each file with its path on the device.

    Headers are walked through here, as `tarfile` would read those of any length, and maps of sparse files, into memory.
    """
    name = None
    for _ in range(MOST_MEMBERS):
        header = stream.read(_BLOCK)
        if not header.strip(b"\0"):
            return
        member = tarfile.TarInfo.frombuf(header, "utf-8", "replace")
        if member.size < 0:
            raise ValueError(member.size)
        padding = -member.size % _BLOCK
        if member.type in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
            if member.size > LONGEST_HEADER:
                raise _too_large()
            name = _long_name(stream.read(member.size), is_pax=member.type == tarfile.XHDTYPE) or name
            stream.skip(padding)
            continue
        path = _path(name or member.name) if member.type in _REGULAR else None
        wanted = min(member.size, _limit(path) + 1) if path else 0
        content = stream.read(wanted)
        stream.skip(member.size - wanted + padding)
        if path:
            yield path, _without_key(content, path)
        name = name if member.type == tarfile.GNUTYPE_LONGLINK else None
    raise _too_large()


def _long_name(header: bytes, *, is_pax: bool) -> str | None:
    if not is_pax:
        return header.rstrip(b"\0").decode(errors="replace")
    found = re.search(rb"(?:^|\n)[0-9]+ path=([^\n]*)\n", header)
    return found[1].decode(errors="replace") if found else None


def _too_large() -> Invalid:
    return Invalid("The archive is too large to be read.", next_step="Read the device itself.")


def _path(name: str) -> str | None:
    """Return where a member is on the device; None where it is not read."""
    name = name.removeprefix("./").lstrip("/")
    if ".." in name.split("/"):
        return None
    if _CONFIGURATION.fullmatch(name):
        return f"/{name}"
    found = _CERTIFICATE.fullmatch(name)
    return f"{FILE_STORE}/{found['rest']}" if found else None


def _limit(path: str) -> int:
    return LARGEST_CERTIFICATE if path.startswith(FILE_STORE) else MOST_BYTES


def _without_key(content: bytes, path: str) -> bytes:
    """Return the content of a certificate file, nothing where a private key is in it too."""
    is_certificate = path.startswith(FILE_STORE)
    return b"" if is_certificate and _KEY_BEGINS.search(content) else content
