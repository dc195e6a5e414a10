"""Certificates of the form that nearly all have, read in one pass over their bytes.

A parser that makes objects of every extension and loads every key takes five times as long for the dozen values that are kept.
Whatever is not of the ordinary form in some part is not read here at all: `shared.partial` reads it, which is careful with
everything, and what is read here is the same as it would be there (`tests/shared/test_ordinary.py`).
"""

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_address
from re import compile as pattern

from shared import der, oids
from shared import x509 as whole
from shared.fields import Fields, Partial

_VERSION_3 = b"\xa0\x03\x02\x01\x02"
_UNSIGNED, _UTC_TIME, _GENERALIZED_TIME, _UTF8, _PRINTABLE = 0x80, 0x17, 0x18, 0x0C, 0x13
_EXTENSIONS, _DNS_NAME, _ADDRESS = 0xA3, 0x82, 0x87
_SAN, _BASIC_CONSTRAINTS = b"\x55\x1d\x11", b"\x55\x1d\x13"
_BOOLEAN = b"\x01\x01"
"""How a truth value begins: its tag, and its length."""
_LONG_LENGTH = 0x80
"""Below it, an octet is the length itself (X.690 §8.1.3.4)."""
_NO_AUTHORITY = (b"\x30\x00", None)
_AUTHORITY = b"\x30\x03\x01\x01\xff"
_LIMITED_AUTHORITY = b"\x30\x06\x01\x01\xff\x02\x01"
"""Basic constraints with a path length of one octet."""
_LAST_CENTURY = "50"
"""The year of a UTCTime from which on it is of the twentieth century (RFC 5280 §4.1.2.5.1)."""
_MOST_OF_SERIAL = 20
_RSA = bytes.fromhex("300d06092a864886f70d0101010500")
_CURVES = {
    bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107"): ("ecdsa-p256", 256, 66),
    bytes.fromhex("301006072a8648ce3d020106052b81040022"): ("ecdsa-p384", 384, 98),
}
"""By the algorithm identifier: type, bits, and octets of a point with both coordinates as a BIT STRING holds it (RFC 5480 §2.2)."""
_POINT = b"\x00\x04"
_SPECIAL = str.maketrans({each: f"\\{each}" for each in '\\"+,;<>'})
_TEXT = pattern(r"[^\x00 #](?:[^\x00]*[^\x00 ])?")
"""Text in a name of which RFC 4514 §2.4 escapes nothing but those."""
_Head = tuple[int, int, int]
"""Of a value: its tag, where its content begins, and where it ends."""


class _Unusual(Exception):
    """Something is of another form."""


def read(data: bytes) -> Partial | None:
    """Return what an ordinary certificate says, which a strict parser has taken; None where it is not of that form."""
    try:
        return _read(data)
    except (_Unusual, IndexError, ValueError):
        return None


def _read(data: bytes) -> Partial:
    _, start, _ = _expect(data, 0, der.SEQUENCE)
    _, at, end = _expect(data, start, der.SEQUENCE)
    if data[at : at + len(_VERSION_3)] != _VERSION_3:
        raise _Unusual
    serial, at = _serial(data, at + len(_VERSION_3))
    signature, at = _whole(data, at)
    issuer, at = _whole(data, at)
    _, times, at = _expect(data, at, der.SEQUENCE)
    subject, at = _whole(data, at)
    key, at = _whole(data, at)
    if signature != _whole(data, end)[0]:  # once in what is signed and once beside it (RFC 5280 §4.1.1.2)
        raise _Unusual
    extensions = _extensions(data, at, end)
    not_before, next_time = _time(data, times)
    not_after, _ = _time(data, next_time)
    key_type, key_bits, exponent = _key(key)
    fields = Fields(
        serial=serial,
        subject=_name(subject),
        issuer=_known_name(issuer),
        names=_names(extensions.get(_SAN)),
        not_before=not_before,
        not_after=not_after,
        key_type=key_type,
        key_bits=key_bits,
        key_fingerprint=sha256(key).hexdigest(),
        signature_algorithm=_algorithm(signature),
        is_ca=_is_ca(extensions.get(_BASIC_CONSTRAINTS)),
        is_self_issued=subject == issuer,
    )
    largest = max(map(len, extensions.values()))
    return Partial(fields=fields, extension_size=largest, rsa_exponent=exponent)


def _head(data: bytes, at: int) -> _Head:
    length = data[at + 1]
    if length < _LONG_LENGTH:
        start = at + 2
    elif length == 0x81:  # noqa: PLR2004 - one octet more
        length, start = data[at + 2], at + 3
    elif length == 0x82:  # noqa: PLR2004 - two
        length, start = data[at + 2] << 8 | data[at + 3], at + 4
    else:
        raise _Unusual
    if start + length > len(data):
        raise _Unusual
    return data[at], start, start + length


def _expect(data: bytes, at: int, tag: int) -> _Head:
    head = _head(data, at)
    if head[0] != tag:
        raise _Unusual
    return head


def _whole(data: bytes, at: int) -> tuple[bytes, int]:
    """Return a sequence as it is encoded, and where it ends."""
    _, _, end = _expect(data, at, der.SEQUENCE)
    return data[at:end], end


def _inside(data: bytes, at: int, end: int) -> Iterator[_Head]:
    while at < end:
        head = _head(data, at)
        yield head
        at = head[2]
    if at != end:
        raise _Unusual


def _serial(data: bytes, at: int) -> tuple[str, int]:
    _, start, end = _expect(data, at, der.INTEGER)
    number = int.from_bytes(data[start:end])
    if data[start] >= _UNSIGNED or number == 0 or end - start > _MOST_OF_SERIAL:
        raise _Unusual
    return f"{number:x}", end


def _time(data: bytes, at: int) -> tuple[datetime, int]:
    """Return a time in one of the two forms that RFC 5280 §4.1.2.5 has, and where it ends."""
    tag, start, end = _head(data, at)
    text = data[start:end]
    years = 2 if tag == _UTC_TIME else 4
    if tag not in (_UTC_TIME, _GENERALIZED_TIME) or len(text) != years + 11 or text[-1:] != b"Z":
        raise _Unusual
    digits = text[:-1].decode("ascii")
    if not digits.isdigit():
        raise _Unusual
    century = "" if tag == _GENERALIZED_TIME else "19" if digits >= _LAST_CENTURY else "20"
    return datetime.fromisoformat(f"{century}{digits[:-6]}T{digits[-6:]}Z"), end


def _name(encoded: bytes) -> str:
    """Return a name as RFC 4514 §2 writes it, the last part first."""
    parts = []
    _, at, end = _head(encoded, 0)
    for _, start, stop in _inside(encoded, at, end):
        _, kind, pair_end = _expect(encoded, start, der.SEQUENCE)
        _, oid, said = _expect(encoded, kind, der.OID)
        tag, text, text_end = _head(encoded, said)
        if not pair_end == text_end == stop:  # two attributes beside each other, or something behind one
            raise _Unusual
        dotted = der.dotted(encoded[oid:said])
        parts.append(f"{oids.ATTRIBUTES.get(dotted, dotted)}={_text(tag, encoded[text:text_end])}")
    return ",".join(reversed(parts))


_known_name = lru_cache(4_096)(_name)
"""Few authorities issue many certificates."""


def _text(tag: int, content: bytes) -> str:
    if tag != _UTF8 and not (tag == _PRINTABLE and content.isascii()):
        raise _Unusual
    text = content.decode()
    if not _TEXT.fullmatch(text):
        raise _Unusual
    return text.translate(_SPECIAL)


def _names(san: bytes | None) -> tuple[str, ...]:
    if san is None:
        raise _Unusual
    _, at, end = _expect(san, 0, der.SEQUENCE)
    if end != len(san):
        raise _Unusual
    found = set()
    while at < end:
        tag, length = san[at], san[at + 1]
        start, stop = (at + 2, at + 2 + length) if length < _LONG_LENGTH else _head(san, at)[1:]
        content = san[start:stop]
        if tag == _DNS_NAME and content.isascii():
            found.add(content.decode().lower())
        elif tag == _ADDRESS:
            found.add(str(ip_address(content)))
        else:
            raise _Unusual
        at = stop
    if at != end:
        raise _Unusual
    return tuple(sorted(found))


def _extensions(data: bytes, at: int, end: int) -> dict[bytes, bytes]:
    """Return the content of each extension by its identifier; each is there once."""
    _, at, stop = _expect(data, at, _EXTENSIONS)
    _, at, listed = _expect(data, at, der.SEQUENCE)
    if not stop == listed == end:
        raise _Unusual
    found = dict[bytes, bytes]()
    while at < end:
        # Written out where lengths are of one octet, as most are: half of the values of a certificate are here.
        length = data[at + 1]
        start, after = (at + 2, at + 2 + length) if length < _LONG_LENGTH else _head(data, at)[1:]
        then = start + 2 + data[start + 1]
        name = data[start + 2 : then]
        if data[at] != der.SEQUENCE or data[start] != der.OID or data[start + 1] >= _LONG_LENGTH:
            raise _Unusual
        if data[then : then + 2] == _BOOLEAN:
            then += 3
        length = data[then + 1]
        content, ends = (then + 2, then + 2 + length) if length < _LONG_LENGTH else _head(data, then)[1:]
        if data[then] != der.OCTET_STRING or ends != after or name in found:
            raise _Unusual
        found[name] = data[content:ends]
        at = after
    if at != end:
        raise _Unusual
    return found


def _is_ca(constraints: bytes | None) -> bool:
    if constraints in _NO_AUTHORITY:
        return False
    if constraints == _AUTHORITY:
        return True
    if len(constraints) == len(_LIMITED_AUTHORITY) + 1 and constraints.startswith(_LIMITED_AUTHORITY):
        return True
    raise _Unusual


@lru_cache(1_000)
def _algorithm(encoded: bytes) -> str:
    _, at, _ = _head(encoded, 0)
    _, oid, end = _expect(encoded, at, der.OID)
    return whole.algorithm_name(der.dotted(encoded[oid:end]))


def _key(encoded: bytes) -> tuple[str, int, int | None]:
    """Return type and bits of a key, and the exponent of one for RSA."""
    _, at, end = _head(encoded, 0)
    algorithm, at = _whole(encoded, at)
    _, start, stop = _expect(encoded, at, der.BIT_STRING)
    if stop != end:
        raise _Unusual
    if algorithm == _RSA:
        return "rsa", *_rsa_numbers(encoded, start, stop)
    if algorithm not in _CURVES:
        raise _Unusual
    name, bits, octets = _CURVES[algorithm]
    if stop - start != octets or encoded[start : start + 2] != _POINT:
        raise _Unusual
    return name, bits, None


def _rsa_numbers(encoded: bytes, start: int, stop: int) -> tuple[int, int]:
    """Return the bits of the modulus, and the exponent (RFC 8017 §A.1.1); both as short as they can be written."""
    _, at, end = _expect(encoded, start + 1, der.SEQUENCE)
    numbers = list(_inside(encoded, at, end))
    if encoded[start] != 0 or end != stop or [tag for tag, *_ in numbers] != [der.INTEGER] * 2:
        raise _Unusual
    modulus, exponent = (encoded[begins:ends] for _, begins, ends in numbers)
    for number in (modulus, exponent):
        if number[0] >= _UNSIGNED or (number[0] == 0 and number[1] < _UNSIGNED):
            raise _Unusual
    return int.from_bytes(modulus).bit_length(), int.from_bytes(exponent)
