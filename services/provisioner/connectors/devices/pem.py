"""Certificates as the text that devices take and tell."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.serialization import Encoding

from shared import x509


def pem(chain: Sequence[bytes]) -> bytes:
    """Return certificates, given as DER, as PEM."""
    return b"".join(x509.load(each).public_bytes(Encoding.PEM) for each in chain)


def fingerprint_of(text: str | bytes) -> str:
    """Return the fingerprint of the first certificate in PEM. Raises `Invalid` where there is none."""
    plain = text.decode("latin-1") if isinstance(text, bytes) else text
    return x509.fingerprint(next(iter(x509.from_pem(plain))))
