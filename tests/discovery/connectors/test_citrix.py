"""A Citrix ADC by its API: what is bound to what, sessions that expire, and answers that make no sense."""

from collections.abc import Iterator
from contextlib import aclosing, suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from services.discovery.connectors import Access, Check, Limits
from services.discovery.connectors.citrix import CitrixAdc
from services.discovery.connectors.citrix.settings import CitrixAdcCredential, CitrixAdcSettings
from services.discovery.domain.holdings import Gap, Holding, Listener
from shared.errors import Refused, Unavailable
from shared.outbound import Policy
from tests.builders import LOOPBACK
from tests.servers import citrix_adc
from tests.servers.device import Reply
from tests.servers.tls import CertificateAuthority


@pytest.fixture
def adc(tmp_path: Path) -> Iterator[citrix_adc.CitrixAdc]:
    made = citrix_adc.CitrixAdc(tmp_path / "adc")
    yield made
    made.interface.stop()


def access(adc: citrix_adc.CitrixAdc) -> Access:
    settings = {
        "host": "localhost",
        "port": adc.interface.port,
        "username": citrix_adc.USERNAME,
        "trusted_ca": adc.interface.trusted_ca,
    }
    return Access(
        settings=CitrixAdcSettings.model_validate(settings),
        credential=CitrixAdcCredential.model_validate({"password": citrix_adc.PASSWORD}),
        limits=Limits(),
        policy=Policy(LOOPBACK),
    )


async def read(adc: citrix_adc.CitrixAdc) -> tuple[dict[str, Holding], list[Gap]]:
    async with CitrixAdc.open(access(adc)) as source, aclosing(source.read(after=None)) as found:
        pages = [page async for page in found]
    holdings = {each.path.removeprefix("sslcertkey/"): each for page in pages for each in page.holdings}
    return holdings, [gap for page in pages for gap in page.gaps]


async def checked(adc: citrix_adc.CitrixAdc) -> dict[str, Check]:
    async with CitrixAdc.open(access(adc)) as source:
        return {check.name: check for check in await source.check()}


async def test_a_pair_is_told_with_its_virtual_servers_its_chain_and_one_without_as_unused(
    adc: citrix_adc.CitrixAdc, lab_ca: CertificateAuthority
):
    subordinate = lab_ca.intermediate()
    web = subordinate.issue("web.test")
    adc.pair("web", web, linkcertkeyname="sub")
    adc.pair("sub", web, content=subordinate.pem, key="")
    adc.pair("old", lab_ca.issue("old.test"))
    adc.virtual("lb", "192.0.2.1", 443, clientauth="ENABLED", clientcert="Mandatory")
    adc.virtual("gw", "2001:db8::5", 8443, kind="vpnvserver")
    for name in ("lb", "gw"):
        adc.bind(name, "web")
    adc.bind("lb", "sub", ca=True)
    adc.resources["sslvserver_sslciphersuite_binding"] = [
        {"vservername": "lb", "ciphername": name} for name in ("TLS1.2-A", "TLS1.3-B")
    ]
    holdings, gaps = await read(adc)
    held, [lb, gateway] = holdings["web"], holdings["web"].uses
    assert gaps == []
    assert (held.address, held.format, held.in_use, len(held.chain)) == ("localhost", "citrix-adc", True, 2)
    assert held.addresses == ("192.0.2.1", "2001:db8::5")
    assert held.key is not None
    assert (held.key.path, held.key.is_encrypted) == ("/nsconfig/ssl/web.key", False)
    assert (lb.file, lb.listeners) == ("lbvserver/lb", (Listener(address="192.0.2.1", port=443),))
    assert (gateway.file, gateway.listeners) == (
        "vpnvserver/gw",
        (Listener(address="2001:db8::5", port=8443),),
    )
    assert (lb.server_names, lb.is_default, lb.chain, lb.ciphers) == (
        (),
        True,
        "sslcertkey/sub",
        "TLS1.2-A:TLS1.3-B",
    )
    assert lb.protocols == ("ssl3 disabled", "tls1 disabled", "tls12 enabled", "tls13 enabled")
    assert (lb.trusted_ca, lb.client_verification, gateway.client_verification) == (
        "sslcertkey/sub",
        "required",
        None,
    )
    assert [(holdings[name].in_use, holdings[name].uses) for name in ("sub", "old")] == [
        (True, ()),
        (False, ()),
    ]


async def test_an_sni_pair_is_served_for_the_names_in_its_certificate_where_sni_is_on(
    adc: citrix_adc.CitrixAdc, lab_ca: CertificateAuthority
):
    adc.pair("default", lab_ca.issue("default.test"))
    adc.pair("shop", lab_ca.issue("shop.test", "*.shop.test", "192.0.2.9"))
    adc.virtual("lb", "192.0.2.1", 443)
    adc.virtual("off", "192.0.2.2", 443, snienable="DISABLED")
    for server in ("lb", "off"):
        adc.bind(server, "default")
        adc.bind(server, "shop", sni=True)
    holdings, _ = await read(adc)
    on, off = holdings["shop"].uses
    assert (on.server_names, on.is_default, len(on.listeners)) == (("*.shop.test", "shop.test"), False, 1)
    assert (off.listeners, holdings["shop"].in_use) == ((), True)
    assert [use.is_default for use in holdings["default"].uses] == [True, True]


async def test_a_profile_says_what_its_virtual_servers_do_not(
    adc: citrix_adc.CitrixAdc, lab_ca: CertificateAuthority
):
    adc.pair("web", lab_ca.issue("web.test"))
    adc.resources["sslprofile"] = [{"name": "strict", "tls12": "ENABLED", "tls13": "DISABLED"}]
    adc.virtual("lb", "192.0.2.1", 443, sslprofile="strict")
    adc.bind("lb", "web")
    holdings, _ = await read(adc)
    assert holdings["web"].uses[0].protocols == ("tls12 enabled", "tls13 disabled")


@pytest.mark.parametrize(
    ("address", "port", "more"),
    [("0.0.0.0", 443, {}), ("192.0.2.1", 65535, {}), ("192.0.2.1", 443, {"curstate": "OUT OF SERVICE"})],
)
async def test_what_does_not_listen_at_one_address_and_port_has_no_listener(
    address: str, port: int, more: dict[str, str], adc: citrix_adc.CitrixAdc, lab_ca: CertificateAuthority
):
    adc.pair("web", lab_ca.issue("web.test"))
    adc.virtual("lb", address, port, **more)
    adc.bind("lb", "web")
    held = (await read(adc))[0]["web"]
    assert (held.in_use, [use.listeners for use in held.uses], held.addresses) == (True, [()], ())


async def test_a_pair_that_is_shown_to_servers_is_in_use(
    adc: citrix_adc.CitrixAdc, lab_ca: CertificateAuthority
):
    adc.pair("client", lab_ca.issue("client.test"))
    adc.resources["sslservice_sslcertkey_binding"] = [{"servicename": "api", "certkeyname": "client"}]
    held = (await read(adc))[0]["client"]
    assert (held.in_use, [(use.file, use.listeners) for use in held.uses]) == (True, [("sslservice/api", ())])


async def test_files_are_read_wherever_they_are_and_whatever_their_names(
    adc: citrix_adc.CitrixAdc, lab_ca: CertificateAuthority
):
    issued = lab_ca.issue("web.test")
    adc.pair("elsewhere", issued, cert="/var/certs/a b,c:d&e.cer")
    adc.pair("der", issued, content=issued.certificate.public_bytes(Encoding.DER), inform="DER")
    holdings, gaps = await read(adc)
    assert ({each.chain[0] for each in holdings.values()}, sorted(holdings), gaps) == (
        {issued.certificate.public_bytes(Encoding.DER)},
        ["der", "elsewhere"],
        [],
    )


async def test_a_file_that_holds_a_key_is_not_asked_for_and_is_a_gap(
    adc: citrix_adc.CitrixAdc, lab_ca: CertificateAuthority
):
    issued = lab_ca.issue("web.test")
    adc.pair("one", issued, cert="both.pem", key="both.pem", content=issued.key_pem)
    adc.pair("two", issued, cert="two.pfx", inform="PFX", content=b"0")
    adc.pair("three", issued, content=issued.certificate_pem + issued.key_pem)
    holdings, gaps = await read(adc)
    assert (holdings, {gap.scope for gap in gaps}) == (
        {},
        {"sslcertkey/one", "sslcertkey/two", "sslcertkey/three"},
    )
    asked = [each.query for each in adc.interface.asked if each.path.endswith("systemfile")]
    assert len(asked) == 1
    assert "three" in asked[0]


async def test_pairs_linked_in_a_circle_end(adc: citrix_adc.CitrixAdc, lab_ca: CertificateAuthority):
    for name, other in (("a", "b"), ("b", "a")):
        adc.pair(name, lab_ca.issue(f"{name}.test"), linkcertkeyname=other)
    holdings, _ = await read(adc)
    assert [len(each.chain) for each in holdings.values()] == [2, 2]


async def test_a_session_that_expires_on_the_way_is_opened_again_and_none_is_left_over(
    adc: citrix_adc.CitrixAdc, lab_ca: CertificateAuthority
):
    adc.pair("web", lab_ca.issue("web.test"))
    adc.uses_before_expiry = 4
    holdings, gaps = await read(adc)
    assert (list(holdings), gaps, adc.logins > 2) == (["web"], [], True)
    adc.uses_before_expiry = None
    await read(adc)
    assert adc.sessions == set()


async def test_a_session_that_never_lasts_is_not_opened_on_and_on(adc: citrix_adc.CitrixAdc):
    adc.uses_before_expiry = 0
    with pytest.raises(Refused):
        await read(adc)
    assert adc.logins == 2


async def test_what_the_policy_does_not_allow_is_a_gap_and_leaves_the_use_unknown(
    adc: citrix_adc.CitrixAdc, lab_ca: CertificateAuthority
):
    adc.pair("web", lab_ca.issue("web.test"))
    adc.forbidden |= {"csvserver", "sslservice_sslcertkey_binding"}
    holdings, gaps = await read(adc)
    assert ({gap.scope for gap in gaps}, holdings["web"].in_use) == (adc.forbidden, None)
    checks = await checked(adc)
    assert {name for name, check in checks.items() if not check.ok} == adc.forbidden


async def test_files_that_may_not_be_read_are_not_all_tried(
    adc: citrix_adc.CitrixAdc, lab_ca: CertificateAuthority
):
    issued = lab_ca.issue("web.test")
    for number in range(10):
        adc.pair(f"p{number}", issued)
    adc.forbidden.add("systemfile")
    holdings, gaps = await read(adc)
    assert (holdings, any(gap.hides("sslcertkey/p9") for gap in gaps)) == ({}, True)
    assert sum(each.path.endswith("systemfile") for each in adc.interface.asked) == 3


async def test_a_file_that_is_missing_or_no_certificate_is_a_gap_of_its_pair(
    adc: citrix_adc.CitrixAdc, lab_ca: CertificateAuthority
):
    issued = lab_ca.issue("web.test")
    for name, content in (("good", issued.certificate_pem), ("bad", b"-----BEGIN"), ("odd", b"0\x82")):
        adc.pair(name, issued, content=content)
    adc.pair("gone", issued)
    del adc.files["/nsconfig/ssl/gone.cer"]
    holdings, gaps = await read(adc)
    assert (list(holdings), {gap.scope for gap in gaps}) == (
        ["good"],
        {"sslcertkey/bad", "sslcertkey/odd", "sslcertkey/gone"},
    )


async def test_other_partitions_are_gaps(adc: citrix_adc.CitrixAdc):
    adc.resources["nspartition"] = [{"partitionname": "default"}, {"partitionname": "sales"}]
    _, gaps = await read(adc)
    assert [gap.scope for gap in gaps] == ["nspartition/sales"]


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"<html>",
        b'{"errorcode": 9999, "message": "a\\nb"}',
        b'{"errorcode": "x"}',
        b'{"sslcertkey": {}}',
        b'{"sslcertkey": [1]}',
        b'{"sslcertkey": [{"certkey": 5}, {"certkey": "a/b", "cert": "x"}, {"certkey": "a", "cert": null}]}',
        b'{"sslcertkey": [{"certkey": "a", "cert": "x"}], "systemfile": [{"filename": "x", "filecontent": "%"}]}',
    ],
)
async def test_answers_that_make_no_sense_end_in_a_reading_or_an_error_of_ours(
    body: bytes, adc: citrix_adc.CitrixAdc
):
    adc.interface.before = lambda _: Reply(body=body)
    with suppress(Unavailable):
        holdings, gaps = await read(adc)
        assert (holdings, gaps != []) == ({}, True)


async def test_nothing_is_asked_but_what_reads_and_the_session(
    adc: citrix_adc.CitrixAdc, lab_ca: CertificateAuthority
):
    adc.pair("web", lab_ca.issue("web.test"))
    await read(adc)
    await checked(adc)
    changing = {each.path for each in adc.interface.asked if each.method != "GET"}
    assert changing == {"/nitro/v1/config/login", "/nitro/v1/config/logout"}
