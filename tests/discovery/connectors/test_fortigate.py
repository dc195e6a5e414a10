"""A FortiGate is read: which certificates there are, which of them something uses, and what may not be seen."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.discovery.connectors.fortigate import FortiGate
from services.discovery.domain.holdings import Gap, Holding, Listener
from shared import x509
from shared.errors import Unavailable
from tests.discovery.connectors.devices import access, checked, read
from tests.servers.appliance import Asked, Said
from tests.servers.fortigate import SECRET, TOKEN, FortiGateSimulator


@pytest.fixture
def device(tmp_path: Path) -> Iterator[FortiGateSimulator]:
    simulator = FortiGateSimulator(tmp_path / "fortigate")
    simulator.start()
    yield simulator
    simulator.close()


async def read_all(device: FortiGateSimulator, **settings: Any) -> tuple[dict[str, Holding], list[Gap]]:
    at = access(
        FortiGate,
        settings={"url": device.url, "trusted_ca": device.ca, **settings},
        credential={"token": TOKEN},
    )
    return await read(FortiGate, at)


def slots(holding: Holding) -> list[tuple[str, tuple[Listener, ...]]]:
    return [(use.file, use.listeners) for use in holding.uses]


async def test_each_slot_says_where_its_certificate_is_served(device: FortiGateSimulator):
    for name in ("admin", "shop", "vpn"):
        device.issue("global", name)
    device.tables["global", "system/global"] = [{"admin-server-cert": "admin", "admin-sport": 8443}]
    device.tables["root", "vpn.ssl/settings"] = [{"status": "enable", "servercert": "vpn", "port": 10443}]
    device.tables["dmz", "firewall/vip"] = [
        {"name": "shop vip", "extip": "203.0.113.9", "extport": "443", "ssl-certificate": [{"name": "shop"}]},
        {"name": "old", "extip": "203.0.113.10-203.0.113.12", "extport": "0", "ssl-certificate": "shop"},
    ]
    found, gaps = await read_all(device)
    assert gaps == []
    assert slots(found["global/admin"]) == [("global/system/global", (Listener(port=8443),))]
    assert slots(found["global/vpn"]) == [("vdom/root/vpn.ssl/settings", (Listener(port=10443),))]
    assert slots(found["global/shop"]) == [
        ("vdom/dmz/firewall/vip/shop vip", (Listener(port=443, address="203.0.113.9"),)),
        ("vdom/dmz/firewall/vip/old", ()),
    ]
    assert found["global/shop"].addresses == ("203.0.113.9", "127.0.0.1")
    assert {each.in_use for each in found.values()} == {True}


async def test_what_is_there_is_told_from_what_is_used(device: FortiGateSimulator):
    device.issue("root", "unused")
    device.issue("root", "off")
    device.issue("root", "elsewhere", q_ref=2)
    device.issue("global", "Fortinet_Factory", source="factory")
    device.tables["root", "vpn.ssl/settings"] = [{"status": "disable", "servercert": "off", "port": 443}]
    found, _ = await read_all(device)
    assert {path: each.in_use for path, each in found.items()} == {
        "vdom/root/unused": False,
        "vdom/root/off": False,
        "vdom/root/elsewhere": True,
        "global/Fortinet_Factory": None,
    }


async def test_a_vdoms_own_certificate_goes_before_one_of_the_same_name_for_all(device: FortiGateSimulator):
    everybodys, own = device.issue("global", "web"), device.issue("root", "web")
    for vdom in ("root", "dmz"):
        device.tables[vdom, "vpn.ipsec/phase1-interface"] = [
            {"name": f"to-{vdom}", "certificate": [{"name": "web"}]}
        ]
    found, _ = await read_all(device)
    assert [slots(found[path]) for path in ("vdom/root/web", "global/web")] == [
        [("vdom/root/vpn.ipsec/phase1-interface/to-root", ())],
        [("vdom/dmz/vpn.ipsec/phase1-interface/to-dmz", ())],
    ]
    assert x509.fingerprint(found["vdom/root/web"].chain[0]) == own.fingerprint
    assert x509.fingerprint(found["global/web"].chain[0]) == everybodys.fingerprint


@pytest.mark.parametrize("lists_bodies", [True, False])
async def test_certificates_come_with_the_list_or_one_by_one_and_secrets_are_never_asked_for(
    device: FortiGateSimulator, lists_bodies: bool
):
    device.lists_bodies = lists_bodies
    device.issue("root", "a")
    device.issue("root", "waiting", status="pending")
    found, _ = await read_all(device)
    assert set(found) == {"vdom/root/a"}
    downloads = [asked for asked in device.requests if asked.path.endswith("/download")]
    assert len(downloads) == (0 if lists_bodies else 1)
    assert all("format" in asked.query for asked in device.requests if "/cmdb/" in asked.path)
    assert not any("private-key" in asked.query.get("format", "") for asked in device.requests)
    assert SECRET not in repr(found)
    assert all(TOKEN not in str(asked.query) for asked in device.requests)


async def test_tables_that_a_version_does_not_have_are_no_gap(device: FortiGateSimulator):
    device.issue("root", "a")
    device.missing_tables = {"vpn.ssl/settings", "vpn.ipsec/phase1", "system/csf"}
    found, gaps = await read_all(device)
    assert (found["vdom/root/a"].in_use, gaps) == (False, [])


async def test_a_table_that_may_not_be_read_leaves_open_whether_something_is_used(device: FortiGateSimulator):
    device.issue("root", "a")
    device.issue("dmz", "b")
    device.forbidden.add("root firewall/vip")
    found, gaps = await read_all(device)
    assert [gap.scope for gap in gaps] == ["vdom/root/firewall/vip"]
    assert (found["vdom/root/a"].in_use, found["vdom/dmz/b"].in_use) == (None, False)
    at = access(FortiGate, settings={"url": device.url, "trusted_ca": device.ca}, credential={"token": TOKEN})
    failed = [check for check in await checked(FortiGate, at) if not check.ok]
    assert [check.name for check in failed] == ["vdom/root/firewall/vip"]
    assert "403" in failed[0].text


async def test_only_the_vdoms_that_are_named_are_read(device: FortiGateSimulator):
    device.issue("root", "a")
    device.issue("dmz", "b")
    found, _ = await read_all(device, vdoms=["dmz"])
    assert set(found) == {"vdom/dmz/b"}
    assert not any(asked.query.get("vdom") == "root" for asked in device.requests)


async def test_a_certificate_that_cannot_be_parsed_is_a_gap_of_its_own(device: FortiGateSimulator):
    device.issue("root", "good")
    device.add("root", "bad", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    device.add("root", "a/../b", "no certificate at all")
    found, gaps = await read_all(device)
    assert set(found) == {"vdom/root/good"}
    assert {gap.scope for gap in gaps} == {"vdom/root/bad", "vdom/root/a%2F..%2Fb"}


@pytest.mark.parametrize(
    "body",
    [b"<html>Login</html>", b"[]", b'{"status": "error", "error": -651}', b'{"results": ' + b"[" * 100_000],
)
async def test_an_answer_that_is_none_is_said_to_be_none(
    device: FortiGateSimulator, monkeypatch: pytest.MonkeyPatch, body: bytes
):
    def strange(asked: Asked) -> Said:
        return Said(body=body)

    monkeypatch.setattr(device, "answer", strange)
    with pytest.raises(Unavailable):
        await read_all(device)
