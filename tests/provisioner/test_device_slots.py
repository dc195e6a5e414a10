"""Which slot of a target it is that a device says uses a certificate."""

from typing import Any

import pytest

from services.provisioner.connectors.registry import target_kind
from services.provisioner.domain.device_slots import device_slot
from services.provisioner.domain.proposals import obstacle, plan
from shared.events.discovery import ConfiguredUse, Held, Listening

HTTPS = [Listening(port=443, address="192.0.2.10")]


def held(form: str, *files: str, listeners: list[Listening] = HTTPS, **more: Any) -> Held:
    uses = [ConfiguredUse(product=form, file=file, listeners=listeners) for file in files]
    return Held(format=form, in_use=True, uses=uses, use_count=len(uses), **more)


BIGIP = held("bigip", "/Common/shop-https via /Common/shop-clientssl")


@pytest.mark.parametrize(
    ("told", "path", "kind", "slot"),
    [
        (BIGIP, "/Common/shop.crt", "f5-bigip", {"profile": "/Common/shop-clientssl"}),
        (
            held("citrix-adc", "lbvserver/a", "csvserver/b"),
            "sslcertkey/shop",
            "citrix-adc",
            {"certkey": "shop"},
        ),
        (
            held("fortios", "vdom/root/firewall/vip/shop"),
            "vdom/root/shop",
            "fortigate",
            {"use": "vip", "vdom": "root", "name": "shop"},
        ),
        (
            held("fortios", "vdom/dmz/vpn.ssl/settings"),
            "global/vpn",
            "fortigate",
            {"use": "ssl-vpn", "vdom": "dmz"},
        ),
        (held("fortios", "global/system/global"), "global/web", "fortigate", {"use": "admin"}),
    ],
    ids=["f5-bigip", "citrix-adc", "vip", "ssl-vpn", "admin"],
)
def test_what_a_device_says_is_a_slot_that_its_kind_of_target_takes(
    told: Held, path: str, kind: str, slot: dict[str, Any]
) -> None:
    found = device_slot(told, path=path)
    assert found is not None
    assert (found.kind, found.slot) == (kind, slot)
    assert target_kind(kind).slot_type.model_validate(slot)
    assert obstacle(told, path=path, host="lb-1") is None
    planned = plan(told, path=path, reached_at="lb-1")
    assert [(each.address, each.port) for each in planned.endpoints] == [("192.0.2.10", 443)]


@pytest.mark.parametrize(
    ("told", "path", "why"),
    [
        (held("bigip", "/Common/a via /Common/x", "/Common/b via /Common/y"), "/Common/shop.crt", "2 uses"),
        (BIGIP, "/Common/everleaf-0a1b2c3d-0123456789ab.crt", "A deployment has put it there"),
        (held("fortios", "vdom/root/vpn.ipsec/phase1/site"), "global/vpn", "vpn.ipsec/phase1/site"),
        (held("bigip", "/Common/a via /Common/x", listeners=[]), "/Common/shop.crt", "No kind of target"),
        (held("bigip", "/Common/a via /Common/x", is_abridged=True), "/Common/shop.crt", "More uses"),
        (held("pan-os", "shared/x"), "shared/certificate/x", "kept as pan-os"),
    ],
    ids=["several uses", "ours", "tunnel", "nothing listens", "abridged", "pan-os"],
)
def test_what_is_no_slot_says_why(told: Held, path: str, why: str) -> None:
    assert why in (obstacle(told, path=path, host="lb-1") or "")
