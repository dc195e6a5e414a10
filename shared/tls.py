"""TLS contexts for our own connections: always verified, TLS 1.2 or newer.

What is shown to the other side is read again when its file has changed: a certificate that was renewed in place
is used from the next connection on, without a restart.
"""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from shared.errors import Invalid

log = structlog.get_logger(__name__)


class _Renewing(ssl.SSLContext):
    """A context that looks before each connection whether its certificate is another by now."""

    _files: tuple[Path, Path | None]
    _read: tuple[int, ...] = ()

    def show(self, certificate: Path, key: Path | None) -> None:
        """Show what these files hold, now and later. Raises `OSError`, and `ssl.SSLError` where they do not fit."""
        self._files = (certificate, key)
        self._read = _changed(self._files)
        self.load_cert_chain(certificate, key, password=_no_password)

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Begin a connection, as an event loop does."""
        if self._read:
            self._look_again()
        return super().wrap_bio(*args, **kwargs)

    def _look_again(self) -> None:
        try:
            now = _changed(self._files)
            if now == self._read:
                return
            # Tried elsewhere first: a context whose new key does not fit would be left without the old one.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(*self._files, password=_no_password)
            self.load_cert_chain(*self._files, password=_no_password)
        except OSError as error:  # also ssl.SSLError: of the two files only one is new yet, say
            log.warning("tls.not_read_again", file=str(self._files[0]), error=str(error))
            return
        self._read = now
        log.info("tls.read_again", file=str(self._files[0]))


def _no_password() -> str:
    # An encrypted key is refused instead of asking a person at the terminal.
    return ""


def _changed(files: tuple[Path, Path | None]) -> tuple[int, ...]:
    """Return what is another when a file is: renamed into place, or written anew."""
    stats = [path.stat() for path in files if path is not None]
    return tuple(number for stat in stats for number in (stat.st_ino, stat.st_mtime_ns))


def client_context(
    ca: Path | None = None, *, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """Return a verifying client context; PEM files. Raises `Invalid` where one cannot be used."""
    context = _Renewing(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and name
    with _told(ca, certificate, key):
        if ca is not None:
            context.load_verify_locations(ca)
        else:
            context.load_default_certs()
        if certificate is not None:
            context.show(certificate, key)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def server_context(certificate: Path, key: Path, *, client_ca: Path | None = None) -> ssl.SSLContext:
    """Return a context to serve with; PEM files, the chain behind the leaf. Raises `Invalid` where one cannot be used.

    With `client_ca` only who shows a certificate of that authority is let in.
    """
    context = _Renewing(ssl.PROTOCOL_TLS_SERVER)
    with _told(client_ca, certificate, key):
        context.show(certificate, key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@contextmanager
def _told(*files: Path | None) -> Iterator[None]:
    try:
        yield
    except (OSError, ssl.SSLError) as error:
        raise Invalid(
            f"The TLS files {[str(file) for file in files if file]} cannot be used: {error}.",
            next_step="Give PEM files that this process may read, the key fitting the certificate.",
        ) from error


def load_identity(context: ssl.SSLContext, *, certificate: str, key: str) -> None:
    """Have a context show this certificate (PEM, leaf first) where it is asked for one. Raises `Invalid`.

    OpenSSL takes keys from files only, as Python offers it; this one is in memory, or is gone before we return.
    """
    with _held_in_memory(f"{key.strip()}\n{certificate.strip()}\n".encode()) as path:
        try:
            context.load_cert_chain(path, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise Invalid(
                "The client certificate and its key cannot be used together.",
                next_step="Send both as PEM, the key unencrypted and fitting the certificate.",
            ) from error


@contextmanager
def _held_in_memory(text: bytes) -> Iterator[str]:
    if hasattr(os, "memfd_create"):
        with open(os.memfd_create("identity"), "wb", buffering=0) as file:  # noqa: PTH123 - it has no path
            file.write(text)
            yield f"/proc/self/fd/{file.fileno()}"
        return
    with tempfile.NamedTemporaryFile() as file:  # 0600, and deleted at the end of the block
        file.write(text)
        file.flush()
        yield file.name
