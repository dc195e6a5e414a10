"""A BIG-IP by its API: what is in use and what is not, sessions that expire, and answers that make no sense."""

from collections.abc import Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest

from services.discovery.connectors import Access, Check, Limits
from services.discovery.connectors.bigip import BigIp
from services.discovery.connectors.bigip.settings import BigIpCredential, BigIpSettings
from services.discovery.domain.holdings import Gap, Holding, Listener
from shared.errors import Refused, Unavailable
from shared.outbound import Policy
from tests.builders import LOOPBACK
from tests.servers import bigip
from tests.servers.device import Question, Reply
from tests.servers.tls import CertificateAuthority


@pytest.fixture
def device(tmp_path: Path) -> Iterator[bigip.BigIp]:
    made = bigip.BigIp(tmp_path / "bigip")
    yield made
    made.interface.stop()


def access(device: bigip.BigIp, **settings: Any) -> Access:
    whole = {
        "host": "localhost",
        "port": device.interface.port,
        "username": bigip.USERNAME,
        "trusted_ca": device.interface.trusted_ca,
    } | settings
    return Access(
        settings=BigIpSettings.model_validate(whole),
        credential=BigIpCredential.model_validate({"password": bigip.PASSWORD}),
        limits=Limits(),
        policy=Policy(LOOPBACK),
    )


async def read(device: bigip.BigIp, **settings: Any) -> tuple[dict[str, Holding], list[Gap]]:
    async with BigIp.open(access(device, **settings)) as source, aclosing(source.read(after=None)) as found:
        pages = [page async for page in found]
    holdings = {each.path: each for page in pages for each in page.holdings}
    return holdings, [gap for page in pages for gap in page.gaps]


async def checked(device: bigip.BigIp, **settings: Any) -> dict[str, Check]:
    async with BigIp.open(access(device, **settings)) as source:
        return {check.name: check for check in await source.check()}


def pair(name: str, **more: str) -> dict[str, str]:
    return {"cert": f"/Common/{name}.crt", "key": f"/Common/{name}.key", **more}


async def test_a_certificate_is_told_with_its_virtual_servers_and_one_without_as_unused(
    device: bigip.BigIp, lab_ca: CertificateAuthority
):
    subordinate = lab_ca.intermediate()
    web = subordinate.issue("web.test")
    device.keep("/Common/web.crt", web)
    device.certificates["/Common/sub.crt"] = subordinate.pem
    device.keep("/Common/old.crt", lab_ca.issue("old.test"))
    device.profile(
        "/Common/web", pair("web", chain="/Common/sub.crt"), serverName="Web.test", ciphers="ECDHE"
    )
    device.virtual("/Common/vs1", "/Common/192.0.2.1%5:443", "/Common/http", "/Common/web")
    device.virtual("/Common/vs2", "/Common/2001:db8::5.8443", "/Common/web")
    holdings, gaps = await read(device)
    held, [one, two] = holdings["/Common/web.crt"], holdings["/Common/web.crt"].uses
    assert gaps == []
    assert (held.address, held.format, held.in_use) == ("localhost", "bigip", True)
    assert (len(held.chain), held.addresses) == (2, ("192.0.2.1", "2001:db8::5"))
    assert held.key is not None
    assert (held.key.path, held.key.is_encrypted) == ("/Common/web.key", False)
    assert (one.file, one.listeners) == (
        "/Common/vs1 via /Common/web",
        (Listener(address="192.0.2.1", port=443),),
    )
    assert two.listeners == (Listener(address="2001:db8::5", port=8443),)
    assert (one.server_names, one.ciphers, one.protocols, one.chain) == (
        ("web.test",),
        "ECDHE",
        ("no-tlsv1",),
        "/Common/sub.crt",
    )
    assert [holdings[f"/Common/{name}.crt"].in_use for name in ("sub", "old")] == [True, False]
    assert holdings["/Common/old.crt"].uses == ()


async def test_a_profile_presents_what_its_parent_does_and_two_pairs_are_two_uses(
    device: bigip.BigIp, lab_ca: CertificateAuthority
):
    device.keep("/Common/rsa.crt", lab_ca.issue("web.test", kind="rsa"))
    device.keep("/Common/ec.crt", lab_ca.issue("web.test"))
    device.profile("/Common/parent", pair("rsa"), pair("ec"))
    device.profile("/Common/child", defaultsFrom="/Common/parent", inheritCertkeychain="true")
    device.virtual("/Common/v", "/Common/192.0.2.1:443", "/Common/child")
    holdings, _ = await read(device)
    assert [holdings[f"/Common/{name}.crt"].uses[0].file for name in ("rsa", "ec")] == [
        "/Common/v via /Common/child"
    ] * 2


async def test_profiles_without_a_name_are_chosen_by_the_names_in_their_certificates(
    device: bigip.BigIp, lab_ca: CertificateAuthority
):
    for name, more in (("a", {}), ("b", {"sniDefault": "true"}), ("c", {"serverName": "other.test"})):
        device.keep(f"/Common/{name}.crt", lab_ca.issue(f"{name}.test", f"www.{name}.test"))
        device.profile(f"/Common/{name}", pair(name), **more)
    device.virtual("/Common/v", "/Common/192.0.2.1:443", "/Common/a", "/Common/b", "/Common/c")
    holdings, _ = await read(device)
    found = {path: (each.uses[0].server_names, each.uses[0].is_default) for path, each in holdings.items()}
    assert found == {
        "/Common/a.crt": (("a.test", "www.a.test"), False),
        "/Common/b.crt": ((), True),
        "/Common/c.crt": (("other.test",), False),
    }


async def test_what_is_switched_off_is_configured_and_does_not_listen(
    device: bigip.BigIp, lab_ca: CertificateAuthority
):
    device.keep("/Common/web.crt", lab_ca.issue("web.test"))
    device.profile("/Common/web", pair("web"))
    device.virtual("/Common/v", "/Common/192.0.2.1:443", "/Common/web", disabled=True)
    held = (await read(device))[0]["/Common/web.crt"]
    assert (held.in_use, [use.listeners for use in held.uses], held.addresses) == (True, [()], ())


async def test_what_only_an_unused_profile_or_a_monitor_names_may_be_in_use(
    device: bigip.BigIp, lab_ca: CertificateAuthority
):
    for name in ("spare", "probe"):
        device.keep(f"/Common/{name}.crt", lab_ca.issue(f"{name}.test"))
    device.profile("/Common/spare", pair("spare"))
    device.collections["ltm/monitor/https"]["/Common/probe"] = {"cert": "/Common/probe.crt"}
    holdings, _ = await read(device)
    assert [(each.in_use, each.uses) for each in holdings.values()] == [(None, ())] * 2


async def test_lists_of_trusted_certificates_are_not_told(device: bigip.BigIp, lab_ca: CertificateAuthority):
    device.certificates["/Common/ca-bundle.crt"] = lab_ca.pem * 30
    device.bundles.add("/Common/ca-bundle.crt")
    device.keep("/Common/web.crt", lab_ca.issue("web.test"))
    device.profile("/Common/web", pair("web", chain="/Common/ca-bundle.crt"))
    device.virtual("/Common/v", "/Common/192.0.2.1:443", "/Common/web")
    holdings, gaps = await read(device)
    assert ([(path, len(each.chain)) for path, each in holdings.items()], gaps) == (
        [("/Common/web.crt", 1)],
        [],
    )


async def test_a_token_that_expires_on_the_way_is_renewed_and_none_is_left_over(
    device: bigip.BigIp, lab_ca: CertificateAuthority
):
    device.keep("/Common/web.crt", lab_ca.issue("web.test"))
    device.uses_before_expiry = 3
    holdings, gaps = await read(device)
    assert (list(holdings), gaps, device.logins > 1) == (["/Common/web.crt"], [], True)
    device.uses_before_expiry = None
    await read(device)
    assert device.interface.asked[-1].method == "DELETE"


async def test_a_token_that_is_never_accepted_is_not_asked_for_on_and_on(device: bigip.BigIp):
    device.uses_before_expiry = 0
    with pytest.raises(Refused):
        await read(device)
    assert device.logins == 2


async def test_the_password_can_be_sent_with_every_question(
    device: bigip.BigIp, lab_ca: CertificateAuthority
):
    device.keep("/Common/web.crt", lab_ca.issue("web.test"))
    holdings, gaps = await read(device, login="basic")
    assert (list(holdings), gaps, device.logins) == (["/Common/web.crt"], [], 0)


async def test_without_the_certificates_themselves_there_is_a_gap_and_what_to_do(
    device: bigip.BigIp, lab_ca: CertificateAuthority
):
    device.keep("/Common/web.crt", lab_ca.issue("web.test"))
    holdings, [gap] = await read(device, contents="none")
    assert (holdings, gap.hides("/Common/web.crt")) == ({}, True)
    assert "contents" in gap.next_step
    device.forbidden.add("soap")
    holdings, [gap] = await read(device)
    assert (holdings, gap.hides("/Common/web.crt")) == ({}, True)
    assert not (await checked(device))["contents"].ok


async def test_objects_that_the_role_may_not_read_are_gaps_and_leave_the_use_unknown(
    device: bigip.BigIp, lab_ca: CertificateAuthority
):
    device.keep("/Common/web.crt", lab_ca.issue("web.test"))
    device.forbidden |= {"ltm/virtual", "sys/file/ssl-key"}
    holdings, gaps = await read(device)
    assert {gap.scope for gap in gaps} == device.forbidden
    assert holdings["/Common/web.crt"].in_use is None
    checks = await checked(device)
    assert {name for name, check in checks.items() if not check.ok} == device.forbidden


async def test_certificates_that_may_not_be_listed_are_one_gap_over_everything(device: bigip.BigIp):
    device.forbidden.add("sys/file/ssl-cert")
    holdings, gaps = await read(device)
    assert (holdings, [gap.scope for gap in gaps]) == ({}, [""])


async def test_a_user_whom_the_device_does_not_know_may_miss_partitions_unless_the_settings_say_no(
    device: bigip.BigIp, lab_ca: CertificateAuthority
):
    device.keep("/Common/web.crt", lab_ca.issue("web.test"))
    device.roles = None
    holdings, gaps = await read(device)
    assert ([gap.scope for gap in gaps], holdings["/Common/web.crt"].in_use) == ([""], None)
    holdings, gaps = await read(device, all_partitions=True)
    assert (gaps, holdings["/Common/web.crt"].in_use) == ([], False)


async def test_one_certificate_that_cannot_be_read_is_a_gap_of_its_own(
    device: bigip.BigIp, lab_ca: CertificateAuthority
):
    for number in range(5):
        device.keep(f"/Common/web{number}.crt", lab_ca.issue("web.test"))
    device.certificates["/Common/web2.crt"] = b"no certificate"

    def before(question: Question) -> None:
        # The device lists it, and it is gone when it is asked for.
        if question.path == bigip.SOAP and b"web3" in question.body:
            device.certificates.pop("/Common/web3.crt", None)

    device.interface.before = before
    holdings, gaps = await read(device)
    assert sorted(holdings) == [f"/Common/web{number}.crt" for number in (0, 1, 4)]
    assert {gap.scope for gap in gaps} == {"/Common/web2.crt", "/Common/web3.crt"}


async def test_a_certificate_that_changes_under_the_reader_is_a_gap(
    device: bigip.BigIp, lab_ca: CertificateAuthority
):
    device.keep("/Common/web.crt", lab_ca.issue("web.test"))

    def before(question: Question) -> None:
        if question.path == bigip.SOAP:
            device.keep("/Common/web.crt", lab_ca.issue("web.test"))

    device.interface.before = before
    holdings, [gap] = await read(device)
    assert (holdings, gap.scope, "changed" in gap.reason) == ({}, "/Common/web.crt", True)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b'{"items": 1}',
        b'{"items": [1]}',
        b'{"items": [{"fullPath": 5}, {"fullPath": "/a\\u0000"}], "totalItems": "x"}',
        b'{"items": [{"fullPath": "/Common/x", "certKeyChain": {"a": 1}, "profilesReference": [], "tmOptions": 1, "defaultsFrom": "/Common/x"}]}',
        b'{"token": {"token": "a\\r\\nb"}}',
        b"<html>",
        b'<!DOCTYPE x [<!ENTITY a "aa">]><x>&a;</x>',
    ],
)
async def test_answers_that_make_no_sense_end_in_a_reading_or_an_error_of_ours(
    body: bytes, device: bigip.BigIp
):
    device.interface.before = lambda _: Reply(body=body)
    for login in ("basic", "token"):
        with suppress(Unavailable):
            assert (await read(device, login=login))[0] == {}


async def test_nothing_is_asked_but_what_reads_and_the_session(
    device: bigip.BigIp, lab_ca: CertificateAuthority
):
    device.keep("/Common/web.crt", lab_ca.issue("web.test"))
    await read(device)
    await checked(device)
    posted = {
        (each.method, each.path.split("/")[-1][:5]) for each in device.interface.asked if each.method != "GET"
    }
    token = {path for method, path in posted if method == "DELETE"}
    assert posted == {("POST", "login"), ("POST", "iCont")} | {("DELETE", name) for name in token}
    assert not any("passphrase" in each.params.get("$select", "") for each in device.interface.asked)
