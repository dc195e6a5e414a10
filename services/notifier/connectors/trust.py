"""Whom a channel trusts: the authorities it was given, or those of the system."""

import ssl
from functools import lru_cache

from shared.errors import Fault, Invalid
from shared.tls import client_context


def trusting(ca_pem: str | None, *, otherwise: ssl.SSLContext) -> ssl.SSLContext:
    """Return a verifying client context, which others have too: nothing is loaded into it.

    Raises `Invalid` where the text is not PEM certificates.
    """
    if ca_pem is None:
        return otherwise
    return _shared(ca_pem)


def trusting_apart(ca_pem: str | None) -> ssl.SSLContext:
    """Return a verifying client context that nobody else has, to load a client certificate into. Raises as `trusting`."""
    return client_context() if ca_pem is None else _made(ca_pem)


@lru_cache(maxsize=64)
def _shared(ca_pem: str) -> ssl.SSLContext:
    """Return one context for each text: connections are kept by it, and making one costs more than a message."""
    return _made(ca_pem)


def _made(ca_pem: str) -> ssl.SSLContext:
    try:
        # Given `cadata`, the authorities of the system are not loaded beside it.
        context = ssl.create_default_context(cadata=ca_pem)
    except (ssl.SSLError, ValueError) as error:
        raise Invalid(
            "ca_pem holds no certificate in PEM.",
            next_step="Send the whole text, from BEGIN CERTIFICATE to END CERTIFICATE.",
            faults=[Fault(pointer="/body/options/ca_pem", message="not PEM")],
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
