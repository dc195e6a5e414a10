"""Where fuzzing begins: answers as real servers give them, made anew each time."""

import base64
import struct
from collections.abc import Iterator
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from services.renewal.connectors.cmp import messages as cmp
from services.renewal.connectors.cmp.protection import SharedSecret
from services.renewal.connectors.cmp.writing import explicit, integer, sequence
from shared.revocation.ocsp import request_for
from shared.starttls import PROTOCOLS
from tests.fuzz.readers import (
    AUTHORITY,
    READERS,
    Read,
    converse,
    look_fast,
    look_full,
    read_answer,
    read_certificate,
    read_cmp,
    read_decrypted,
    read_est,
    read_flight,
    read_host,
    read_java,
    read_log,
    read_pkcs7,
    read_revocation,
    read_scep,
    read_ssl2,
)
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
    bytes.fromhex("0401001a00000000 00000b000601001100 01ff 000000000000 01 1201000c00000000 16030300"),
)
KINDS: tuple[KeyKind, ...] = ("ec", "rsa")
_TLS13 = bytes.fromhex("002b00020304")
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
_SSL2_HELLO = b"\x80\x2e\x04\0\1\0\2\x00\x04\x00\x06\x00\x10" + bytes(40)


def answers(ca: CertificateAuthority) -> Iterator[bytes]:
    """Return what servers answer a ClientHello: flights, a HelloRetryRequest, alerts, SSL 2.0, and no TLS at all."""
    for kind in KINDS:
        chain = odd.chain_of(ca.issue("seed.test", kind=kind))
        for version in (0x0300, 0x0301, 0x0303):
            yield odd.flight(chain, version=version)
    yield odd.record(hello_13(b"\x00\x33\x00\x02\x00\x18", random=_RETRY))
    yield odd.record(b"\2\x28", kind=21)
    yield odd.record(b"\1\x70", kind=21) + odd.flight(chain)
    yield _SSL2_HELLO
    yield b"HTTP/1.1 400 Bad Request\r\n\r\n"


def hello_13(extensions: bytes, *, random: bytes = bytes(32)) -> bytes:
    """Return a ServerHello of TLS 1.3."""
    listed = _TLS13 + extensions
    return odd.message(2, b"\3\3" + random + b"\0\x13\x01\0" + len(listed).to_bytes(2, "big") + listed)


def decrypted(chain: list[bytes]) -> bytes:
    """Return the messages that a server of TLS 1.3 encrypts, with the type of their record behind them."""
    entries = b"".join(len(der).to_bytes(3, "big") + der + b"\0\0" for der in chain)
    alpn = bytes.fromhex("00050003026832")
    extensions = b"\0\x10" + alpn
    messages = odd.message(8, len(extensions).to_bytes(2, "big") + extensions)
    return messages + odd.message(11, b"\0" + len(entries).to_bytes(3, "big") + entries) + b"\x16"


def seeds() -> Iterator[bytes]:
    """Return inputs of `read_any`."""
    ca = CertificateAuthority()
    for kind in KINDS:
        chain = odd.chain_of(ca.issue("seed.test", kind=kind))
        yield _to(read_certificate, chain[0])
        yield _to(read_decrypted, decrypted(chain))
    yield _to(read_certificate, ca.certificate.public_bytes(Encoding.DER))
    yield _to(read_ssl2, b"\x40" + _SSL2_HELLO)
    issued = pkcs7.serialize_certificates([ca.certificate], Encoding.DER)
    yield _to(read_est, base64.b64encode(issued))
    yield _to(read_cmp, cmp_answer(ca))
    yield _to(read_pkcs7, issued)
    yield _to(read_host, b"\x40" + files())
    yield _to(read_scep, issued)
    yield from documents()
    said = list(answers(ca))
    for answer in said:
        yield _to(read_flight, b"\0\x40" + answer)
        yield _to(read_host, answer)
        yield _to(look_fast, in_turns(answer))
        yield _to(look_full, in_turns(answer))
    yield _to(look_fast, in_turns(*said[6:8], said[3], said[9]))
    yield _to(look_full, in_turns(said[5], said[6], said[7]))
    for greeting in GREETINGS:
        for number in range(len(PROTOCOLS)):
            yield _to(converse, bytes([number, 0xFF]) + greeting)


def documents() -> Iterator[bytes]:
    """Return inputs of the readers of keystores, logs, revocations and answers in clear."""
    der = AUTHORITY.certificate.public_bytes(Encoding.DER)
    java = struct.pack("!IIII", 0xFEEDFEED, 2, 1, 2) + b"\0\1a" + bytes(8) + b"\0\5X.509"
    yield _to(read_java, java + struct.pack("!I", len(der)) + der + bytes(20))
    entry = bytes(8) + b"\0\0" + len(der).to_bytes(3, "big") + der + b"\0\0" + b"\0\0"
    yield _to(read_log, entry)
    root = base64.b64encode(bytes(32))
    yield _to(read_log, b"log.test/2026\n4\n" + root + b"\n\n\xe2\x80\x94 log.test/2026 AAAA\n")
    now, subject = datetime(2026, 1, 1, tzinfo=UTC), AUTHORITY.certificate.subject
    crl = x509.CertificateRevocationListBuilder(issuer_name=subject, last_update=now, next_update=now)
    yield _to(read_revocation, crl.sign(AUTHORITY.key, hashes.SHA256()).public_bytes(Encoding.DER))
    yield _to(read_revocation, request_for(AUTHORITY.certificate, AUTHORITY.certificate))
    yield _to(
        read_answer, b"HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1; includeSubDomains\r\n\r\n"
    )
    yield _to(read_answer, b'{"pending": "17", "retry_after": 60}')


def files() -> bytes:
    """Return what an SFTP server says: its version, a path, attributes, a handle, and what space is left."""
    attributes = struct.pack("!IQIII", 0b111, 9, 0, 0, 0o100644)
    answers = (
        (2, struct.pack("!I", 3)),
        (104, struct.pack("!III", 0, 1, 1) + b"/" + bytes(8)),
        (105, struct.pack("!I", 1) + attributes),
        (102, struct.pack("!II", 2, 1) + b"h"),
        (201, struct.pack("!I11Q", 3, *range(11))),
    )
    return b"".join(struct.pack("!IB", 1 + len(body), kind) + body for kind, body in answers)


def cmp_answer(ca: CertificateAuthority) -> bytes:
    """Return what a CA says that has issued."""
    granted = sequence(integer(0))
    certificate = explicit(0, ca.certificate.public_bytes(Encoding.DER))
    response = sequence(integer(-1), granted, sequence(certificate))
    protection = SharedSecret(reference=b"seed", secret=b"seed")
    dialogue = cmp.Dialogue(transaction=b"", their_nonce=b"")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    content = sequence(sequence(response))
    return cmp.ask(cmp.Body.CP, content, protection=protection, dialogue=dialogue, now=now).der


def in_turns(*said: bytes) -> bytes:
    """Return what the connections of one look hear, each its own."""
    return b"".join(len(words).to_bytes(2, "big") + words for words in said)


def _to(reader: Read, data: bytes) -> bytes:
    return bytes([READERS.index(reader)]) + data
