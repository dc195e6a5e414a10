"""What can be read of a certificate that nobody should have made: field by field, each on its own.

One of the ordinary form is read at once (`shared.ordinary`). Of others: a parser that says no to a certificate says no to all of it. Here its answer is taken for each field that it can give;
for the others the bytes are walked, and where that fails too the field is empty and the reason is kept. Nothing raises.
"""

import ipaddress
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from re import compile as pattern
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key

from shared import der, oids, ordinary
from shared import x509 as whole
from shared.der import Malformed, Value
from shared.fields import Fields, Partial

MOST_EXTENSIONS = 1_000
_DNS_NAME, _ADDRESS = 0x82, 0x87
_SAN, _BASIC_CONSTRAINTS, _COMMON_NAME = "2.5.29.17", "2.5.29.19", "2.5.4.3"
_STRINGS = {0x0C: "utf-8", 0x1E: "utf-16-be", 0x1C: "utf-32-be"}
_ONE_OCTET = (0x12, 0x13, 0x14, 0x16, 0x1A, 0x1B)
_TIME = pattern(r"(\d{10}|\d{12}|\d{14})(?:[.,]\d+)?(Z|[+-]\d{4})?")
T = TypeVar("T")


@dataclass(kw_only=True)
class _Parts:
    """The pieces of a certificate as they lie in its bytes (RFC 5280 §4.1); those that are not found are None."""

    version: int = 1
    serial: Value | None = None
    issuer: Value | None = None
    validity: Value | None = None
    subject: Value | None = None
    key: Value | None = None
    signature: Value | None = None
    extensions: list[tuple[str, bytes]] = field(default_factory=list)
    trailing: int = 0
    faults: dict[str, str] = field(default_factory=dict)


def read(data: bytes) -> Partial:
    """Read what can be read. Takes time in proportion to the bytes, and never raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        certificate, refused = _strictly(data)
        if certificate is not None and (found := ordinary.read(data)) is not None:
            return found
        return _carefully(data, certificate, refused)


def carefully(data: bytes) -> Partial:
    """Read what can be read, field by field, also where the bytes are of the ordinary form."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _carefully(data, *_strictly(data))


def _carefully(data: bytes, certificate: x509.Certificate | None, refused: str | None) -> Partial:
    parts = _parts(data)
    if certificate is None and parts is None:
        return Partial(fields=Fields(), unread={"whole": refused or "it is no certificate"}, refused=refused)
    parts = parts or _Parts()
    unread = dict(parts.faults)
    fields = _fields(certificate, parts, unread)
    seen = [oid for oid, _ in parts.extensions]
    return Partial(
        fields=fields,
        unread=unread,
        refused=refused,
        is_version_1=parts.version == 1,
        trailing=parts.trailing,
        repeated=tuple(sorted({oid for oid in seen if seen.count(oid) > 1}))
        if len(seen) <= MOST_EXTENSIONS
        else (),
        extension_size=max((len(content) for _, content in parts.extensions), default=0),
        rsa_exponent=_or_none(lambda: _rsa_numbers(parts.key)[1] if parts.key else None),
    )


def _strictly(data: bytes) -> tuple[x509.Certificate | None, str | None]:
    try:
        return x509.load_der_x509_certificate(data), None
    except Exception as error:  # noqa: BLE001 - whatever a stranger's bytes find in a parser
        return None, f"{type(error).__name__}: {error}"


def _fields(certificate: x509.Certificate | None, parts: _Parts, unread: dict[str, str]) -> Fields:
    """Ask the parser for each field, and the bytes where it has no answer."""

    def ask(name: str, parsed: Callable[[x509.Certificate], T], walked: Callable[[], T], *, default: T) -> T:
        reason = ""
        if certificate is not None:
            try:
                return parsed(certificate)
            except Exception as error:  # noqa: BLE001 - as above
                reason = str(error) or type(error).__name__
        try:
            return walked()
        except Exception as error:  # noqa: BLE001 - as above
            unread.setdefault(name, reason or str(error) or type(error).__name__)
            return default

    nothing: tuple[str | None, int | None] = (None, None)
    key_type, key_bits = ask("key", _parsed_key, lambda: _described(_there(parts.key)), default=nothing)
    return Fields(
        serial=ask(
            "serial", lambda parsed: f"{parsed.serial_number:x}", lambda: _serial(parts), default=None
        ),
        subject=ask(
            "subject",
            lambda parsed: parsed.subject.rfc4514_string(),
            lambda: _name(parts.subject),
            default=None,
        ),
        issuer=ask(
            "issuer", lambda parsed: parsed.issuer.rfc4514_string(), lambda: _name(parts.issuer), default=None
        ),
        names=ask("names", whole.names, lambda: _names(parts, unread), default=()),
        not_before=ask(
            "not_before",
            lambda parsed: parsed.not_valid_before_utc,
            lambda: _time(_validity(parts)[0]),
            default=None,
        ),
        not_after=ask(
            "not_after",
            lambda parsed: parsed.not_valid_after_utc,
            lambda: _time(_validity(parts)[1]),
            default=None,
        ),
        key_type=key_type,
        key_bits=key_bits,
        key_fingerprint=ask(
            "key",
            lambda parsed: whole.key_fingerprint(parsed.public_key()),
            lambda: sha256(_there(parts.key).encoded).hexdigest(),
            default=None,
        ),
        signature_algorithm=ask(
            "signature_algorithm",
            lambda parsed: whole.algorithm_name(parsed.signature_algorithm_oid.dotted_string),
            lambda: whole.algorithm_name(_algorithm(_there(parts.signature))),
            default=None,
        ),
        is_ca=ask("is_ca", whole.is_ca, lambda: _is_ca(parts), default=False),
        is_self_issued=parts.subject is not None
        and parts.issuer is not None
        and parts.subject.encoded == parts.issuer.encoded,
    )


def _parsed_key(parsed: x509.Certificate) -> tuple[str | None, int | None]:
    return whole.describe_key(parsed.public_key())


def _there(part: Value | None) -> Value:
    if part is None:
        raise Malformed("it is not there")
    return part


def _or_none(call: Callable[[], T]) -> T | None:
    try:
        return call()
    except Exception:  # noqa: BLE001 - only used where empty is an answer
        return None


def _parts(data: bytes) -> _Parts | None:
    """Take a certificate apart as far as that goes; None where there is nothing of one."""
    parts = _Parts()
    try:
        outer = der.value(data).expect(der.SEQUENCE)
        parts.trailing = len(data) - len(outer.encoded)
        body = der.value(outer.content)
        inner = body.expect(der.SEQUENCE).inside()
    except Malformed:
        return None
    try:
        _take(parts, inner)
    except (Malformed, StopIteration, RecursionError) as error:
        parts.faults["tail"] = str(error) or "it ends too early"
    if parts.signature is None:
        parts.signature = _or_none(lambda: der.value(outer.content, len(body.encoded)).expect(der.SEQUENCE))
    return parts if parts.serial is not None else None


def _take(parts: _Parts, inner: Iterator[Value]) -> None:
    first = next(inner)
    if first.tag == 0xA0:  # noqa: PLR2004 - [0] EXPLICIT Version
        parts.version = (
            int.from_bytes(der.value(first.content).expect(der.INTEGER).content[:8], signed=True) + 1
        )
        first = next(inner)
    parts.serial = first.expect(der.INTEGER)
    parts.signature = next(inner)
    parts.issuer, parts.validity, parts.subject, parts.key = (
        next(inner),
        next(inner),
        next(inner),
        next(inner),
    )
    for more in inner:
        if more.tag == 0xA3:  # noqa: PLR2004 - [3] EXPLICIT Extensions
            for each in der.value(more.content).expect(der.SEQUENCE).inside():
                parts.extensions.append(_extension(each))


def _extension(part: Value) -> tuple[str, bytes]:
    """Return which one it is, and what it says; between them it may say that it is critical."""
    members = list(part.expect(der.SEQUENCE).inside())
    if len(members) < 2:  # noqa: PLR2004 - its kind and its value
        raise Malformed("an extension says nothing")
    return der.dotted(members[0].expect(der.OID).content), members[-1].content


def _serial(parts: _Parts) -> str:
    content = _there(parts.serial).content
    if not content:
        raise Malformed("it has no octets")
    return f"{int.from_bytes(content, signed=True):x}"


def _validity(parts: _Parts) -> tuple[Value, Value]:
    before, after = _there(parts.validity).expect(der.SEQUENCE).inside()
    return before, after


def _time(part: Value) -> datetime:
    """Read a UTCTime or GeneralizedTime, also in the forms that RFC 5280 §4.1.2.5 rules out."""
    text = part.content.decode("ascii")
    found = _TIME.fullmatch(text)
    is_short = part.tag == 0x17  # noqa: PLR2004 - UTCTime
    if found is None or (not is_short and part.tag != 0x18):  # noqa: PLR2004 - GeneralizedTime
        raise Malformed(f"{text[:40]!r} is no time")
    digits, zone = found.groups()
    if is_short and len(digits) == 14:  # noqa: PLR2004 - what the standard writes them with
        raise Malformed(f"{text[:40]!r} is no UTCTime")
    if is_short:
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    digits = digits.ljust(14, "0")
    said = datetime.strptime(digits, "%Y%m%d%H%M%S")  # noqa: DTZ007 - the zone is a part of its own
    return said.replace(tzinfo=_zone(zone)).astimezone(UTC)


def _zone(text: str | None) -> timezone:
    if text in (None, "Z"):
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[3:5]))
    return timezone(-offset if text[0] == "-" else offset)


def _name(part: Value | None) -> str:
    """Return a name as RFC 4514 §2 writes it, the last part first."""
    parts = []
    for relative in _there(part).expect(der.SEQUENCE).inside():
        pairs = []
        for attribute in relative.expect(der.SET).inside():
            kind, said = attribute.expect(der.SEQUENCE).inside()
            oid = der.dotted(kind.content)
            pairs.append(f"{oids.ATTRIBUTES.get(oid, oid)}={_escaped(_text(said))}")
        parts.append("+".join(pairs))
    return ",".join(reversed(parts))


def _text(said: Value) -> str:
    if said.tag in _STRINGS:
        return said.content.decode(_STRINGS[said.tag], "backslashreplace")
    if said.tag in _ONE_OCTET:
        return said.content.decode("latin-1")
    return "#" + said.encoded.hex()


def _escaped(text: str) -> str:
    text = "".join("\\" + each if each in '\\"+,;<>' else each for each in text)
    if text.startswith(" "):
        text = "\\" + text
    return text[:-1] + "\\ " if text.endswith(" ") and len(text) > 1 else text


def _names(parts: _Parts, unread: dict[str, str]) -> tuple[str, ...]:
    sans = [content for oid, content in parts.extensions if oid == _SAN]
    if not sans:
        return tuple(sorted(_common_names(parts)))
    found = set()
    for content in sans:
        try:
            for name in der.value(content).expect(der.SEQUENCE).inside():
                if name.tag == _DNS_NAME:
                    if not name.content.isascii():
                        unread.setdefault("names", "a DNS name is not of ASCII characters")
                    found.add(name.content.decode("utf-8", "backslashreplace").lower())
                elif name.tag == _ADDRESS:
                    found.add(str(ipaddress.ip_address(name.content)))
        except ValueError as error:
            unread.setdefault("names", str(error))
    return tuple(sorted(found))


def _common_names(parts: _Parts) -> Iterator[str]:
    for relative in _there(parts.subject).inside():
        for attribute in relative.inside():
            kind, said = attribute.inside()
            if der.dotted(kind.content) == _COMMON_NAME:
                yield _text(said).lower()


def _is_ca(parts: _Parts) -> bool:
    for oid, content in parts.extensions:
        if oid == _BASIC_CONSTRAINTS:
            said = next(der.value(content).expect(der.SEQUENCE).inside(), None)
            return said is not None and said.tag == der.BOOLEAN and said.content not in (b"\x00", b"")
    return False


def _algorithm(part: Value) -> str:
    return der.dotted(_first(part).expect(der.OID).content)


def _first(part: Value) -> Value:
    return der.value(part.expect(der.SEQUENCE).content)


def _described(key: Value) -> tuple[str | None, int | None]:
    """Return the type of a key and its size in bits, 0 where that is not known; of an unknown one its identifier."""
    try:
        return whole.describe_key(load_der_public_key(key.encoded))
    except Exception:  # noqa: BLE001 - the bytes say it too
        oid = _algorithm(_first(key))
    kind = oids.KEYS.get(oid, oid)
    if kind.startswith("rsa"):
        return kind, _rsa_numbers(key)[0].bit_length()
    if kind == "ecdsa":
        return _curve(key)
    if kind.startswith("gost-2012-"):
        return kind, int(kind.removeprefix("gost-2012-"))
    return kind, _length(key)


def _rsa_numbers(key: Value) -> tuple[int, int]:
    """Return modulus and exponent. Raises `Malformed` where it is no RSA key."""
    if not oids.KEYS.get(_algorithm(_first(key)), "").startswith("rsa"):
        raise Malformed("it is no RSA key")
    modulus, exponent = der.value(_bits(key)).expect(der.SEQUENCE).inside()
    return int.from_bytes(modulus.content), int.from_bytes(exponent.content)


def _curve(key: Value) -> tuple[str, int]:
    members = list(_first(key).inside())
    if len(members) < 2 or members[1].tag != der.OID:  # noqa: PLR2004 - algorithm and parameters
        return "ecdsa-explicit", 0
    name, bits = oids.CURVES.get(oid := der.dotted(members[1].content), (oid, 0))
    return f"ecdsa-{name}", bits


def _length(key: Value) -> int:
    return 8 * len(_or_none(lambda: _bits(key)) or b"")


def _bits(key: Value) -> bytes:
    _, bits = key.expect(der.SEQUENCE).inside()
    return bits.expect(der.BIT_STRING).content[1:]
