"""What Windows says of a private key: where it is, who may read it, and whether it is the certificate's."""

import re
from collections.abc import Mapping
from typing import Any

from services.discovery.domain.holdings import Key
from shared import x509
from shared.errors import Invalid

_ALLOWED = re.compile(r"\(A;[A-Z]*;(?P<rights>[^;()]*);[^;()]*;[^;()]*;(?P<who>[^;()]*)\)")
_EVERYBODY = frozenset(
    [
        "WD",
        "AU",
        "BU",
        "BG",
        "AN",
        "IU",
        "NU",
        "DU",
        "DG",
        "S-1-1-0",
        "S-1-5-11",
        "S-1-5-32-545",
        "S-1-5-32-546",
        "S-1-5-7",
        "S-1-5-4",
        "S-1-5-2",
    ]
)
"""Everyone, authenticated, interactive and network users, users, guests and anonymous, by alias and by SID."""
_READS = ("GA", "GR", "FA", "FR")
_READ_BITS = 0x0000_0001 | 0x1000_0000 | 0x8000_0000
_OWNERS = {"SY": "SYSTEM", "BA": "Administrators"}


def key_of(told: Any, *, path: str, leaf: bytes) -> Key | None:
    """Return what is known of a certificate's key; None where Windows has none for it."""
    if not isinstance(told, Mapping):
        return None
    sddl = str(told.get("Sddl") or "")
    match = told.get("IsMatch")
    return Key(
        path=str(told.get("File") or told.get("Name") or path)[:1000],
        spki_sha256=_public(leaf) if match is True else None,
        is_match=match if isinstance(match, bool) else None,
        owner=_owner(sddl),
        is_exposed=is_exposed(sddl),
    )


def is_exposed(sddl: str) -> bool:
    """Return whether an access list (SDDL) lets everybody who has an account here read."""
    return any(found["who"] in _EVERYBODY and _reads(found["rights"]) for found in _ALLOWED.finditer(sddl))


def _reads(rights: str) -> bool:
    """Return whether rights hold that to read: as a number, or as pairs of letters."""
    if rights.lower().startswith("0x"):
        try:
            return bool(int(rights, 16) & _READ_BITS)
        except ValueError:
            return False
    return any(rights[at : at + 2] in _READS for at in range(0, len(rights), 2))


def _owner(sddl: str) -> str | None:
    found = re.match(r"O:(?P<who>S-[0-9-]+|[A-Z]{2})", sddl)
    return _OWNERS.get(found["who"], found["who"]) if found else None


def _public(leaf: bytes) -> str | None:
    try:
        return x509.read(leaf).key_fingerprint
    except Invalid:
        return None
