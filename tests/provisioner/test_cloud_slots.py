"""Slots of clusters and clouds, from what discovery tells of their uses."""

from collections.abc import Mapping
from typing import Any

import pytest

from services.provisioner.connectors.registry import target_kind
from services.provisioner.domain.device_slots import device_obstacles, device_slot
from shared.events.discovery import ConfiguredUse, Held

_LISTENER = (
    "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/web/50dc6c495c0c9188/f2f7dc8efc522ab2"
)
_ARN = "arn:aws:acm:eu-west-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
_ENTRY = "projects/shop/locations/global/certificateMaps/shop/certificateMapEntries/www"


@pytest.mark.parametrize(
    ("held_as", "path", "use", "kind", "slot"),
    [
        (
            "kubernetes-secret",
            "secrets/shop/front",
            {"product": "ingress", "file": "ingresses/shop/web"},
            "kubernetes-secret",
            {"namespace": "shop", "secret": "front"},
        ),
        ("acm", _ARN, {"product": "elbv2", "file": _LISTENER, "is_default": True}, "aws-elbv2", {"listener": _LISTENER}),
        (
            "acm",
            _ARN,
            {"product": "elbv2", "file": _LISTENER, "server_names": ["shop.test"]},
            "aws-elbv2",
            {"listener": _LISTENER, "use": "sni", "name": "shop.test"},
        ),
        (
            "iam",
            "arn:aws:iam::123456789012:server-certificate/shop",
            {"product": "cloudfront", "file": "arn:aws:cloudfront::123456789012:distribution/EDFDVBD6EXAMPLE"},
            "aws-cloudfront",
            {"distribution": "EDFDVBD6EXAMPLE"},
        ),
        (
            "google-certificate-manager",
            "projects/shop/locations/global/certificates/old",
            {"product": "certificate-map", "file": _ENTRY},
            "google-certificate-manager",
            {"certificate_map": "shop", "entry": "www"},
        ),
    ],
    ids=["secret", "default", "sni", "distribution", "map entry"],
)  # fmt: skip
def test_what_uses_a_certificate_is_a_slot_of_a_target(
    held_as: str, path: str, use: Mapping[str, Any], kind: str, slot: Mapping[str, Any]
) -> None:
    held = Held(format=held_as, uses=[ConfiguredUse.model_validate(use)], use_count=1)
    found = device_slot(held, path=path)
    assert found is not None
    assert (found.kind, found.slot) == (kind, slot)
    target_kind(kind).slot_type.model_validate(slot)
    assert list(device_obstacles(held, path=path)) == []


@pytest.mark.parametrize(
    ("held_as", "path", "use"),
    [
        ("kubernetes-secret", "secrets/shop/front", {"product": "cert-manager", "file": "certificates/shop/front"}),
        ("acm", _ARN, {"product": "apigateway", "file": "arn:aws:apigateway:eu-west-1::/domainnames/x"}),
        ("google-certificate-manager", "projects/shop/x", {"product": "https-proxy", "file": "elsewhere"}),
    ],
    ids=["cert-manager", "api gateway", "proxy"],
)  # fmt: skip
def test_what_no_kind_changes_says_so(held_as: str, path: str, use: Mapping[str, Any]) -> None:
    held = Held(format=held_as, uses=[ConfiguredUse.model_validate(use)], use_count=1)
    assert device_slot(held, path=path) is None
    [obstacle] = device_obstacles(held, path=path)
    assert str(use["file"]) in obstacle
