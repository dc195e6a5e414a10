"""Reads the roots that are trusted from files of PEM certificates."""

import ssl
from pathlib import Path

import certifi

from services.inventory.domain.chains.verdicts import OWN, PUBLIC
from shared.errors import Invalid

_BEGIN = "-----BEGIN CERTIFICATE-----"


def read_trust_stores(*, public: Path | None, own: Path | None) -> dict[str, tuple[bytes, ...]]:
    """Return the DER of roots by the name of their store; the public ones are Mozilla's, where no file is named.

    Raises `Invalid` where a file cannot be read or holds no certificate.
    """
    stores = {PUBLIC: _ders(public or Path(certifi.where()))}
    if own is not None:
        stores[OWN] = _ders(own)
    return stores


def _ders(path: Path) -> tuple[bytes, ...]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        ders = tuple(ssl.PEM_cert_to_DER_cert(block) for block in _blocks(text))
    except (OSError, ValueError) as error:
        raise Invalid(
            f"The trust store {path} cannot be read ({error}).", next_step="Name a file of PEM certificates."
        ) from error
    if not ders:
        raise Invalid(
            f"The trust store {path} holds no certificate.", next_step="Name a file of PEM certificates."
        )
    return ders


def _blocks(text: str) -> list[str]:
    end = "-----END CERTIFICATE-----"
    return [f"{_BEGIN}{rest.partition(end)[0]}{end}" for rest in text.split(_BEGIN)[1:]]
