"""The Caddyfile: sites with their own files, sites whose certificates are obtained, snippets, imports and options."""

from hypothesis import given
from hypothesis import strategies as st

from services.discovery.configuration import caddy
from services.discovery.domain.holdings import Listener, Reading
from tests.discovery.configuration.held import HeldFiles

START = "/etc/caddy/Caddyfile"
STORED = f"{caddy.STORAGE}/certificates/acme-v02.api.letsencrypt.org-directory"


async def read(text: str, files: dict[str, str] | None = None) -> Reading:
    return await caddy.read(HeldFiles({START: text} | (files or {})), START)


def stored(*names: str) -> dict[str, str]:
    return {f"{STORED}/{name}/{name}.crt": "" for name in names}


async def test_a_site_presents_the_files_that_it_is_given():
    [use] = (
        await read(
            """
a.test, Www.a.test:443 {
    bind 192.0.2.1 ::1
    tls /a.pem "/a key.pem" {
        protocols tls1.2 tls1.3
        ciphers TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        client_auth {
            mode verify_if_given
            trust_pool file /ca.pem
        }
    }
}
"""
        )
    ).uses
    assert (use.certificate, use.key, use.line) == ("/a.pem", "/a key.pem", 4)
    assert (use.server_names, use.is_default) == (("a.test", "www.a.test"), False)
    assert use.listeners == (Listener(address="192.0.2.1", port=443), Listener(address="::1", port=443))
    assert (use.protocols, use.client_verification, use.trusted_ca) == (
        ("tls1.2", "tls1.3"),
        "optional",
        "/ca.pem",
    )


async def test_a_certificate_that_caddy_obtains_is_where_it_stores_it():
    reading = await read("a.test, *.b.test {\n}\n", stored("a.test", "wildcard_.b.test"))
    assert [(use.server_names, use.certificate, use.key) for use in reading.uses] == [
        (("a.test",), f"{STORED}/a.test/a.test.crt", f"{STORED}/a.test/a.test.key"),
        (
            ("*.b.test",),
            f"{STORED}/wildcard_.b.test/wildcard_.b.test.crt",
            f"{STORED}/wildcard_.b.test/wildcard_.b.test.key",
        ),
    ]


async def test_a_certificate_that_is_not_seen_in_the_storage_is_a_gap():
    reading = await read("a.test, b.test {\n}\n", stored("b.test"))
    assert [use.server_names for use in reading.uses] == [("b.test",)]
    assert [gap.scope for gap in reading.gaps] == [f"{caddy.STORAGE}/certificates"]


async def test_the_storage_may_be_elsewhere_or_in_no_files():
    files = {"/srv/caddy/certificates/local/a.test/a.test.crt": ""}
    [use] = (await read("{\n storage file_system {\n  root /srv/caddy\n }\n}\na.test {\n}\n", files)).uses
    assert use.certificate == "/srv/caddy/certificates/local/a.test/a.test.crt"
    reading = await read("{\n storage redis\n}\na.test {\n}\n", files)
    assert (reading.uses, len(reading.gaps)) == ((), 1)


async def test_a_file_of_one_site_may_do_without_braces():
    [use] = (await read("a.test:8443\n\ntls /a.pem /a.key\nrespond ok\n")).uses
    assert (use.certificate, use.listeners) == ("/a.pem", (Listener(port=8443),))


async def test_plain_http_presents_nothing_and_the_ports_may_be_others():
    text = "http://a.test, b.test:80, c.test:443 {\n tls /x.pem /x.key\n}\n"
    assert [use.server_names for use in (await read(text)).uses] == [("c.test",)]
    text = "{\n http_port 8080\n https_port 9443\n}\na.test:8080 {\n tls /x.pem /x.key\n}\nb.test {\n tls /x.pem /x.key\n}\n"
    assert [(use.server_names, use.listeners[0].port) for use in (await read(text)).uses] == [
        (("b.test",), 9443)
    ]


async def test_a_site_without_a_name_answers_to_every_name():
    [use] = (await read(":443 {\n tls /x.pem /x.key\n}\n")).uses
    assert (use.server_names, use.is_default) == ((), True)


async def test_snippets_take_arguments_and_imports_are_files():
    reading = await read(
        "(own) {\n tls {args[0]} {args[1]}\n}\nimport sites/*\n",
        {"/etc/caddy/sites/a": "a.test {\n import own /a.pem /a.key\n}\n"},
    )
    [use] = reading.uses
    assert (use.certificate, use.key, use.file) == ("/a.pem", "/a.key", START)


async def test_variables_have_the_value_written_with_them_and_are_a_gap_without_one():
    [use] = (await read("a.test {\n tls {$CERT:/a.pem} {$KEY:/a.key}\n}\n")).uses
    assert use.certificate == "/a.pem"
    reading = await read("a.test {\n tls {$CERT} /a.key\n}\n")
    assert (reading.uses, len(reading.gaps)) == ((), 1)


async def test_folders_that_are_loaded_hold_a_certificate_with_its_key_in_each_file():
    reading = await read("a.test {\n tls {\n  load /tls\n }\n}\n", {"/tls/1.pem": "", "/tls/2.pem": ""})
    assert [(use.certificate, use.key) for use in reading.uses] == [
        ("/tls/1.pem", "/tls/1.pem"),
        ("/tls/2.pem", "/tls/2.pem"),
    ]


async def test_on_demand_is_a_gap():
    assert (await read("a.test {\n tls {\n  on_demand\n }\n}\n")).gaps


async def test_what_does_not_end_is_bounded():
    loop = "(a) {\n import b\n import b\n}\n(b) {\n import a\n import a\n}\nx.test {\n import a\n}\n"
    assert (await read(loop)).gaps
    assert (await read("import Caddyfile\n")).gaps
    assert (await read("a {\n" * 10_000)).gaps


async def test_a_heredoc_and_a_comment_hold_no_directives():
    text = "a.test {\n # tls /no.pem /no.key\n respond <<END\n }\n tls /no.pem /no.key\n END\n tls /a.pem /a.key\n}\n"
    assert [use.certificate for use in (await read(text)).uses] == ["/a.pem"]


@given(st.text(alphabet=st.sampled_from('{}()<>"`#\\\n ,.:*$aE/')))
async def test_any_text_ends_without_an_exception(text: str):
    await read(text)
    await read(f"a.test {{\n tls {text}\n}}\n")
