"""Everleaf issues the certificates that its own parts know one another by, puts them in place, and goes on meanwhile."""

import subprocess
from collections.abc import Mapping
from typing import Any

import httpx

from tests.deploy.installation import Installation
from tests.deploy.parts import DEPLOY
from tests.journeys.platforms import SERVICES, Json, accepted, items, until
from tests.servers.ssh import Sshd
from tests.servers.tls import fingerprint, served_certificate

HOUSE = "Parts of the house"
PATIENCE = 600
"""Seconds for what takes some: a machine may have much else to do."""


def test_everleaf_renews_the_certificates_of_its_own_parts_and_they_go_on_knowing_one_another(
    installation: Installation, sshd: Sshd
) -> None:
    with installation.client() as client:
        _make_authority(client, installation)
        target_id = _make_target(client, sshd)
        parts = _parts(installation)
        lineages = {
            name: _place(client, name, slot_and_endpoint, target_id=target_id)
            for name, slot_and_endpoint in parts.items()
        }
        first = {name: _in_place(client, lineages[name], part) for name, part in parts.items()}
        for name, lineage_id in lineages.items():
            _order(client, name, lineage_id=lineage_id)
        second = {
            name: _in_place(client, lineages[name], part, after=first[name]) for name, part in parts.items()
        }
        assert not set(first.values()) & set(second.values())
        # Broker, databases and services have what they need of one another, on new connections too.
        installation.broker.drop_connections()
        installation.wait_ready()
        _hear_of_all(client, second)


def _make_authority(client: httpx.Client, installation: Installation) -> None:
    """Make the authority below the root of the installation, as its own how-to says."""
    options = {
        "signed_by_other": True,
        "for_clients": True,
        "permitted": ["everleaf.internal", "localhost"],
    }
    body = {"name": HOUSE, "kind": "builtin", "options": options}
    path = f"/renewal/v1/authorities/{accepted(client.post('/renewal/v1/authorities', json=body))['id']}"
    request = installation.folder / "request.der"
    request.write_bytes(client.get(f"{path}/csr").content)
    signed = subprocess.run(
        ["sh", str(DEPLOY / "sign-authority.sh"), str(installation.home), str(request)],
        capture_output=True,
        text=True,
        check=True,
    )
    answer = client.put(f"{path}/certificate", json={"certificate": signed.stdout})
    assert answer.status_code == httpx.codes.NO_CONTENT, answer.text
    allowed = ["*.everleaf.internal", "localhost"]
    profile = {"name": "parts", "authority": HOUSE, "lifetime": "P47D", "allowed_names": allowed}
    accepted(client.post("/renewal/v1/profiles", json=profile))


def _make_target(client: httpx.Client, sshd: Sshd) -> str:
    """Make known the machine that all parts run on."""
    body = {
        "name": "the machine",
        "kind": "files",
        "host": sshd.host,
        "port": sshd.port,
        "username": sshd.username,
        "host_key": sshd.host_key,
        "credential": {"private_key": sshd.client_key},
    }
    return str(accepted(client.post("/provisioner/v1/targets", json=body))["id"])


def _parts(installation: Installation) -> dict[str, Mapping[str, Any]]:
    """Return one part of each kind: where its certificate is, what makes it read that again, and where it shows it."""
    tls = installation.home / "tls"
    reading: dict[str, tuple[Any, int, Json]] = {
        "gateway": (
            tls / "gateway",
            installation.gateway.port,
            {"reload_command": installation.gateway.reload_command()},
        ),
        "postgresql": (
            installation.database.tls,
            installation.database.port,
            {"reload_command": installation.database.reload_command()},
        ),
        "rabbitmq": (
            tls / "rabbitmq",
            installation.broker.tls_port or 0,
            {"reload_command": installation.broker.reload_command()},
        ),
        "notifier": (tls / "notifier", installation.ports["notifier"][0], {}),
    }
    return {
        name: {
            "slot": {
                "certificate_path": str(folder / "cert.pem"),
                "key_path": str(folder / "key.pem"),
                **reload,
            },
            "endpoint": {
                "address": "127.0.0.1",
                "port": port,
                "server_name": f"{name}.everleaf.internal",
                **({"starttls": "postgres"} if name == "postgresql" else {}),
            },
        }
        for name, (folder, port, reload) in reading.items()
    }


def _place(client: httpx.Client, name: str, part: Mapping[str, Any], *, target_id: str) -> str:
    """Order a part's certificate, say where it belongs, and have it renewed from then on; return its lineage."""
    lineage_id = _order(client, name)
    binding = {
        "lineage_id": lineage_id,
        "target_id": target_id,
        "slot": part["slot"],
        "endpoints": [part["endpoint"]],
    }
    accepted(client.post("/provisioner/v1/bindings", json=binding))
    accepted(client.put(f"/renewal/v1/enrolments/{lineage_id}", json={"profile": "parts"}))
    return lineage_id


def _order(client: httpx.Client, name: str, **more: str) -> str:
    """Order a part's certificate; return its lineage."""
    names = [f"{name}.everleaf.internal", *(["localhost"] if name not in SERVICES else [])]
    order = {"names": names, "profile": "parts", **more}
    return str(accepted(client.post("/renewal/v1/orders", json=order))["lineage_id"])


def _in_place(client: httpx.Client, lineage_id: str, part: Mapping[str, Any], *, after: str = "") -> str:
    """Wait until the newest certificate is deployed; return its fingerprint, which is what the part serves."""

    def deployed() -> str | None:
        try:
            found = items(client, "/provisioner/v1/deployments", lineage_id=lineage_id)
        except httpx.TransportError:  # the gateway reads its certificate again
            return None
        newest = next((each for each in found if each["fingerprint"] != after), None)
        assert newest is None or newest["state"] not in ("failed", "needs_attention"), newest
        return str(newest["fingerprint"]) if newest and newest["state"] == "deployed" else None

    placed: str = until(deployed, what=f"a deployment at {part['endpoint']}", within=PATIENCE)
    if "starttls" not in part["endpoint"]:
        endpoint = part["endpoint"]
        served = served_certificate(endpoint["address"], endpoint["port"], endpoint["server_name"])
        assert fingerprint(served) == placed
        assert served.issuer.rfc4514_string() == f"CN={HOUSE}"
    return placed


def _hear_of_all(client: httpx.Client, fingerprints: Mapping[str, str]) -> None:
    for name, each in fingerprints.items():
        until(
            lambda each=each: client.get(f"/inventory/v1/certificates/{each}").is_success,
            what=f"inventory's knowledge of the certificate of {name}",
            within=PATIENCE,
        )
