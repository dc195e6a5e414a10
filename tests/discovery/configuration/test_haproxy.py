"""HAProxy's configuration: bind lines, folders and lists of certificates, and stores."""

from hypothesis import given
from hypothesis import strategies as st

from services.discovery.configuration import haproxy
from services.discovery.domain.holdings import Listener, Reading
from tests.discovery.configuration.held import HeldFiles

START = "/etc/haproxy/haproxy.cfg"


async def read(text: str, *others: str, **texts: str) -> Reading:
    files = (
        {START: text} | dict.fromkeys(others, "") | {f"/etc/haproxy/{n}.list": t for n, t in texts.items()}
    )
    return await haproxy.read(HeldFiles(files), START)


async def test_a_bind_line_presents_its_certificates_in_their_order():
    reading = await read("""
global
    crt-base /etc/tls
    ca-base /etc/ca
    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
    ssl-default-bind-ciphers HIGH
frontend www
    bind :80
    bind 192.0.2.1:443,[2001:db8::1]:443,unix@/run/s ssl crt a.pem crt /srv/b.pem ca-file ca.pem verify optional
    bind ipv4@*:8443-8444 ssl crt a.pem ssl-min-ver TLSv1.3 ciphers LOW # not more
""")
    first, second, third = reading.uses
    assert first.listeners == (
        Listener(address="192.0.2.1", port=443),
        Listener(address="2001:db8::1", port=443),
    )
    assert (first.certificate, first.key, first.is_default) == ("/etc/tls/a.pem", "/etc/tls/a.pem", True)
    assert (second.certificate, second.is_default) == ("/srv/b.pem", False)
    assert (first.trusted_ca, first.client_verification) == ("/etc/ca/ca.pem", "optional")
    assert (first.protocols, first.ciphers, first.line) == (("ssl-min-ver TLSv1.2",), "HIGH", 9)
    assert third.listeners == (Listener(port=8443), Listener(port=8444))
    assert (third.protocols, third.ciphers) == (("ssl-min-ver TLSv1.3",), "LOW")


async def test_a_folder_is_all_certificates_in_it_and_a_key_may_lie_beside():
    reading = await read(
        "frontend a\n bind :443 ssl crt /tls",
        "/tls/a.pem",
        "/tls/a.pem.key",
        "/tls/b.crt",
        "/tls/b.key",
        "/tls/.hidden",
        "/tls/a.pem.ocsp",
    )
    assert [(use.certificate, use.key) for use in reading.uses] == [
        ("/tls/a.pem", "/tls/a.pem.key"),
        ("/tls/b.crt", "/tls/b.key"),
    ]


async def test_a_list_gives_certificates_names_and_options_of_their_own():
    reading = await read(
        "frontend a\n bind :443 ssl crt-list /etc/haproxy/certs.list",
        certs="# what we have\n/tls/a.pem\n/tls/b.pem [ssl-min-ver TLSv1.3] B.test *.b.test !x.b.test\n",
    )
    assert [(use.certificate, use.server_names, use.protocols) for use in reading.uses] == [
        ("/tls/a.pem", (), ()),
        ("/tls/b.pem", ("b.test", "*.b.test"), ("ssl-min-ver TLSv1.3",)),
    ]


async def test_a_store_names_certificate_and_key():
    reading = await read("""
crt-store web
    crt-base /etc/tls/certs
    key-base /etc/tls/keys
    load crt "site.pem" key "site.key" alias "site"
frontend a
    bind :443 ssl crt "@web/site" crt @web/none
""")
    assert [(use.certificate, use.key) for use in reading.uses] == [
        ("/etc/tls/certs/site.pem", "/etc/tls/keys/site.key")
    ]
    assert [gap.scope for gap in reading.gaps] == ["@web/none"]


async def test_what_is_named_by_a_variable_is_a_gap():
    reading = await read('frontend a\n bind :443 ssl crt "${CERT}"')
    assert reading.uses == ()
    assert "by a variable" in reading.gaps[0].reason


async def test_a_list_that_is_not_there_is_a_gap():
    reading = await read("frontend a\n bind :443 ssl crt-list certs.list")
    assert [gap.scope for gap in reading.gaps] == ["/etc/haproxy/certs.list"]


@given(st.text() | st.text(alphabet="@:-,[]\"'\\ \n19$"))
async def test_any_text_is_read_without_an_exception(text: str):
    await read(f"frontend a\n bind {text} ssl crt {text}\n bind :443 ssl {text}")
