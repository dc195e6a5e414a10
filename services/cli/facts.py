"""What a certificate says, read once however many places show it."""

from functools import lru_cache

from shared import x509
from shared.errors import Invalid


@lru_cache(maxsize=4096)
def facts_of(der: bytes) -> x509.CertificateFacts | None:
    """Return the facts, None where the bytes cannot be read as a certificate."""
    try:
        return x509.read(der)
    except Invalid:
        return None
