"""A port or a greeting tells the protocol, or nothing is said."""

import pytest

from shared.starttls import PROTOCOLS, by_banner, by_port
from tests.shared.starttls.talks import mysql_greeting, mysql_packet


@pytest.mark.parametrize(
    ("greeting", "name"),
    [
        (b"220 mail.test ESMTP Postfix\r\n", "smtp"),
        (b"220-mail.test\r\n220 Microsoft SMTP\r\n", "smtp"),
        (b"220 ftp.mail.test ESMTP\r\n", "smtp"),
        (b"220 mail.test LMTP ready\r\n", "lmtp"),
        (b"220 mail.test SMTP/LMTP\r\n", "lmtp"),
        (b"220 (vsFTPd 3.0.3)\r\n", "ftp"),
        (b"220-Welcome\r\n220 Pure-FTPd\r\n", "ftp"),
        (b"+OK Dovecot ready.\r\n", "pop3"),
        (b"* OK [CAPABILITY IMAP4rev1] ready\r\n", "imap"),
        (b"200 news.test InterNetNews NNRP server\r\n", "nntp"),
        (b"201 NNTP Service ready\r\n", "nntp"),
        (b'"IMPLEMENTATION" "Dovecot Pigeonhole"\r\n', "sieve"),
        (mysql_greeting(0), "mysql"),
        (mysql_packet(b"\xff\x6a\x04Host 'x' is not allowed"), "mysql"),
        (b":irc.test NOTICE * :*** Looking up your hostname...\r\n", "irc"),
        (b"220 ready\r\n", None),
        (b"+OKAY\r\n", None),
        (b"SSH-2.0-OpenSSH\r\n", None),
        (b"HTTP/1.1 200 OK\r\n", None),
        (b"", None),
    ],
)
def test_a_greeting_tells(greeting: bytes, name: str | None):
    assert by_banner(greeting) == name


def test_a_port_tells_and_no_port_is_of_two():
    assert by_port(587) == "smtp"
    assert by_port(3268) == "ldap"
    assert by_port(443) is None
    ports = [port for each in PROTOCOLS.values() for port in each.ports]
    assert len(ports) == len(set(ports))
    assert {name: each.name for name, each in PROTOCOLS.items()} == {name: name for name in PROTOCOLS}
