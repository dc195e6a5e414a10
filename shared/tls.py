"""TLS contexts for our own connections: always verified, TLS 1.2 or newer."""

import ssl
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
