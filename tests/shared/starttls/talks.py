"""What servers say, answer by answer, and a driver that hands it to a dialogue in pieces of any size."""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shared.starttls import PROTOCOLS, Framing

NAME = "host.test"
MYSQL_SALT = struct.pack("<I8sx", 7, b"saltsalt")


@dataclass(frozen=True)
class Talk:
    """A protocol, and the server's answers: one for each time the dialogue has something to say, or greets."""

    protocol: str
    answers: tuple[bytes, ...]

    def __str__(self) -> str:
        return self.protocol


@dataclass(frozen=True)
class Outcome:
    """What was sent, piece by piece, and how TLS is framed."""

    sent: tuple[bytes, ...]
    framing: Framing | None


def mysql_packet(payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + b"\0" + payload


def mysql_greeting(capabilities: int) -> bytes:
    return mysql_packet(
        b"\x0a8.0.36\0" + MYSQL_SALT + struct.pack("<HBHH", capabilities, 33, 2, 0xC001) + bytes(13)
    )


def tds_packet(content: bytes, *, kind: int = 4, status: int = 1) -> bytes:
    return struct.pack("!BBHHBB", kind, status, 8 + len(content), 0, 1, 0) + content


def tds_prelogin(encryption: int) -> bytes:
    table = struct.pack("!BHHBHH", 0, 11, 6, 1, 17, 1) + b"\xff"
    return table + bytes.fromhex("0f0007d00000") + bytes([encryption])


def ldap_response(
    result: int, words: bytes = b"", *, message_id: int = 1, is_long: bool = False, response: int = 0x78
) -> bytes:
    """`is_long` writes lengths in four bytes, as Active Directory does."""

    def element(tag: int, content: bytes) -> bytes:
        length = b"\x84" + struct.pack("!I", len(content)) if is_long else bytes([len(content)])
        return bytes([tag]) + length + content

    body = element(0x0A, bytes([result])) + element(0x04, b"") + element(0x04, words)
    return element(0x30, element(0x02, bytes([message_id])) + element(response, body))


def rdp_confirm(negotiation: bytes) -> bytes:
    body = struct.pack("!BBHHB", 6 + len(negotiation), 0xD0, 0, 0x1234, 0) + negotiation
    return struct.pack("!BxH", 3, 4 + len(body)) + body


def rdp_negotiation(kind: int, value: int) -> bytes:
    return rdp_confirm(struct.pack("<BBHI", kind, 0, 8, value))


STREAM = b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' from='host.test' version='1.0'>"
FEATURES = (
    b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
    b"<mechanisms><mechanism>PLAIN</mechanism></mechanisms></stream:features>"
)
PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
EHLO = b"250-mail.test\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 8BITMIME\r\n"
SIEVE = b'"IMPLEMENTATION" "Dovecot"\r\n"SIEVE" {4}\r\nfoo \r\n"STARTTLS"\r\nOK "ready"\r\n'

GOOD = (
    Talk("smtp", (b"220-mail.test ESMTP\r\n220 hello\r\n", EHLO, b"220 2.0.0 Ready\r\n")),
    Talk("lmtp", (b"220 mail.test LMTP\r\n", EHLO, b"220 go\r\n")),
    Talk("imap", (b"* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n", b"e2 OK go\r\n")),
    Talk("imap", (b"* OK hi\r\n", b"* CAPABILITY IMAP4rev1 starttls\r\ne1 OK\r\n", b"e2 OK go\r\n")),
    Talk("imap", (b"* OK hi\r\n", b"e1 BAD what?\r\n", b"* OK [ALERT] x\r\ne2 OK go\r\n")),
    Talk("pop3", (b"+OK hi\r\n", b"+OK list\r\nUSER\r\nSTLS\r\n.\r\n", b"+OK go\r\n")),
    Talk("pop3", (b"+OK hi\r\n", b"-ERR unknown\r\n", b"+OK go\r\n")),
    Talk("ftp", (b"220-hi\r\n all\r\n220-of you\r\n220 ftp\r\n", b"234 go\r\n")),
    Talk("ftp", (b"120 soon\r\n220 ftp\r\n", b"334 go\r\n")),
    Talk("ldap", (ldap_response(0),)),
    Talk("ldap", (ldap_response(0, is_long=True),)),
    Talk("xmpp", (STREAM + FEATURES, PROCEED)),
    Talk("xmpp-server", (b"\xef\xbb\xbf\n" + STREAM + FEATURES, PROCEED)),
    Talk("postgres", (b"S",)),
    Talk("mysql", (mysql_greeting(0xF7FF | 0x0800),)),
    Talk("nntp", (b"200 news\r\n", b"101 list\r\nVERSION 2\r\nSTARTTLS\r\n.\r\n", b"382 go\r\n")),
    Talk("nntp", (b"201 news\r\n", b"500 what?\r\n", b"382 go\r\n")),
    Talk("sieve", (SIEVE, b"OK\r\n")),
    Talk("irc", (b":irc.test NOTICE * :hi\r\nPING :1\r\n@time=1 :irc.test 670 * :go\r\n",)),
    Talk("mssql", (tds_packet(tds_prelogin(1)),)),
    Talk("mssql", (tds_packet(tds_prelogin(3)[:9], status=0) + tds_packet(tds_prelogin(3)[9:], kind=0x12),)),
    Talk("rdp", (rdp_negotiation(2, 1),)),
    Talk("rdp", (rdp_negotiation(2, 2),)),
)


def drive(talk: Talk, *, pieces: int | None = None) -> Outcome:
    """Play the server; each answer is sent in pieces of so many bytes, and whole if none is given.

    Raises `LookupError` where the dialogue waits for more than there is.
    """
    dialogue = PROTOCOLS[talk.protocol].dialogue(NAME)
    arriving = _arriving(talk.answers, pieces=pieces)
    sent = [next(dialogue)]
    while True:
        data = next(arriving, None)
        if data is None:
            raise LookupError("the dialogue waits for more")
        try:
            sent.append(dialogue.send(data))
        except StopIteration as end:
            return Outcome(sent=tuple(each for each in sent if each), framing=end.value)


def _arriving(answers: Iterable[bytes], *, pieces: int | None) -> Iterator[bytes]:
    for answer in answers:
        size = pieces or len(answer)
        yield from (answer[at : at + size] for at in range(0, len(answer), size))


def feed(protocol: str, *, data: Iterable[bytes]) -> None:
    """Feed anything. Raises what the dialogue raises, or `LookupError` where it waits for more than there is."""
    dialogue = PROTOCOLS[protocol].dialogue(NAME)
    next(dialogue)
    for each in data:
        try:
            dialogue.send(each)
        except StopIteration:
            return
    raise LookupError("the dialogue waits for more")
