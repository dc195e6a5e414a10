"""Whom a channel trusts: the authorities it was given, or those of the system."""

import ssl

from shared.errors import Fault, Invalid


def trusting(ca_pem: str | None, *, otherwise: ssl.SSLContext) -> ssl.SSLContext:
    """Return a verifying client context. Raises `Invalid` where the text is not PEM certificates."""
    if ca_pem is None:
        return otherwise
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
