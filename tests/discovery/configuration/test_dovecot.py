"""Dovecot's configuration, old and new: listeners as they are by default and as they are said to be."""

from hypothesis import given
from hypothesis import strategies as st

from services.discovery.configuration import dovecot
from services.discovery.domain.holdings import Listener, Reading
from tests.discovery.configuration.held import HeldFiles

START = "/etc/dovecot/dovecot.conf"


async def read(text: str, **others: str) -> Reading:
    files = {START: text} | {f"/etc/dovecot/{n.replace('__', '/')}.conf": body for n, body in others.items()}
    return await dovecot.read(HeldFiles(files), START)


async def test_every_protocol_listens_where_it_does_by_default():
    reading = await read("protocols = imap pop3 lmtp\nssl_cert = </tls/cert.pem\nssl_key = </tls/key.pem\n")
    [use] = reading.uses
    assert (use.certificate, use.key, use.line) == ("/tls/cert.pem", "/tls/key.pem", 2)
    assert use.listeners == (
        Listener(port=143, starttls="imap"),
        Listener(port=993),
        Listener(port=110, starttls="pop3"),
        Listener(port=995),
    )


async def test_listeners_are_moved_switched_off_and_added():
    reading = await read("""
protocols = imap sieve
listen = *, ::
ssl_cert = </c.pem
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    address = 192.0.2.1
    port = 1993
  }
  inet_listener extra {
    port = 2993
    ssl = yes
  }
}
""")
    [use] = reading.uses
    assert use.listeners == (
        Listener(address="192.0.2.1", port=1993),
        Listener(port=4190, starttls="sieve"),
        Listener(port=2993),
    )


async def test_the_names_of_version_two_point_four_are_known_too():
    reading = await read("""
protocols = imap
ssl_server_cert_file = /c.pem
ssl_server_key_file = /k.pem
ssl_server_ca_file = /ca.pem
ssl_server_request_client_cert = yes
ssl_min_protocol = TLSv1.2
ssl_cipher_list = HIGH
""")
    [use] = reading.uses
    assert (use.certificate, use.key, use.trusted_ca) == ("/c.pem", "/k.pem", "/ca.pem")
    assert (use.client_verification, use.protocols, use.ciphers) == (
        "optional",
        ("ssl_min_protocol TLSv1.2",),
        "HIGH",
    )


async def test_a_name_may_have_a_certificate_of_its_own():
    reading = await read("""
protocols = imap
ssl_cert = </a.pem
ssl_key = </a.key
local_name "mail.b.test" {
  ssl_cert = </b.pem
}
""")
    assert [(use.server_names, use.certificate, use.key, use.is_default) for use in reading.uses] == [
        ((), "/a.pem", "/a.key", True),
        (("mail.b.test",), "/b.pem", "/a.key", False),
    ]


async def test_includes_are_followed_and_only_those_that_must_be_there_are_gaps():
    reading = await read(
        "!include conf.d/*.conf\n!include_try local.conf\n!include gone.conf\n",
        conf__d__ssl="",
    )
    assert [gap.scope for gap in reading.gaps] == ["/etc/dovecot/gone.conf"]
    files = {START: "!include conf.d/*.conf", "/etc/dovecot/conf.d/10-ssl.conf": "ssl_cert = </c.pem"}
    reading = await dovecot.read(HeldFiles(files), START)
    assert [use.file for use in reading.uses] == ["/etc/dovecot/conf.d/10-ssl.conf"]


async def test_without_ssl_nothing_is_presented():
    assert (await read("ssl = no\nssl_cert = </c.pem")).uses == ()


@given(st.text() | st.text(alphabet="={}</ \n\tab!#"))
async def test_any_text_is_read_without_an_exception(text: str):
    await read(f"ssl_cert = </c.pem\n{text}\nservice imap-login {{\ninet_listener x {{\nport = {text}")
