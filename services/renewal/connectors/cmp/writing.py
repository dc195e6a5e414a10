"""Writes DER (X.690): just what CMP needs, which is tags, integers, octets and object identifiers."""

SEQUENCE, INTEGER, OCTETS, BITS, OID, NULL, ENUMERATED, TIME = 0x30, 0x02, 0x04, 0x03, 0x06, 0x05, 0x0A, 0x18
_SHORT = 0x80


def tagged(tag: int, *parts: bytes) -> bytes:
    """Return a value with this identifier octet around its parts."""
    content = b"".join(parts)
    if len(content) < _SHORT:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8)
    return bytes((tag, _SHORT | len(length))) + length + content


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE."""
    return tagged(SEQUENCE, *parts)


def explicit(number: int, *parts: bytes) -> bytes:
    """Return a value with an explicit tag of its context."""
    return tagged(0xA0 | number, *parts)


def integer(number: int, *, tag: int = INTEGER) -> bytes:
    """Return an INTEGER."""
    return tagged(tag, number.to_bytes(number.bit_length() // 8 + 1, signed=True))


def octets(content: bytes) -> bytes:
    """Return an OCTET STRING."""
    return tagged(OCTETS, content)


def bits(content: bytes) -> bytes:
    """Return a BIT STRING of whole bytes."""
    return tagged(BITS, b"\0", content)


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER."""
    first, second, *others = map(int, dotted.split("."))
    return tagged(OID, *map(_base128, (first * 40 + second, *others)))


def _base128(number: int) -> bytes:
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F | _SHORT)
    return bytes(reversed(digits))
