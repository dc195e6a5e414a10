"""What a built-in authority can be told."""

import ipaddress
from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from services.renewal.connectors import Part
from services.renewal.connectors.builtin.signing import KeyKind

LONGEST = timedelta(days=36525)
SHORTEST = timedelta(days=1)


def _is_a_space(text: str) -> str:
    """Return a DNS name with what is below it, or a network."""
    written = text.strip().lower().removesuffix(".")
    try:
        return str(ipaddress.ip_network(written, strict=False))
    except ValueError:
        labels = written.removeprefix(".").split(".")
    if not all(label and label.isascii() and label.replace("-", "").isalnum() for label in labels):
        msg = "write example.com or 10.0.0.0/8"
        raise ValueError(msg)
    return ".".join(labels)


Spaces = Annotated[tuple[Annotated[str, AfterValidator(_is_a_space)], ...], Field(max_length=1000)]
Lifetime = Annotated[timedelta, Field(ge=SHORTEST, le=LONGEST)]


class BuiltinOptions(Part):
    """Options of a built-in authority."""

    key_type: KeyKind = KeyKind.ECDSA_P256
    """Of its root, and of its intermediate."""
    intermediate: bool = True
    """Whether an intermediate issues; the root then signs nothing but that."""
    signed_by_other: bool = False
    """Only an intermediate is made, and a request for its certificate: another authority signs that."""
    lifetime: Lifetime = timedelta(days=3652)
    """Of the root."""
    intermediate_lifetime: Lifetime = timedelta(days=1826)
    permitted: Spaces = ()
    """Names it may issue for, with all below them, and networks (RFC 5280 §4.2.1.10); none is all."""
    excluded: Spaces = ()
    """Names and networks that it may not issue for."""
    for_clients: bool = False
    """Whether its certificates may be shown by clients as well: both sides of a connection, as between the platform's own parts."""
    in_token: bool = False
    """Keys are made in the PKCS#11 token of the settings and never leave it; else they are sealed."""

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.signed_by_other and not self.intermediate:
            msg = "what another authority signs is an intermediate"
            raise ValueError(msg)
        return self
