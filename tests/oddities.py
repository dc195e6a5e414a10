"""Certificates nobody should have made, built byte by byte, each with what a reader is to say of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from cryptography.hazmat.primitives.asymmetric import dsa, ec, mldsa, mlkem
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SEQUENCE, SET, INTEGER, BITS, OCTETS, OID, UTF8, IA5, UTC_TIME, GENERALIZED = (
    0x30, 0x31, 0x02, 0x03, 0x04, 0x06, 0x0C, 0x16, 0x17, 0x18,
)  # fmt: skip


def tlv(tag: int, *content: bytes) -> bytes:
    """Encode a value."""
    body = b"".join(content)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    size = (len(body).bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + len(body).to_bytes(size) + body


def integer(value: int) -> bytes:
    return tlv(INTEGER, value.to_bytes((value + (value < 0)).bit_length() // 8 + 1, signed=True))


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    return tlv(OID, b"".join(_arc(arc) for arc in (40 * first + second, *rest)))


def _arc(number: int) -> bytes:
    octets = [number & 0x7F]
    while number := number >> 7:
        octets.append(number & 0x7F | 0x80)
    return bytes(reversed(octets))


def algorithm(dotted: str, *parameters: bytes) -> bytes:
    return tlv(SEQUENCE, oid(dotted), *parameters)


def name(*values: bytes, kind: str = "2.5.4.3", tag: int = UTF8) -> bytes:
    return tlv(SEQUENCE, *(tlv(SET, tlv(SEQUENCE, oid(kind), tlv(tag, value))) for value in values))


def validity(before: bytes, after: bytes, *, tags: tuple[int, int] = (UTC_TIME, UTC_TIME)) -> bytes:
    return tlv(SEQUENCE, tlv(tags[0], before), tlv(tags[1], after))


def extension(dotted: str, content: bytes) -> bytes:
    return tlv(SEQUENCE, oid(dotted), tlv(OCTETS, content))


def san(*names: bytes) -> bytes:
    return extension("2.5.29.17", tlv(SEQUENCE, *(tlv(0x82, each) for each in names)))


def key(dotted: str, bits: bytes, *parameters: bytes) -> bytes:
    return tlv(SEQUENCE, algorithm(dotted, *parameters), tlv(BITS, b"\0", bits))


def rsa_key(modulus: int, exponent: int = 65537) -> bytes:
    return key("1.2.840.113549.1.1.1", tlv(SEQUENCE, integer(modulus), integer(exponent)), b"\5\0")


def spki(public: object) -> bytes:
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]


@cache
def ec_key() -> bytes:
    return spki(ec.generate_private_key(ec.SECP256R1()).public_key())


ECDSA = "1.2.840.10045.4.3.2"
YEAR = validity(b"260101000000Z", b"270101000000Z")


@dataclass(frozen=True, kw_only=True)
class Odd:
    """A certificate in its pieces; those that are not given are in order."""

    codes: tuple[str, ...]
    """All that is to be found of it."""
    version: bytes = tlv(0xA0, integer(2))
    serial: bytes = field(default_factory=lambda: integer(0xABC123))
    signature: bytes = algorithm(ECDSA)
    issuer: bytes = name(b"Odd CA")
    validity: bytes = YEAR
    subject: bytes = name(b"odd.test")
    key: bytes = field(default_factory=ec_key)
    extensions: tuple[bytes, ...] = (san(b"odd.test"),)
    behind: bytes = b""
    der: bytes | None = None

    def bytes(self) -> bytes:
        """Encode it."""
        return self.der or _encoded(self)


@cache
def _encoded(odd: Odd) -> bytes:
    extensions = [tlv(0xA3, tlv(SEQUENCE, *odd.extensions))] if odd.extensions else []
    pieces = (odd.version, odd.serial, odd.signature, odd.issuer, odd.validity, odd.subject, odd.key)
    signature = tlv(BITS, b"\0", tlv(SEQUENCE, integer(1), integer(1)))
    return tlv(SEQUENCE, tlv(SEQUENCE, *pieces, *extensions), odd.signature, signature) + odd.behind


def corpus() -> Iterator[tuple[str, Odd]]:
    """Yield each with its name."""
    yield from _forms()
    yield from _serials()
    yield from _times()
    yield from _names()
    yield from _keys()


def _forms() -> Iterator[tuple[str, Odd]]:
    good = Odd(codes=()).bytes()
    yield "nothing wrong", Odd(codes=())
    yield "no bytes to speak of", Odd(codes=("unreadable",), der=b"\x30\x00")
    yield "cut off", Odd(codes=("unreadable",), der=good[:-7])
    yield "no DER at all", Odd(codes=("unreadable",), der=b"-----BEGIN CERTIFICATE-----")
    yield "of indefinite length", Odd(codes=("unreadable",), der=b"\x30\x80" + good[4:] + b"\0\0")
    yield "with bytes behind it", Odd(codes=("refused", "trailing-bytes"), behind=b"\0\0\0")
    yield "of version 1", Odd(codes=("version-1",), version=b"", extensions=())
    yield "of version 9", Odd(codes=("refused",), version=tlv(0xA0, integer(8)))
    yield (
        "with an extension twice",
        Odd(codes=("repeated-extension",), extensions=(san(b"a.test"), san(b"b.test"))),
    )
    yield (
        "with a mebibyte in an extension",
        Odd(
            codes=("large-extension",),
            extensions=(san(b"odd.test"), extension("1.3.6.1.4.1.55555.1", bytes(1 << 20))),
        ),
    )
    yield (
        "with an extension that is none",
        Odd(codes=("refused", "unreadable-extensions"), extensions=(tlv(OCTETS, b"x"),)),
    )
    for kind, members in (("of nothing", ()), ("that says nothing", (oid("2.5.29.17"),))):
        yield (
            f"with an extension {kind}",
            Odd(codes=("refused", "unreadable-extensions"), extensions=(tlv(SEQUENCE, *members),)),
        )
    yield (
        "with alternative names that are none",
        Odd(codes=("unreadable-names",), extensions=(extension("2.5.29.17", b"\x30\x03\x82\x7fa"),)),
    )
    yield (
        "with an address of five octets",
        Odd(
            codes=("unreadable-names",),
            extensions=(extension("2.5.29.17", tlv(SEQUENCE, tlv(0x82, b"a.test"), tlv(0x87, bytes(5)))),),
        ),
    )
    yield (
        "with constraints that are none",
        Odd(
            codes=("unreadable-extensions",),
            extensions=(san(b"odd.test"), extension("2.5.29.19", b"\x04\x01x")),
        ),
    )


def _serials() -> Iterator[tuple[str, Odd]]:
    yield "with a negative serial", Odd(codes=("serial-not-positive",), serial=integer(-5))
    yield "with serial zero", Odd(codes=("serial-not-positive",), serial=integer(0))
    yield "with a serial of a hundred octets", Odd(codes=("serial-too-long",), serial=integer(1 << 795))
    yield "with a serial of ten thousand octets", Odd(codes=("serial-too-long",), serial=integer(1 << 79999))
    yield "with a serial of no octets", Odd(codes=("refused", "unreadable-serial"), serial=tlv(INTEGER))


def _times() -> Iterator[tuple[str, Odd]]:
    generalized = (GENERALIZED, GENERALIZED)
    yield (
        "that ends before it begins",
        Odd(codes=("ends-before-it-begins",), validity=validity(b"270101000000Z", b"260101000000Z")),
    )
    yield (
        "that never ends",
        Odd(
            codes=("never-ends",),
            validity=validity(b"260101000000Z", b"99991231235959Z", tags=(UTC_TIME, GENERALIZED)),
        ),
    )
    yield (
        "of the year 0",
        Odd(
            codes=("unreadable-validity",),
            validity=validity(b"00000101000000Z", b"20270101000000Z", tags=generalized),
        ),
    )
    yield "without seconds", Odd(codes=("refused",), validity=validity(b"2601010000Z", b"2701010000Z"))
    yield (
        "with a time zone",
        Odd(codes=("refused",), validity=validity(b"260101000000+0100", b"270101000000-0730")),
    )
    yield (
        "with fractions of seconds",
        Odd(
            codes=("refused",), validity=validity(b"20260101000000.5Z", b"20270101000000Z", tags=generalized)
        ),
    )
    yield (
        "of the 31st of February",
        Odd(codes=("refused", "unreadable-validity"), validity=validity(b"260101000000Z", b"270231000000Z")),
    )
    yield (
        "with a general time before 2050",
        Odd(codes=(), validity=validity(b"20260101000000Z", b"20270101000000Z", tags=generalized)),
    )
    yield (
        "with a text for a time",
        Odd(codes=("refused", "unreadable-validity"), validity=validity(b"next week", b"270101000000Z")),
    )


def _names() -> Iterator[tuple[str, Odd]]:
    yield (
        "with twenty thousand names",
        Odd(codes=("large-extension", "too-many-names"), extensions=(san(*many_names()),)),
    )
    yield (
        "with a NUL in a name",
        Odd(codes=("control-characters",), extensions=(san(b"good.test\0.evil.test"),)),
    )
    yield (
        "with a terminal's commands in a name",
        Odd(codes=("control-characters",), subject=name(b"\x1b[2Jodd\r\n")),
    )
    yield (
        "with a name written backwards",
        Odd(codes=("direction-marks",), subject=name("odd\u202etset.live".encode())),
    )
    yield (
        "with a name that is no UTF-8",
        Odd(codes=("unreadable-names",), extensions=(san(b"\xff\xfe.test"),)),
    )
    yield "with a subject that is no UTF-8", Odd(codes=(), subject=name(b"\xff\xfe\xfd"))
    yield "with a subject of integers", Odd(codes=(), subject=name(b"\1", tag=INTEGER))
    yield "with a country of twenty letters", Odd(codes=(), subject=name(b"x" * 20, kind="2.5.4.6"))
    yield "with a name of a thousand letters", Odd(codes=("too-long-name",), extensions=(san(b"x" * 1000),))
    yield "with a subject of a mebibyte", Odd(codes=("too-long-name",), subject=name(b"y" * (1 << 20)))
    yield "with no name at all", Odd(codes=("nameless",), subject=tlv(SEQUENCE), extensions=())
    yield (
        "with a subject that is no name",
        Odd(codes=("refused", "unreadable-subject"), subject=tlv(SEQUENCE, b"\5\0")),
    )


def many_names() -> list[bytes]:
    """Return twenty thousand names."""
    return [b"host-%05d.many.test" % number for number in range(20_000)]


def _keys() -> Iterator[tuple[str, Odd]]:
    yield "with an RSA key of exponent 1", Odd(codes=("rsa-exponent",), key=rsa_key((1 << 2047) + 1, 1))
    yield "with an RSA key of 16384 bits", Odd(codes=("large-key",), key=rsa_key((1 << 16383) + 1))
    yield (
        "with a key for RSA-PSS alone",
        Odd(
            codes=(),
            key=key("1.2.840.113549.1.1.10", tlv(SEQUENCE, integer((1 << 2047) + 1), integer(65537))),
        ),
    )
    yield "with a DSA key", Odd(codes=(), key=spki(_dsa()))
    yield (
        "with an ML-DSA key",
        Odd(
            codes=(),
            key=spki(mldsa.MLDSA65PrivateKey.generate().public_key()),
            signature=algorithm("2.16.840.1.101.3.4.3.18"),
        ),
    )
    yield "with an ML-KEM key", Odd(codes=(), key=spki(mlkem.MLKEM768PrivateKey.generate().public_key()))
    yield "with an ML-KEM key of the small kind", Odd(codes=(), key=key("2.16.840.1.101.3.4.4.1", bytes(800)))
    yield (
        "with a GOST key",
        Odd(
            codes=(),
            key=key("1.2.643.7.1.1.1.1", tlv(OCTETS, bytes(64)), tlv(SEQUENCE, oid("1.2.643.7.1.2.1.1.1"))),
            signature=algorithm("1.2.643.7.1.1.3.2"),
        ),
    )
    yield "with a key of no known kind", Odd(codes=("unknown-key",), key=key("1.3.6.1.4.1.55555.2", b"key"))
    yield (
        "with a signature of no known kind",
        Odd(codes=("unknown-signature",), signature=algorithm("1.3.6.1.4.1.55555.3")),
    )
    yield (
        "with a curve of no known name",
        Odd(
            codes=("unknown-key",),
            key=key("1.2.840.10045.2.1", b"\4" + bytes(64), oid("1.3.6.1.4.1.55555.4")),
        ),
    )
    yield (
        "with a curve in numbers",
        Odd(codes=("explicit-curve",), key=key("1.2.840.10045.2.1", b"\4" + bytes(64), _numbers())),
    )
    yield "with a key that is none", Odd(codes=("refused", "unreadable-key"), key=tlv(SEQUENCE, b"\5\0"))


@cache
def _dsa() -> dsa.DSAPublicKey:
    parameters = dsa.DSAParameterNumbers(p=(1 << 1023) + 1155, q=(1 << 159) + 7, g=2)
    return dsa.DSAPublicNumbers(y=4, parameter_numbers=parameters).public_key()


def _numbers() -> bytes:
    """Return P-256 as the numbers it is made of (RFC 3279 §2.3.5)."""
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    field_ = tlv(SEQUENCE, oid("1.2.840.10045.1.1"), integer(prime))
    curve = tlv(SEQUENCE, tlv(OCTETS, (prime - 3).to_bytes(32)), tlv(OCTETS, bytes(32)))
    return tlv(SEQUENCE, integer(1), field_, curve, tlv(OCTETS, b"\4" + bytes(64)), integer(prime - 2))
