"""Where fuzzing begins: answers as real servers give them, made anew each time."""

from collections.abc import Iterator

from cryptography.hazmat.primitives.serialization import Encoding

from services.discovery.scanner.starttls import PROTOCOLS
from tests.fuzz.readers import READERS, Read, converse, read_certificate, read_flight, read_ssl2
from tests.servers import odd
from tests.servers.tls import CertificateAuthority, KeyKind

GREETINGS = (
    b"220 mx ESMTP\r\n250-mx\r\n250 STARTTLS\r\n220 go\r\n",
    b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n* CAPABILITY STARTTLS\r\na OK\r\n",
    b"+OK ready\r\n+OK\r\nSTLS\r\n.\r\n+OK\r\n",
    b'"STARTTLS"\r\nOK\r\nOK\r\n',
    b"<?xml version='1.0'?><stream:stream><stream:features><starttls/></stream:features><proceed/>",
    b"S",
    bytes.fromhex("300c02010178070a010004000400"),
    b"J\0\0\0\x0a8.0.36\0" + bytes(70),
)


def seeds() -> Iterator[bytes]:
    """Return inputs of `read_any`."""
    ca = CertificateAuthority()
    kinds: tuple[KeyKind, ...] = ("ec", "rsa")
    for kind in kinds:
        chain = odd.chain_of(ca.issue("seed.test", kind=kind))
        yield _to(read_certificate, chain[0])
        for version in (0x0300, 0x0301, 0x0303):
            yield _to(read_flight, b"\0\x40" + odd.flight(chain, version=version))
        yield _to(read_ssl2, b"\x40\x80\x2e\x04\0\1\0\2\x00\x04\x00\x06\x00\x10" + bytes(40))
    yield _to(read_certificate, ca.certificate.public_bytes(Encoding.DER))
    for greeting in GREETINGS:
        for number in range(len(PROTOCOLS)):
            yield _to(converse, bytes([number, 0xFF]) + greeting)


def _to(reader: Read, data: bytes) -> bytes:
    return bytes([READERS.index(reader)]) + data
