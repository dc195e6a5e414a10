"""What each server says when it will not start TLS, and what is no such answer at all."""

import struct

import pytest

from shared.starttls import OtherProtocol, Refused
from tests.shared.starttls.talks import (
    EHLO,
    SIEVE,
    STREAM,
    Talk,
    drive,
    ldap_response,
    mysql_greeting,
    mysql_packet,
    rdp_confirm,
    rdp_negotiation,
    tds_packet,
    tds_prelogin,
)

TDS_ERROR = b"\xaa" + struct.pack("<HIBBH", 40, 17830, 1, 14, 4) + "busy".encode("utf-16-le")
PG_ERROR = b"SFATAL\0C53300\0Mtoo many clients\0\0"
HOST_UNKNOWN = (
    b"<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
    b"<text>not here</text></stream:error></stream:stream>"
)
REFUSALS = (
    (Talk("smtp", (b"554 5.7.1 no service\r\n",)), "554 5.7.1 no service"),
    (Talk("smtp", (b"220 x ESMTP\r\n", b"250-x\r\n250 STARTTLSX\r\n")), "STARTTLS is not offered"),
    (Talk("smtp", (b"220 x ESMTP\r\n", b"502 what?\r\n")), "502 what?"),
    (
        Talk("smtp", (b"220 x\r\n", EHLO, b"454-TLS not\r\n454 available\r\n")),
        "454-TLS not 454 available",
    ),
    (Talk("imap", (b"* BYE overloaded\r\n",)), "BYE overloaded"),
    (Talk("imap", (b"* PREAUTH you are in\r\n",)), "PREAUTH you are in"),
    (Talk("imap", (b"* OK\r\n", b"* CAPABILITY IMAP4rev1\r\ne1 OK\r\n")), "STARTTLS is not offered"),
    (Talk("imap", (b"* OK\r\n", b"* BYE idle\r\n")), "BYE idle"),
    (Talk("imap", (b"* OK [CAPABILITY STARTTLS]\r\n", b"e2 NO not now\r\n")), "NO not now"),
    (Talk("pop3", (b"-ERR busy\r\n",)), "-ERR busy"),
    (Talk("pop3", (b"+OK\r\n", b"+OK\r\nUIDL\r\n.\r\n")), "STLS is not offered"),
    (Talk("pop3", (b"+OK\r\n", b"-ERR\r\n", b"-ERR no TLS\r\n")), "-ERR no TLS"),
    (Talk("ftp", (b"421 too many\r\n",)), "421 too many"),
    (Talk("ftp", (b"220 ftp\r\n", b"502 no\r\n")), "502 no"),
    (Talk("ldap", (ldap_response(52, b"no cert"),)), "unavailable (52): no cert"),
    (Talk("ldap", (ldap_response(0, b"bye", message_id=0),)), "result (0): bye"),
    (Talk("xmpp", (STREAM + HOST_UNKNOWN,)), "host-unknown not here"),
    (Talk("xmpp", (STREAM + b"<stream:features/>",)), "STARTTLS is not offered"),
    (Talk("xmpp", (STREAM + b"<features><starttls/></features>", b"<failure/></stream>")), "failure"),
    (Talk("postgres", (b"N",)), "SSL is not offered"),
    (Talk("postgres", (b"E" + struct.pack("!I", 4 + len(PG_ERROR)) + PG_ERROR,)), "too many clients"),
    (Talk("mysql", (mysql_greeting(0xF7FF),)), "SSL is not offered by 8.0.36"),
    (Talk("mysql", (mysql_packet(b"\xff\x69\x04Host 'h' is blocked"),)), "Host 'h' is blocked"),
    (Talk("mysql", (mysql_packet(b"\xff\x10\x04#08004Too many connections"),)), "Too many connections"),
    (Talk("nntp", (b"502 not you\r\n",)), "502 not you"),
    (Talk("nntp", (b"200 x\r\n", b"101 x\r\nREADER\r\n.\r\n")), "STARTTLS is not offered"),
    (Talk("nntp", (b"200 x\r\n", b"500 x\r\n", b"580 cannot\r\n")), "580 cannot"),
    (Talk("sieve", (b'"IMPLEMENTATION" "x"\r\nOK\r\n',)), "STARTTLS is not offered"),
    (Talk("sieve", (b'BYE "later"\r\n',)), 'BYE "later"'),
    (Talk("sieve", (SIEVE, b'NO "no cert"\r\n')), 'NO "no cert"'),
    (Talk("irc", (b":s 451 * STARTTLS :register\r\n",)), ":s 451 * STARTTLS :register"),
    (Talk("irc", (b"ERROR :Closing link\r\n",)), "ERROR :Closing link"),
    (Talk("mssql", (tds_packet(tds_prelogin(2)),)), "encryption is not supported (ENCRYPT_NOT_SUP)"),
    (Talk("mssql", (tds_packet(TDS_ERROR),)), "busy"),
    (Talk("rdp", (rdp_negotiation(3, 2),)), "SSL_NOT_ALLOWED_BY_SERVER"),
    (Talk("rdp", (rdp_negotiation(3, 99),)), "failure 99"),
    (Talk("rdp", (rdp_negotiation(2, 0),)), "only Standard RDP Security"),
    (Talk("rdp", (rdp_confirm(b""),)), "only Standard RDP Security"),
)
OTHERS = (
    Talk("smtp", (b"220 ProFTPD ready\r\n", b"500 EHLO not understood\r\n")),
    Talk("ftp", (b"220 x ESMTP\r\n", b"502 no\r\n")),
    Talk("smtp", (b"200 news\r\n",)),
    Talk("imap", (b"+OK pop\r\n",)),
    Talk("pop3", (b"+OKAY\r\n",)),
    Talk("nntp", (b"220 mail\r\n",)),
    Talk("irc", (b"220 mail\r\n",)),
    Talk("irc", (b"* OK imap\r\n",)),
    Talk("sieve", (b'"X" "y"\r\nOK\r\n',)),
    Talk("ldap", (ldap_response(0, message_id=9),)),
    Talk("ldap", (ldap_response(0, response=0x61),)),
    Talk("mysql", (mysql_packet(b"\x0a8.0\0short"),)),
    Talk("mssql", (tds_packet(b"\xff"),)),
    Talk("xmpp", (b"<?xml version='1.0'?><html>",)),
    Talk("xmpp", (b"<a<b>",)),
    Talk("postgres", (b"E\xff\xff\xff\xff",)),
    Talk("rdp", (b"\x03\x00\x00\x0b\x06\x80\x00\x00\x00\x00\x00",)),
)


@pytest.mark.parametrize(("talk", "reason"), REFUSALS, ids=str)
@pytest.mark.parametrize("pieces", [None, 1])
def test_a_refusal_keeps_the_servers_words(talk: Talk, reason: str, pieces: int | None):
    with pytest.raises(Refused) as refused:
        drive(talk, pieces=pieces)
    assert str(refused.value) == reason


@pytest.mark.parametrize("talk", OTHERS, ids=str)
@pytest.mark.parametrize("pieces", [None, 1])
def test_what_is_not_the_protocol_is_no_refusal(talk: Talk, pieces: int | None):
    with pytest.raises(OtherProtocol):
        drive(talk, pieces=pieces)
