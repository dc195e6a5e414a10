"""TLS contexts for our own connections: always verified, TLS 1.2 or newer."""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import Invalid


def client_context(
    ca: Path | None = None, *, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """Return a verifying client context; PEM files. Raises `Invalid` where one cannot be used."""
    try:
        context = ssl.create_default_context(cafile=ca)
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise Invalid(
            f"The TLS files {[str(f) for f in (ca, certificate, key) if f]} cannot be used: {error}.",
            next_step="Give PEM files that this process may read, the key fitting the certificate.",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def load_identity(context: ssl.SSLContext, *, certificate: str, key: str) -> None:
    """Have a context show this certificate (PEM, leaf first) where it is asked for one. Raises `Invalid`.

    OpenSSL takes keys from files only, as Python offers it; this one is in memory, or is gone before we return.
    """
    with _held_in_memory(f"{key.strip()}\n{certificate.strip()}\n".encode()) as path:
        try:
            # An encrypted key is refused instead of asking a person at the terminal.
            context.load_cert_chain(path, password=lambda: "")
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
