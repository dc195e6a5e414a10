"""A key pair is made on a real host; only its request travels, and a failed order leaves nothing there."""

import base64
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.journeys.conftest import StartPlatform
from tests.journeys.estate import Estate, found, known, scan
from tests.journeys.platforms import Json, Platform, accepted, until
from tests.servers.tls import CertificateAuthority, fingerprint

NAME = "shop.example.test"


def device_profile(client: httpx.Client, name: str, **given: object) -> None:
    """Keys of it are made on the target."""
    body = {
        "name": name,
        "authority": "house-ca",
        "allowed_names": ["*.example.test"],
        "key_custody": "target",
    }
    accepted(client.post("/renewal/v1/profiles", json={**body, **given}))


def approver(platform: Platform, client: httpx.Client) -> httpx.Client:
    """Return a client of somebody who decides."""
    body = {"name": "ann", "kind": "person", "roles": ["approver"]}
    made = accepted(client.post("/inventory/v1/principals", json=body))
    key = accepted(client.post(f"/inventory/v1/principals/{made['id']}/api-keys", json={"days": 1}))["key"]
    bearer = {"Authorization": f"Bearer {key}"}
    token = accepted(client.post("/inventory/v1/tokens", json={}, headers=bearer))["access_token"]
    return httpx.Client(base_url=platform.url, timeout=30, headers={"Authorization": f"Bearer {token}"})


def forms_of(pem: bytes) -> list[bytes]:
    """Return how a key could be written down somewhere: parts of its PEM, its DER, its number in base64 and hex."""
    key = load_pem_private_key(pem, None)
    assert isinstance(key, EllipticCurvePrivateKey)
    number = key.private_numbers().private_value.to_bytes(32, "big")
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    lines = [line for line in pem.splitlines() if not line.startswith(b"-----")]
    return [*lines, der, number, base64.b64encode(der), number.hex().encode()]


def holding(directory: Path, forms: list[bytes]) -> list[Path]:
    """Return the files below a directory that hold one of these."""
    return [
        path
        for path in directory.rglob("*")
        if path.is_file() and any(form in path.read_bytes() for form in forms)
    ]


def test_a_key_made_on_the_target_never_leaves_it(
    start_platform: StartPlatform, estate: Estate, lab_ca: CertificateAuthority
) -> None:
    site = estate.expiring_site(NAME, ca=lab_ca)
    platform = start_platform("embedded")
    old, old_key = site.issued.fingerprint, site.key.read_bytes()
    folder = {path.name for path in site.key.parent.iterdir()}
    with platform.client() as client:
        accepted(client.post("/renewal/v1/authorities", json={"name": "house-ca", "kind": "builtin"}))
        device_profile(client, "device", approvals_needed=1)
        scan(client, site)
        lineage_id = known(client, site)["lineage_id"]
        estate.bind(client, site, lineage_id=lineage_id)

        with approver(platform, client) as ann:
            refused = order(client, lineage_id)
            decide(ann, "refuse")
            finished = until(lambda: _state(client, refused, "failed"), what="the order fails")
            assert finished["fingerprint"] is None
            until(lambda: _names(site.key) == folder, what="the key that waited is removed")
            assert (fingerprint(site.served()), site.key.read_bytes()) == (old, old_key)

            wanted = order(client, lineage_id)
            decide(ann, "grant")
        found(client, "/renewal/v1/orders", id=wanted, state="renewed")
        deployment = found(client, "/provisioner/v1/deployments", order_id=wanted, state="deployed")
        now = site.served()
        assert fingerprint(now) != old
        key = load_pem_private_key(site.key.read_bytes(), None)
        assert key.public_key() == now.public_key()
        until(lambda: _names(site.key) == folder, what="the folder is tidy")
        steps = accepted(client.get(f"/provisioner/v1/deployments/{deployment['id']}"))["steps"]
        assert "fetch key" not in [step["step"] for step in steps]
        assert accepted(client.get("/renewal/v1/key-releases"))["items"] == []
        found(client, "/inventory/v1/replacements", lineage_id=lineage_id, state="replaced")
    platform.stop()
    forms = forms_of(site.key.read_bytes())
    assert holding(site.key.parent, forms) == [site.key]
    # Databases, the bus and its events, and the logs are all below it.
    assert holding(platform.directory, forms) == []


def order(client: httpx.Client, lineage_id: str) -> str:
    """Order by the profile, and return when the request has come from the target and waits for a word."""
    body = {"names": [NAME], "profile": "device", "lineage_id": lineage_id}
    made = accepted(client.post("/renewal/v1/orders", json=body))
    until(lambda: _state(client, made["id"], "awaiting_approval"), what="the request comes from the target")
    return str(made["id"])


def decide(client: httpx.Client, verdict: str) -> None:
    """Say it on what waits."""
    asked = found(client, "/renewal/v1/approvals", state="open")
    body = {"verdict": verdict, "digest": asked["digest"], "reason": "CHG0042"}
    accepted(client.post(f"/renewal/v1/approvals/{asked['id']}/decisions", json=body))


def _state(client: httpx.Client, order_id: str, state: str) -> Json | None:
    now = accepted(client.get(f"/renewal/v1/orders/{order_id}"))
    return now if now["state"] == state else None


def _names(key: Path) -> set[str]:
    return {path.name for path in key.parent.iterdir()}
