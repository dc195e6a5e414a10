"""What is sent, byte for byte where a specification gives the bytes, and how TLS is framed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.starttls import PROTOCOLS, OtherProtocol
from shared.starttls.tds import TdsFraming
from tests.shared.starttls.talks import GOOD, drive, tds_packet

SENT = {
    "smtp": (b"EHLO everleaf.invalid\r\n", b"STARTTLS\r\n"),
    "lmtp": (b"LHLO everleaf.invalid\r\n", b"STARTTLS\r\n"),
    "imap": (b"e2 STARTTLS\r\n",),
    "pop3": (b"CAPA\r\n", b"STLS\r\n"),
    "ftp": (b"AUTH TLS\r\n",),
    "ldap": (bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037",),
    "postgres": (bytes.fromhex("0000000804d2162f"),),
    "mysql": (),
    "nntp": (b"CAPABILITIES\r\n", b"STARTTLS\r\n"),
    "sieve": (b"STARTTLS\r\n",),
    "irc": (b"STARTTLS\r\n",),
    "mssql": (bytes.fromhex("1201001a00000100 00000b0006 0100110001 ff 100000000000 01"),),
    "rdp": (bytes.fromhex("03000013 0ee00000000000 0100080003000000"),),
}


@pytest.mark.parametrize("protocol", SENT)
def test_exactly_this_is_sent(protocol: str):
    talk = next(each for each in GOOD if each.protocol == protocol)
    assert drive(talk).sent == SENT[protocol]


@pytest.mark.parametrize(("protocol", "namespace"), [("xmpp", "client"), ("xmpp-server", "server")])
def test_a_stream_names_the_server_it_is_for(protocol: str, namespace: str):
    opening = next(PROTOCOLS[protocol].dialogue("o'hara.test"))
    assert b" to='o&#x27;hara.test' " in opening
    assert f" xmlns='jabber:{namespace}' ".encode() in opening


def test_a_stream_to_an_address_names_nobody():
    assert b" to=" not in next(PROTOCOLS["xmpp"].dialogue(None))


def test_mysql_sends_its_request_once_and_ahead_of_the_hello():
    framing = drive(next(each for each in GOOD if each.protocol == "mysql")).framing
    assert framing is not None
    request = bytes.fromhex("20000001 008a0000 ffffff00 21") + bytes(23)
    assert framing.wrap(b"hello") == request + b"hello"
    assert framing.wrap(b"more") == b"more"
    assert framing.unwrap(b"answer") == b"answer"


def test_tls_in_tds_is_one_message_of_as_many_packets_as_it_needs():
    wrapped = TdsFraming().wrap(b"x" * 5000)
    assert wrapped[:8] == bytes.fromhex("1200100000000100")
    assert wrapped[4096:4104] == bytes.fromhex("1201039800000200")
    assert TdsFraming().unwrap(wrapped) == b"x" * 5000


@given(st.binary(max_size=10_000), st.integers(1, 5000))
def test_what_is_wrapped_unwraps_however_it_arrives(data: bytes, size: int):
    wrapped, framing = TdsFraming().wrap(data), TdsFraming()
    pieces = [wrapped[at : at + size] for at in range(0, len(wrapped), size)]
    assert b"".join(framing.unwrap(piece) for piece in pieces) == data


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x03\x00\x10" + bytes(16), tds_packet(b"")[:3] + b"\x07" + bytes(8)]
)
def test_other_framing_is_another_protocol(data: bytes):
    with pytest.raises(OtherProtocol):
        TdsFraming().unwrap(data)
