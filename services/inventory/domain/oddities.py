"""What is odd about a certificate: what a reader stumbles over, whatever any policy says of it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.fields import Fields, Partial

MOST_OCTETS_OF_SERIAL = 20
"""RFC 5280 §4.1.2.2."""
LARGE_EXTENSION = 64 * 1024
"""Octets; no extension in use comes near."""
LARGE_RSA = 8192
"""Bits; verifying with larger keys takes long enough to be a way to attack (Go's crypto/tls has this limit)."""
MOST_NAMES = 20_000
"""Kept of one certificate; public authorities allow 100 to 1000."""
MOST_INDEXED = 10_000
"""Names by which one certificate can be searched for."""
LONGEST_NAME = 253
"""No DNS name is longer (RFC 1035 §2.3.4); what is longer is kept, but cannot be searched for."""
LONGEST_TEXT = 4_000
LONGEST_DETAIL = 500
_UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NUL = "\\00"
"""How RFC 4514 §2.4 writes it."""


class Code(StrEnum):
    """Kinds of oddities."""

    UNREADABLE = "unreadable"
    """There is no certificate to be seen in the bytes, or no bytes came."""
    UNREADABLE_SERIAL = "unreadable-serial"
    UNREADABLE_SUBJECT = "unreadable-subject"
    UNREADABLE_ISSUER = "unreadable-issuer"
    UNREADABLE_NAMES = "unreadable-names"
    UNREADABLE_VALIDITY = "unreadable-validity"
    """A beginning or an end that is no time, or in no year that computers know."""
    UNREADABLE_KEY = "unreadable-key"
    UNREADABLE_SIGNATURE = "unreadable-signature"
    UNREADABLE_EXTENSIONS = "unreadable-extensions"
    REFUSED = "refused"
    """A strict parser, as clients use them, does not take it."""
    TRAILING_BYTES = "trailing-bytes"
    VERSION_1 = "version-1"
    SERIAL_NOT_POSITIVE = "serial-not-positive"
    SERIAL_TOO_LONG = "serial-too-long"
    ENDS_BEFORE_IT_BEGINS = "ends-before-it-begins"
    NEVER_ENDS = "never-ends"
    """RFC 5280 §4.1.2.5: 99991231235959Z stands for no end."""
    REPEATED_EXTENSION = "repeated-extension"
    LARGE_EXTENSION = "large-extension"
    CONTROL_CHARACTERS = "control-characters"
    DIRECTION_MARKS = "direction-marks"
    """Characters that turn the direction of writing, so that a name looks like another."""
    NAMELESS = "nameless"
    TOO_MANY_NAMES = "too-many-names"
    TOO_LONG_NAME = "too-long-name"
    UNKNOWN_KEY = "unknown-key"
    UNKNOWN_SIGNATURE = "unknown-signature"
    EXPLICIT_CURVE = "explicit-curve"
    """A curve by its numbers instead of its name (RFC 5480 §2.1.1 rules it out; CVE-2020-0601 used it)."""
    RSA_EXPONENT = "rsa-exponent"
    LARGE_KEY = "large-key"


@dataclass(frozen=True, kw_only=True)
class Oddity:
    """Something odd, with what was seen."""

    code: Code
    detail: str


_FIELDS = {
    "whole": Code.UNREADABLE,
    "serial": Code.UNREADABLE_SERIAL,
    "subject": Code.UNREADABLE_SUBJECT,
    "issuer": Code.UNREADABLE_ISSUER,
    "names": Code.UNREADABLE_NAMES,
    "not_before": Code.UNREADABLE_VALIDITY,
    "not_after": Code.UNREADABLE_VALIDITY,
    "key": Code.UNREADABLE_KEY,
    "signature_algorithm": Code.UNREADABLE_SIGNATURE,
    "is_ca": Code.UNREADABLE_EXTENSIONS,
    "tail": Code.UNREADABLE_EXTENSIONS,
}


def oddities(seen: Partial) -> tuple[Oddity, ...]:
    """Return what is odd about a certificate, each kind once."""
    found: dict[Code, str] = {}
    for code, detail in _all(seen):
        found.setdefault(code, shown(detail)[:LONGEST_DETAIL])
    return tuple(Oddity(code=code, detail=found[code]) for code in sorted(found))


def _all(seen: Partial) -> Iterator[tuple[Code, str]]:
    for field, reason in seen.unread.items():
        yield _FIELDS[field], reason
    if "whole" in seen.unread:
        return
    if seen.refused is not None:
        yield Code.REFUSED, seen.refused
    yield from _of_form(seen)
    yield from _of_serial(seen.fields)
    yield from _of_validity(seen.fields)
    yield from _of_names(seen.fields)
    yield from _of_key(seen)


def _of_form(seen: Partial) -> Iterator[tuple[Code, str]]:
    if seen.trailing:
        yield Code.TRAILING_BYTES, f"{seen.trailing} octets come after it."
    if seen.is_version_1:
        yield Code.VERSION_1, "It is of version 1, which cannot say whether it is an authority's."
    if seen.repeated:
        yield Code.REPEATED_EXTENSION, f"There more than once: {', '.join(seen.repeated)}."
    if seen.extension_size > LARGE_EXTENSION:
        yield Code.LARGE_EXTENSION, f"An extension has {seen.extension_size} octets."


def _of_serial(fields: Fields) -> Iterator[tuple[Code, str]]:
    if fields.serial is None:
        return
    number = int(fields.serial, 16)
    if number <= 0:
        yield Code.SERIAL_NOT_POSITIVE, f"Its serial number is {'0' if number == 0 else 'negative'}."
    octets = number.bit_length() // 8 + 1
    if octets > MOST_OCTETS_OF_SERIAL:
        yield Code.SERIAL_TOO_LONG, f"Its serial number has {octets} octets."


def _of_validity(fields: Fields) -> Iterator[tuple[Code, str]]:
    begins, ends = fields.not_before, fields.not_after
    if ends is not None and ends.year == 9999 and f"{ends:%m%d%H%M%S}" == "1231235959":  # noqa: PLR2004 - the instant of RFC 5280 §4.1.2.5
        yield Code.NEVER_ENDS, "It says to have no end."
    if begins is not None and ends is not None and ends < begins:
        yield Code.ENDS_BEFORE_IT_BEGINS, f"It begins at {begins:%Y-%m-%d} and ends at {ends:%Y-%m-%d}."


def _of_names(fields: Fields) -> Iterator[tuple[Code, str]]:
    texts = [*fields.names, fields.subject or "", fields.issuer or ""]
    if not is_plain("".join(texts)) or "\\" in "".join(texts):
        yield from _of_characters(texts)
    if not fields.names and not fields.subject:
        yield Code.NAMELESS, "Nothing says what it is for."
    count = len(fields.names)
    if count > MOST_INDEXED:
        kept = "all are kept" if count <= MOST_NAMES else f"{MOST_NAMES} are kept"
        yield (
            Code.TOO_MANY_NAMES,
            f"It has {count} names: {kept}, the first {MOST_INDEXED} can be searched for.",
        )
    longest = max(fields.names, key=len, default="")
    if len(longest) > LONGEST_NAME or max(map(len, texts)) > LONGEST_TEXT:
        yield Code.TOO_LONG_NAME, f"A name has {max(map(len, texts))} characters."


def _of_characters(texts: Sequence[str]) -> Iterator[tuple[Code, str]]:
    odd = next((text for text in texts if _UNSHOWABLE.search(text) or _NUL in text), None)
    if odd is not None:
        yield Code.CONTROL_CHARACTERS, f"In {odd[:100]}"
    turned = next((text for text in texts if _DIRECTIONS.search(text)), None)
    if turned is not None:
        yield Code.DIRECTION_MARKS, f"In {turned[:100]}"


def _of_key(seen: Partial) -> Iterator[tuple[Code, str]]:
    kind, bits = seen.fields.key_type or "", seen.fields.key_bits or 0
    signature = seen.fields.signature_algorithm or ""
    if kind.removeprefix("ecdsa-")[:1].isdigit():
        yield Code.UNKNOWN_KEY, f"Its key is of the kind {kind}."
    if signature[:1].isdigit():
        yield Code.UNKNOWN_SIGNATURE, f"It is signed with {signature}."
    if kind == "ecdsa-explicit":
        yield Code.EXPLICIT_CURVE, "Its key gives the curve by numbers instead of by name."
    exponent = seen.rsa_exponent
    if exponent is not None and (exponent < 3 or exponent % 2 == 0):  # noqa: PLR2004 - RFC 8017 §3.1
        yield Code.RSA_EXPONENT, f"The public exponent of its key is {str(exponent)[:40]}."
    if kind.startswith("rsa") and bits > LARGE_RSA:
        yield Code.LARGE_KEY, f"Its RSA key has {bits} bits."


def shown(text: str) -> str:
    """Return text that every database takes and no terminal obeys: what cannot be shown is written out."""
    return text if is_plain(text) else _DIRECTIONS.sub(_written_out, _UNSHOWABLE.sub(_written_out, text))


def is_plain(text: str) -> bool:
    """Return whether text is of ASCII's printable characters alone; nearly all is, and that is seen at once."""
    return text.isascii() and text.isprintable()


def _written_out(found: re.Match[str]) -> str:
    number = ord(found.group())
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"  # noqa: PLR2004 - two digits
