"""What a certificate says, as far as it can be read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Fields:
    """What a certificate says, as far as it can be read; the forms are those of `shared.x509.CertificateFacts`."""

    serial: str | None = None
    subject: str | None = None
    issuer: str | None = None
    names: tuple[str, ...] = ()
    not_before: datetime | None = None
    not_after: datetime | None = None
    key_type: str | None = None
    key_bits: int | None = None
    key_fingerprint: str | None = None
    signature_algorithm: str | None = None
    is_ca: bool = False
    is_self_issued: bool = False


@dataclass(frozen=True, kw_only=True)
class Partial:
    """The fields, why those are empty that are, and what is to be seen of the form of the bytes."""

    fields: Fields
    unread: Mapping[str, str] = field(default_factory=dict)
    """Reasons by field; `whole` where there is no certificate to be seen in the bytes at all."""
    refused: str | None = None
    """Why a strict parser does not take it, where it does not."""
    is_version_1: bool = False
    trailing: int = 0
    """Octets behind the certificate."""
    repeated: tuple[str, ...] = ()
    """Extensions that are there more than once."""
    extension_size: int = 0
    """Octets of the largest extension."""
    rsa_exponent: int | None = None


def as_mapping(fields: Fields) -> dict[str, Any]:
    """Return the fields by their names."""
    return dict(vars(fields))
