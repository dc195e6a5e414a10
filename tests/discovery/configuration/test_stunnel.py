"""stunnel's configuration: services with their defaults, and names that are served by a service behind another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.discovery.configuration import stunnel
from services.discovery.domain.holdings import Listener, Reading
from tests.discovery.configuration.held import HeldFiles

START = "/etc/stunnel/stunnel.conf"
SERVER = "[web]\naccept = 443\ncert = /c.pem\n"


async def read(text: str, **files: str) -> Reading:
    included = {f"/etc/stunnel/conf.d/{name}": body for name, body in files.items()}
    return await stunnel.read(HeldFiles({START: text} | included), START)


async def test_what_stands_before_the_first_service_is_the_default_of_all():
    reading = await read(
        """
; a comment = no option
CERT = /all.pem
key = /all.key
sslVersionMin = TLSv1.2
ciphers = HIGH
CAfile = /ca.pem
[web]
accept = 192.0.2.1:443
[other]
accept = :::8443
cert = /other.pem
verifyChain = yes
"""
    )
    web, other = reading.uses
    assert (web.certificate, web.key, web.trusted_ca, web.client_verification) == (
        "/all.pem",
        "/all.key",
        "/ca.pem",
        None,
    )
    assert (web.protocols, web.ciphers, web.line) == (("sslversionmin TLSv1.2",), "HIGH", 8)
    assert web.listeners == (Listener(address="192.0.2.1", port=443),)
    assert (other.certificate, other.key, other.client_verification) == (
        "/other.pem",
        "/all.key",
        "required",
    )
    assert other.listeners == (Listener(port=8443),)


async def test_a_key_that_is_not_named_is_beside_its_certificate():
    [use] = (await read(SERVER)).uses
    assert (use.certificate, use.key, use.is_default) == ("/c.pem", "/c.pem", True)


async def test_a_name_is_served_where_the_service_listens_that_it_belongs_to():
    _, use = (await read(f"{SERVER}[shop]\nsni = web:Shop.test\ncert = /s.pem\n")).uses
    assert (use.server_names, use.listeners, use.is_default) == (("shop.test",), (Listener(port=443),), False)


async def test_a_client_presents_nothing_and_neither_does_what_does_not_listen():
    assert (await read(f"{SERVER}client = yes\n")).uses == ()
    assert (await read("[web]\ncert = /c.pem\n")).uses == ()
    assert (await read("[web]\naccept = 443\n")).uses == ()


@pytest.mark.parametrize(
    ("protocol", "starttls"), [("smtp", "smtp"), ("pgsql", "postgres"), ("proxy", None), ("socks", None)]
)
async def test_what_is_said_before_tls_is_known(protocol: str, starttls: str | None):
    [use] = (await read(f"{SERVER}protocol = {protocol}\n")).uses
    assert [listener.starttls for listener in use.listeners] == [starttls]


@pytest.mark.parametrize(
    ("said", "verification"),
    [
        ("verify = 1", "optional"),
        ("verify = 3", "required"),
        ("requestCert = yes", "optional"),
        ("requireCert = yes", "required"),
        ("verifyPeer = yes", "required"),
        ("verifyPeer = no", None),
    ],
)
async def test_whether_clients_need_a_certificate_is_known(said: str, verification: str | None):
    [use] = (await read(f"{SERVER}{said}\n")).uses
    assert use.client_verification == verification


async def test_a_folder_is_included_in_the_order_of_its_names():
    reading = await read(
        "include = /etc/stunnel/conf.d\n", **{"10-b": "accept = 8443\n", "00-a": "[a]\ncert = /a.pem\n"}
    )
    [use] = reading.uses
    assert (use.certificate, use.file, use.listeners) == (
        "/a.pem",
        "/etc/stunnel/conf.d/00-a",
        (Listener(port=8443),),
    )


@pytest.mark.parametrize("certificate", ["c.pem", "pkcs11:object=web"])
async def test_a_certificate_that_cannot_be_found_is_a_gap(certificate: str):
    reading = await read(f"[web]\naccept = 443\ncert = {certificate}\n")
    assert (reading.uses, [gap.scope for gap in reading.gaps]) == ((), [START])
    assert certificate in reading.gaps[0].reason


@given(st.text(alphabet=st.sampled_from("abcsni=[]:;\n /.*443certpk"), max_size=200))
async def test_any_text_ends_without_an_exception(text: str):
    await read(text)
