"""nginx's configuration: what is inherited, what is shared by a socket, and what cannot be known from text."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.discovery.configuration import nginx
from services.discovery.domain.holdings import Listener, Reading
from tests.discovery.configuration.held import HeldFiles

START = "/etc/nginx/nginx.conf"


async def read(text: str, **others: str) -> Reading:
    files = {START: text} | {
        f"/etc/nginx/{name.replace('__', '/')}.conf": body for name, body in others.items()
    }
    return await nginx.read(HeldFiles(files), START)


async def test_a_server_presents_its_certificate_on_each_of_its_tls_sockets():
    reading = await read("""
        http {
            server {
                listen 80; listen 192.0.2.1:443 ssl; listen [2001:db8::1]:8443 ssl http2; listen unix:/run/x ssl;
                server_name Example.org *.example.org .example.net _;
                ssl_certificate "tls/cert.pem";  # beside nginx.conf
                ssl_certificate_key /etc/keys/key.pem;
                ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers 'HIGH:!aNULL';
                ssl_client_certificate ca.pem; ssl_verify_client optional_no_ca;
            }
        }""")
    [use] = reading.uses
    assert use.listeners == (
        Listener(address="192.0.2.1", port=443),
        Listener(address="2001:db8::1", port=8443),
    )
    assert use.server_names == ("example.org", "*.example.org", "example.net", "*.example.net")
    assert (use.certificate, use.key) == ("/etc/nginx/tls/cert.pem", "/etc/keys/key.pem")
    assert (use.protocols, use.ciphers) == (("TLSv1.2", "TLSv1.3"), "HIGH:!aNULL")
    assert (use.trusted_ca, use.client_verification) == ("/etc/nginx/ca.pem", "optional")
    assert (use.file, use.line) == (START, 3)
    assert reading.gaps == ()


async def test_what_http_sets_holds_for_the_servers_that_do_not_set_it_themselves():
    reading = await read("""
        http {
            ssl_certificate a.pem; ssl_certificate_key a.key; ssl_protocols TLSv1.3;
            server { listen 443 ssl; server_name a.test; }
            server { listen 443 ssl; server_name b.test; ssl_certificate b.pem; ssl_certificate_key b.key; }
        }""")
    assert [(use.server_names, use.certificate, use.key, use.protocols) for use in reading.uses] == [
        (("a.test",), "/etc/nginx/a.pem", "/etc/nginx/a.key", ("TLSv1.3",)),
        (("b.test",), "/etc/nginx/b.pem", "/etc/nginx/b.key", ("TLSv1.3",)),
    ]


async def test_two_certificates_of_a_server_are_two_uses_each_with_its_own_key():
    reading = await read("""
        http { server { listen 443 ssl;
            ssl_certificate rsa.pem; ssl_certificate_key rsa.key;
            ssl_certificate ec.pem; ssl_certificate_key ec.key; } }""")
    assert [(use.certificate, use.key) for use in reading.uses] == [
        ("/etc/nginx/rsa.pem", "/etc/nginx/rsa.key"),
        ("/etc/nginx/ec.pem", "/etc/nginx/ec.key"),
    ]


async def test_ssl_on_one_listen_holds_for_every_server_of_that_socket():
    reading = await read("""
        http { server { listen 443 ssl; ssl_certificate a.pem; }
               server { listen 443; server_name b.test; ssl_certificate b.pem; }
               server { listen 8080; server_name plain.test; ssl_certificate c.pem; } }""")
    assert [use.certificate for use in reading.uses] == ["/etc/nginx/a.pem", "/etc/nginx/b.pem"]


async def test_the_default_server_is_the_one_that_says_so_and_else_the_first():
    reading = await read("""
        http { server { listen 443 ssl; server_name a.test; ssl_certificate a.pem; }
               server { listen 443 ssl default_server; server_name b.test; ssl_certificate b.pem; }
               server { listen 8443 ssl; server_name c.test; ssl_certificate c.pem; } }""")
    assert [use.is_default for use in reading.uses] == [False, True, True]


async def test_includes_are_followed_from_the_folder_of_the_main_file():
    reading = await read(
        "http { include sites/*.conf; include /etc/nginx/gone.conf; }",
        sites__b="server { listen 443 ssl; include certificate.conf; }",
        sites__a="server { listen 80; }",
        certificate="ssl_certificate b.pem;",
    )
    [use] = reading.uses
    assert (use.certificate, use.file) == ("/etc/nginx/b.pem", "/etc/nginx/sites/b.conf")
    assert [gap.scope for gap in reading.gaps] == ["/etc/nginx/gone.conf"]
    assert START in reading.files


async def test_a_file_that_includes_itself_is_a_gap_and_ends():
    reading = await read("include nginx.conf; http { server { listen 443 ssl; ssl_certificate a.pem; } }")
    assert [use.certificate for use in reading.uses] == ["/etc/nginx/a.pem"]
    assert [gap.scope for gap in reading.gaps] == [START]


async def test_what_may_not_be_read_or_listed_is_a_gap():
    files = HeldFiles(
        {START: "http { include secret.conf; include closed/*; }", "/etc/nginx/secret.conf": ""}
    )
    closed = frozenset({"/etc/nginx/secret.conf", "/etc/nginx/closed"})
    reading = await nginx.read(replace(files, closed=closed), START)
    assert {gap.scope for gap in reading.gaps} == closed


async def test_a_certificate_named_by_a_variable_is_a_gap():
    reading = await read("http { server { listen 443 ssl; ssl_certificate /tls/$ssl_server_name.pem; } }")
    assert reading.uses == ()
    assert "by a variable" in reading.gaps[0].reason


async def test_mail_servers_speak_their_protocol_before_tls_where_starttls_is_on():
    reading = await read("""
        mail { ssl_certificate m.pem;
            server { listen 143; protocol imap; starttls on; }
            server { listen 587; starttls only; }
            server { listen 993 ssl; protocol imap; }
            server { listen 110; protocol pop3; } }""")
    assert [use.listeners for use in reading.uses] == [
        (Listener(port=143, starttls="imap"),),
        (Listener(port=587, starttls="smtp"),),
        (Listener(port=993),),
    ]


async def test_stream_servers_count_and_quic_is_no_tcp_socket():
    reading = await read("""
        stream { server { listen 8883 ssl; ssl_certificate s.pem; } }
        http { server { listen 443 quic; ssl_certificate q.pem; } }""")
    assert [use.certificate for use in reading.uses] == ["/etc/nginx/s.pem"]


@given(st.text() | st.text(alphabet="{};#\"'\\ \nab$"))
async def test_any_text_is_read_without_an_exception(text: str):
    await read(f"http {{ server {{ listen 443 ssl; ssl_certificate a; {text}")


async def test_braces_may_be_nested_deeper_than_python_calls():
    reading = await read("http { server { listen 443 ssl; ssl_certificate a.pem; " + "if {" * 5000)
    assert [use.certificate for use in reading.uses] == ["/etc/nginx/a.pem"]
