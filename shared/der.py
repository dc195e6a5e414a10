"""DER, value by value, for what no strict parser takes: each piece is bounded, and nothing recurses."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

SEQUENCE, SET, INTEGER, BIT_STRING, OCTET_STRING, OID, BOOLEAN = 0x30, 0x31, 0x02, 0x03, 0x04, 0x06, 0x01
_MULTIPLE_OCTETS = 0x1F
_MORE = 0x80
_LONGEST_LENGTH = 4
"""Octets of a length: no certificate is of 4 GiB."""
_LONGEST_TAG = 4
_MOST_OF_OID = 100
"""Octets; what is longer names nothing that anybody has registered."""


class Malformed(ValueError):
    """The bytes are no DER here."""


class Value(NamedTuple):
    """One value: its identifier octet, its content, and both with the length between them, as they came."""

    tag: int
    content: bytes
    encoded: bytes

    def expect(self, tag: int) -> "Value":
        """Return the value itself. Raises `Malformed` where it has another tag."""
        if self.tag != tag:
            raise Malformed(f"a value with the tag {self.tag:#04x} stands where {tag:#04x} should")
        return self

    def inside(self) -> Iterator["Value"]:
        """Yield the values within. Raises `Malformed` at the first that is none."""
        return values(self.content)


def values(data: bytes) -> Iterator[Value]:
    """Yield one value after the other. Raises `Malformed` at the first that is none."""
    at = 0
    while at < len(data):
        found = value(data, at)
        yield found
        at += len(found.encoded)


def value(data: bytes, at: int = 0) -> Value:
    """Return the value at a position; lengths that are longer than they need be are taken too. Raises `Malformed`."""
    start = at
    try:
        tag, length = data[at], data[at + 1]
        at += 2
        if tag & _MULTIPLE_OCTETS == _MULTIPLE_OCTETS or length >= _MORE:  # few are
            length, at = _length(data, _after_tag(data, start))
    except IndexError as error:
        raise Malformed("the bytes end within the head of a value") from error
    end = at + length
    if end > len(data):
        raise Malformed(f"a value says to have {length} octets, and {len(data) - at} are left")
    return Value(tag, data[at:end], data[start:end])


def _after_tag(data: bytes, at: int) -> int:
    if data[at] & _MULTIPLE_OCTETS != _MULTIPLE_OCTETS:
        return at + 1
    for last in range(at + 1, at + 1 + _LONGEST_TAG):
        if not data[last] & _MORE:
            return last + 1
    raise Malformed("a tag does not end")


def _length(data: bytes, at: int) -> tuple[int, int]:
    first = data[at]
    if first < _MORE:
        return first, at + 1
    size = first & ~_MORE
    if size == 0:
        raise Malformed("a value does not say how long it is")
    if size > _LONGEST_LENGTH:
        raise Malformed(f"a length has {size} octets")
    octets = data[at + 1 : at + 1 + size]
    if len(octets) < size:
        raise IndexError
    return int.from_bytes(octets), at + 1 + size


@lru_cache(1_000)
def dotted(content: bytes) -> str:
    """Return an object identifier as text. Raises `Malformed` (X.690 §8.19)."""
    if not content or len(content) > _MOST_OF_OID or content[-1] & _MORE:
        raise Malformed("an object identifier does not end, or is longer than any")
    arcs, arc = list[int](), 0
    for octet in content:
        arc = arc << 7 | octet & ~_MORE
        if not octet & _MORE:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))
