"""What is kept of a certificate, also of one that nobody should have made."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from services.inventory.domain.oddities import (
    LONGEST_NAME,
    LONGEST_TEXT,
    MOST_INDEXED,
    MOST_NAMES,
    Code,
    Oddity,
    is_plain,
    oddities,
    shown,
)
from shared import partial
from shared.fields import Fields

_PARTS = tuple(code for code in Code if code.startswith("unreadable"))
LONGEST_SERIAL = 512
"""Hexadecimal digits that are kept: an index takes no text of any length."""
_LONGEST_KEY_TYPE, _LONGEST_SIGNATURE = 50, 100


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What can be read of a certificate, and what is odd about it."""

    fingerprint: str
    fields: Fields
    oddities: tuple[Oddity, ...] = ()

    @property
    def finding(self) -> str | None:
        """Return what could not be read, and why; None where all was."""
        missing = [f"{odd.code}: {odd.detail}" for odd in self.oddities if odd.code in _PARTS]
        return "; ".join(missing) or None

    @property
    def title(self) -> str:
        """Return what people call the thing the certificate is for."""
        if self.fields == Fields():
            return "unreadable certificate"
        return (self.fields.names[0] if self.fields.names else self.fields.subject or "")[:500] or "unnamed"


def read(fingerprint: str, der: bytes | None) -> Reading:
    """Read a certificate as far as that goes, whatever is wrong with it."""
    if not der:
        nothing = Oddity(code=Code.UNREADABLE, detail="No bytes came with the certificate.")
        return Reading(fingerprint=fingerprint, fields=Fields(), oddities=(nothing,))
    try:
        seen = partial.read(der)
        found = oddities(seen)
        return Reading(fingerprint=fingerprint, fields=_storable(seen.fields), oddities=found)
    except Exception as error:  # noqa: BLE001 - hostile bytes find every weakness of a reader; none may stop a batch
        failed = Oddity(code=Code.UNREADABLE, detail=shown(f"{type(error).__name__}: {error}")[:500])
        return Reading(fingerprint=fingerprint, fields=Fields(), oddities=(failed,))


def _storable(fields: Fields) -> Fields:
    if _is_storable(fields):
        return fields
    return replace(
        fields,
        serial=_clipped(fields.serial, LONGEST_SERIAL),
        subject=_clipped(fields.subject, LONGEST_TEXT),
        issuer=_clipped(fields.issuer, LONGEST_TEXT),
        names=tuple(sorted({shown(name)[:LONGEST_TEXT] for name in fields.names})[:MOST_NAMES]),
        key_type=_clipped(fields.key_type, _LONGEST_KEY_TYPE),
        signature_algorithm=_clipped(fields.signature_algorithm, _LONGEST_SIGNATURE),
    )


def _is_storable(fields: Fields) -> bool:
    """Return whether nothing has to be written otherwise or cut: nearly always, and seen at a fraction of the cost."""
    texts = "".join((fields.subject or "", fields.issuer or "", *fields.names))
    return (
        len(texts) <= LONGEST_TEXT
        and is_plain(texts)
        and len(fields.serial or "") <= LONGEST_SERIAL
        and len(fields.key_type or "") <= _LONGEST_KEY_TYPE
        and len(fields.signature_algorithm or "") <= _LONGEST_SIGNATURE
    )


def _clipped(text: str | None, length: int) -> str | None:
    return None if text is None else shown(text)[:length]


def indexed_names(names: Sequence[str]) -> list[str]:
    """Return the names by which a certificate can be searched for."""
    return [name for name in names if len(name) <= LONGEST_NAME][:MOST_INDEXED]


def have_same_names(one: list[str], other: list[str]) -> bool:
    """Return whether two certificates are for the same thing: for exactly the same names, and for any at all."""
    return bool(one) and set(one) == set(other)


def covered_range(name: str) -> tuple[str, str] | None:
    """Return between which texts all names below a wildcard's lie, written backwards; None for no wildcard."""
    if not name.startswith("*."):
        return None
    begins = reversed_name(name[1:])
    return begins, begins[:-1] + "/"


def is_covered(name: str, *, by: str) -> bool:
    """Return whether a wildcard does for a name: one label takes the place of the asterisk (RFC 6125 §6.4.3)."""
    label, _, rest = name.partition(".")
    return by == f"*.{rest}" and label not in ("", "*")


def chain_digest(fingerprints: Sequence[str]) -> str:
    """Return one value that changes when the chain does."""
    return sha256("".join(fingerprints).encode()).hexdigest()


def reversed_name(name: str) -> str:
    """Return a name so written that all names below one domain lie side by side in an index."""
    return name[::-1]
