"""A Palo Alto Networks firewall is read: its certificates, who uses them and where, and nothing that is secret."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import tostring

import httpx
import pytest

from services.discovery.connectors.pan_os import PanOs, PanOsCredential
from services.discovery.connectors.web import Answer
from services.discovery.domain.holdings import Gap, Holding, Listener
from shared.appliances.pan_os import _result
from shared.errors import Refused, Unavailable
from tests.discovery.connectors.devices import access, checked, read
from tests.servers.appliance import Asked, Said
from tests.servers.pan_os import DEVICE, MASTERED, PASSWORD, USER, PanOsSimulator

SHARED, VSYS1, VSYS2 = "/config/shared", *(f"{DEVICE}/vsys/entry[@name='vsys{n}']" for n in (1, 2))


@pytest.fixture
def device(tmp_path: Path) -> Iterator[PanOsSimulator]:
    simulator = PanOsSimulator(tmp_path / "pan-os")
    simulator.start()
    yield simulator
    simulator.close()


async def read_all(device: PanOsSimulator, **settings: Any) -> tuple[dict[str, Holding], list[Gap]]:
    at = access(
        PanOs,
        settings={"url": device.url, "trusted_ca": device.ca, **settings},
        credential={"api_key": device.key},
    )
    return await read(PanOs, at)


def slots(holding: Holding) -> dict[str, tuple[Listener, ...]]:
    return {use.file: use.listeners for use in holding.uses}


def profile(name: str, certificate: str) -> str:
    return f'<entry name="{name}"><certificate>{certificate}</certificate><protocol-settings/></entry>'


async def test_what_uses_a_service_profile_uses_its_certificate_and_says_where(device: PanOsSimulator):
    for name in ("gp", "mgmt", "portal"):
        device.issue(SHARED, name)
    device.put(f"{SHARED}/ssl-tls-service-profile", profile("GP", "gp") + profile("MGMT", "mgmt"))
    device.put(f"{VSYS1}/ssl-tls-service-profile", profile("CP", "portal"))
    device.put(
        f"{DEVICE}/deviceconfig/system",
        "<ip-address>192.0.2.7</ip-address><ssl-tls-service-profile>MGMT</ssl-tls-service-profile>",
    )
    device.put(
        f"{VSYS1}/global-protect",
        '<global-protect-portal><entry name="P1"><portal-config><local-address><ip><ipv4>203.0.113.1/24</ipv4></ip>'
        "</local-address><ssl-tls-service-profile>GP</ssl-tls-service-profile></portal-config></entry>"
        '</global-protect-portal><global-protect-gateway><entry name="G1"><local-address><ip><ipv4>$address</ipv4></ip>'
        "</local-address><ssl-tls-service-profile>GP</ssl-tls-service-profile></entry></global-protect-gateway>",
    )
    device.put(
        f"{VSYS1}/captive-portal",
        "<redirect-host>login.test</redirect-host><ssl-tls-service-profile>CP</ssl-tls-service-profile>",
    )
    found, gaps = await read_all(device)
    assert gaps == []
    assert slots(found["shared/certificate/gp"]) == {
        "vsys/vsys1/global-protect/P1/portal-config/ssl-tls-service-profile": (
            Listener(port=443, address="203.0.113.1"),
        ),
        "vsys/vsys1/global-protect/G1/ssl-tls-service-profile": (Listener(port=443),),
    }
    assert slots(found["shared/certificate/mgmt"]) == {
        "device/deviceconfig/system/ssl-tls-service-profile": (Listener(port=443, address="192.0.2.7"),)
    }
    assert slots(found["shared/certificate/portal"]) == {
        "vsys/vsys1/captive-portal": (Listener(port=6082, address="login.test"),)
    }
    assert found["shared/certificate/gp"].addresses == ("203.0.113.1", "127.0.0.1")


async def test_decryption_and_ike_use_certificates_and_rules_that_are_off_do_not(device: PanOsSimulator):
    for name in ("trust", "untrust", "web", "newer", "off", "ike", "unused"):
        device.issue(SHARED, name)
    device.put(
        f"{SHARED}/ssl-decrypt",
        "<forward-trust-certificate><rsa>trust</rsa></forward-trust-certificate>"
        "<forward-untrust-certificate>untrust</forward-untrust-certificate>",
    )
    inspection = "<ssl-inbound-inspection>{}</ssl-inbound-inspection>"
    rules = {
        "in": inspection.format("web"),
        "in2": inspection.format("<certificates><member>newer</member></certificates>"),
        "off": inspection.format("off"),
    }
    for name, kind in rules.items():
        device.put(
            f"{VSYS1}/rulebase/decryption/rules",
            f'<entry name="{name}"><action>decrypt</action><type>{kind}</type><service><member>service-https</member></service>'
            f"<destination><member>198.51.100.4</member><member>web-farm</member></destination>"
            f"<disabled>{'yes' if name == 'off' else 'no'}</disabled></entry>",
        )
    device.put(
        f"{DEVICE}/network/ike/gateway",
        '<entry name="GW"><authentication><pre-shared-key><key>swordfish-psk</key></pre-shared-key><certificate>'
        "<local-certificate><name>ike</name></local-certificate></certificate></authentication></entry>",
    )
    found, gaps = await read_all(device)
    assert gaps == []
    used = {path.rpartition("/")[2]: each.in_use for path, each in found.items()}
    assert used == {"off": False, "unused": False} | dict.fromkeys(
        ("trust", "untrust", "web", "newer", "ike"), True
    )
    for name in ("web", "newer"):
        [listeners] = slots(found[f"shared/certificate/{name}"]).values()
        assert listeners == (Listener(port=443, address="198.51.100.4"),)
    assert "swordfish" not in repr(found)


async def test_a_virtual_systems_own_goes_before_what_is_shared(device: PanOsSimulator):
    for xpath in (SHARED, VSYS1):
        device.issue(xpath, "same")
    for xpath in (VSYS1, VSYS2):
        device.put(
            f"{xpath}/ssl-decrypt", "<forward-trust-certificate><rsa>same</rsa></forward-trust-certificate>"
        )
    found, _ = await read_all(device)
    assert [use.file for use in found["vsys/vsys1/certificate/same"].uses] == ["vsys/vsys1/ssl-decrypt"]
    assert [use.file for use in found["shared/certificate/same"].uses] == ["vsys/vsys2/ssl-decrypt"]


async def test_private_keys_are_dropped_and_the_key_of_the_api_is_in_no_url(device: PanOsSimulator):
    device.issue(SHARED, "web")
    device.hold(SHARED, "ca", device.authority.pem.decode(), with_key=False)
    at = access(
        PanOs,
        settings={"url": device.url, "trusted_ca": device.ca},
        credential={"username": USER, "password": PASSWORD},
    )
    found, _ = await read(PanOs, at)
    assert [found[f"shared/certificate/{name}"].key is not None for name in ("web", "ca")] == [True, False]
    assert MASTERED not in repr(found)
    assert not any(asked.query for asked in device.requests)
    assert [asked.form.get("type") for asked in device.requests].count("keygen") == 1


def test_what_is_secret_is_dropped_while_an_answer_is_parsed(device: PanOsSimulator):
    device.issue(SHARED, "web")
    device.put(f"{SHARED}/x", f"<pre-shared-key><key>{MASTERED}</key></pre-shared-key><key>kept</key>")
    answer = Answer(
        status=200,
        headers=httpx.Headers(),
        body=b"<response status='success'><result>" + tostring(device.root) + b"</result></response>",
    )
    result = _result(answer, what="/config")
    assert MASTERED.encode() in answer.body
    assert result is not None
    told = tostring(result)
    assert (MASTERED.encode() in told, b"BEGIN CERTIFICATE" in told, b"<key>kept</key>" in told) == (
        False,
        True,
        True,
    )


async def test_a_panorama_is_read_with_its_templates_and_leaves_open_what_device_groups_may_use(
    device: PanOsSimulator,
):
    template = f"{DEVICE}/template/entry[@name='branch']/config"
    device.issue("/config/panorama", "own")
    device.issue(f"{template}/shared", "pushed")
    device.issue(f"{template}/shared", "idle")
    device.put(f"{template}/shared/ssl-tls-service-profile", profile("MGMT", "pushed"))
    inner = template + DEVICE.removeprefix("/config")
    device.put(f"{inner}/deviceconfig/system", "<ssl-tls-service-profile>MGMT</ssl-tls-service-profile>")
    found, gaps = await read_all(device, panorama=True)
    assert gaps == []
    assert {path: each.in_use for path, each in found.items()} == {
        "panorama/certificate/own": None,
        "template/branch/shared/certificate/pushed": True,
        "template/branch/shared/certificate/idle": None,
    }


async def test_a_part_that_may_not_be_read_is_a_gap_and_leaves_open_whether_something_is_used(
    device: PanOsSimulator,
):
    device.issue(SHARED, "web")
    device.forbidden.add(f"{VSYS1}/global-protect")
    found, gaps = await read_all(device)
    assert [gap.scope for gap in gaps] == ["vsys/vsys1/global-protect"]
    assert found["shared/certificate/web"].in_use is None


async def test_a_role_without_the_right_reads_nothing_and_is_told_which_right(device: PanOsSimulator):
    device.refuses_type = True
    at = access(
        PanOs, settings={"url": device.url, "trusted_ca": device.ca}, credential={"api_key": device.key}
    )
    failed = [check for check in await checked(PanOs, at) if not check.ok]
    assert failed
    assert all("not authorized for user role" in check.text for check in failed)


async def test_an_expired_session_is_a_refused_login(device: PanOsSimulator):
    device.is_timed_out = True
    with pytest.raises(Refused, match="Session timed out"):
        await read_all(device)


async def test_a_certificate_that_cannot_be_parsed_is_a_gap_of_its_own(device: PanOsSimulator):
    device.issue(SHARED, "good")
    device.hold(SHARED, "bad", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")
    found, gaps = await read_all(device)
    assert set(found) == {"shared/certificate/good"}
    assert [gap.scope for gap in gaps] == ["shared/certificate/bad"]


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>login</body></html>",
        b"<response status='success'>",
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]><response status="success"><result>&a;</result></response>',
        b"<response status='success'><result>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</result></response>",
        b"<response status='error' code='3'><msg><line>Internal error</line></msg></response>",
        b"\x00\xff",
    ],
)
async def test_an_answer_that_is_none_is_said_to_be_none(
    device: PanOsSimulator, monkeypatch: pytest.MonkeyPatch, body: bytes
):
    def strange(asked: Asked) -> Said:
        return Said(body=body)

    monkeypatch.setattr(device, "answer", strange)
    with pytest.raises(Unavailable):
        await read_all(device)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"username": "a"},
        {"api_key": "k" * 20, "username": "a", "password": "b"},
        {"api_key": "k" * 20, "password": "b"},
        {"api_key": "line one\nline two"},
    ],
)
def test_a_credential_is_a_key_or_an_account(given: dict[str, str]):
    with pytest.raises(ValueError):
        PanOsCredential.model_validate(given)
