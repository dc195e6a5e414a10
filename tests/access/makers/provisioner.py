"""Makes what the routes of the provisioner are about."""

from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from shared.clock import utc_now
from shared.events.discovery import CertificateFound, ConfiguredUse, Held, Listening, Place
from shared.events.inventory import LineagesGrouped
from shared.events.renewal import CertificateRenewed
from shared.ids import new_id
from tests.access.estate import OTHERS, OURS, Estate
from tests.access.made import Made, Maker, Reference
from tests.servers.tls import CertificateAuthority

_HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKuvWfH8bCRX0sMpXnHnzEgTMw0CzXmCcQsGlvUvrJ"
_ENDPOINTS = [{"address": "127.0.0.1", "port": 1}]
_ISSUED = CertificateAuthority("Estate CA").issue("www.estate.test")
COMMON = "lineage of both groups"
"""For requests that name something else beside."""


async def _post(estate: Estate, path: str, body: Any, *, group: str, permission: str) -> dict[str, Any]:
    return await estate.make("provisioner", path, body, group=group, permission=permission)


async def target(estate: Estate, group: str, *, host: str = "127.0.0.1") -> Made:
    """Make a host known that nothing listens on."""
    for each in (OURS, OTHERS):
        said = LineagesGrouped(group_id=each, joined=[COMMON])
        await estate.hear("provisioner", "inventory", said)
    name = f"host {new_id()}"
    body = {
        "name": name,
        "kind": "files",
        "host": host,
        "port": 1,
        "username": "everleaf",
        "host_key": _HOST_KEY,
        "credential": {"password": "correct horse"},
    }
    made = await _post(estate, "/v1/targets", body, group=group, permission="targets:write")
    return Made(
        ids={"target_id": made["id"]},
        traces=(name,),
        bodies={"PATCH /v1/targets/{target_id}": {"username": "somebody"}},
    )


def _slot(path: str) -> dict[str, str]:
    return {"certificate_path": path, "key_path": f"{path}.key"}


def _binding(*, lineage_id: str = COMMON, target_id: str = "none") -> dict[str, Any]:
    return {
        "lineage_id": lineage_id,
        "target_id": target_id,
        "slot": _slot(f"/etc/tls/{new_id()}.pem"),
        "endpoints": _ENDPOINTS,
    }


async def binding(estate: Estate, group: str) -> Made:
    """Bind a lineage that inventory says is in the group; a source of the group has told of the same file."""
    lineage_id, host = new_id(), f"host-{new_id()}"
    await estate.hear("provisioner", "inventory", LineagesGrouped(group_id=group, joined=[lineage_id]))
    own = await target(estate, group, host=host)
    body = _binding(lineage_id=lineage_id, target_id=own.ids["target_id"])
    made = await _post(estate, "/v1/bindings", body, group=group, permission="bindings:write")
    await _tell(estate, group, host=host, path=body["slot"]["certificate_path"], fingerprint="0" * 64)
    return Made(ids={"binding_id": made["id"], "lineage_id": lineage_id, **own.ids}, traces=(host,))


async def deployment(estate: Estate, group: str) -> Made:
    """Let renewal say that the certificate of a bound lineage is there."""
    own, order_id = await binding(estate, group), new_id()
    certificate = _ISSUED.certificate
    renewed = CertificateRenewed(
        lineage_id=own.ids["lineage_id"],
        order_id=order_id,
        old_fingerprint=None,
        fingerprint=_ISSUED.fingerprint,
        chain=[certificate.public_bytes(Encoding.DER)],
        names=["www.estate.test"],
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        authority="house-ca",
    )
    await estate.hear("provisioner", "renewal", renewed)
    listed = await estate.ask(
        "provisioner",
        "GET",
        "/v1/deployments",
        groups=[group],
        permissions=["deployments:read"],
        query={"order_id": order_id},
    )
    [made] = listed.json()["items"]
    return Made(ids={"deployment_id": made["id"], "order_id": order_id, **own.ids})


async def proposal(estate: Estate, group: str) -> Made:
    """Let a source of the group tell what a server uses on a host that is a target of the group."""
    host, path, fingerprint = f"host-{new_id()}", f"/etc/tls/{new_id()}.pem", (new_id() * 2)[:64]
    own = await target(estate, group, host=host)
    await _tell(estate, group, host=host, path=path, fingerprint=fingerprint)
    listed = await estate.ask(
        "provisioner",
        "GET",
        "/v1/proposals",
        groups=[group],
        permissions=["bindings:read"],
        query={"host": host},
    )
    [made] = listed.json()["items"]
    return Made(
        ids={"proposal_id": made["id"], "fingerprint": fingerprint},
        traces=(host, path, *own.ids.values()),
        bodies={"POST /v1/proposals/{proposal_id}/accept": {"lineage_id": COMMON}},
    )


async def _tell(estate: Estate, group: str, *, host: str, path: str, fingerprint: str) -> None:
    use = ConfiguredUse(
        product="nginx", file="/etc/nginx/nginx.conf", key=f"{path}.key", listeners=[Listening(port=443)]
    )
    found = CertificateFound(
        place=Place(kind="store", address=host, path=path),
        fingerprint=fingerprint,
        chain=[],
        observed_at=utc_now() - timedelta(seconds=1),
        held=Held(format="pem", uses=[use], use_count=1, in_use=True, addresses=["192.0.2.1"]),
        groups=[group],
    )
    await estate.hear("provisioner", "discovery", found)


MAKERS: dict[tuple[str, str], Maker] = {
    ("provisioner", "/v1/targets/{target_id}"): target,
    ("provisioner", "/v1/bindings/{binding_id}"): binding,
    ("provisioner", "/v1/deployments/{deployment_id}"): deployment,
    ("provisioner", "/v1/proposals/{proposal_id}"): proposal,
}
NOT_OBJECTS: dict[tuple[str, str], str] = {}
_BINDING, _DEPLOYMENT = "/v1/bindings/{binding_id}", "/v1/deployments/{deployment_id}"
_ACCEPT = "POST /v1/proposals/{proposal_id}/accept"
REFERENCES: dict[tuple[str, str, str], Reference] = {
    ("provisioner", "POST /v1/bindings", "body.lineage_id"): Reference(
        to=_BINDING, id="lineage_id", body=lambda lineage_id: _binding(lineage_id=lineage_id)
    ),
    ("provisioner", "POST /v1/bindings", "body.target_id"): Reference(
        to="/v1/targets/{target_id}", body=lambda target_id: _binding(target_id=target_id)
    ),
    ("provisioner", "GET /v1/bindings", "query.lineage_id"): Reference(to=_BINDING, id="lineage_id"),
    ("provisioner", "GET /v1/bindings", "query.target_id"): Reference(to=_BINDING, id="target_id"),
    ("provisioner", "GET /v1/proposals", "query.fingerprint"): Reference(
        to="/v1/proposals/{proposal_id}", id="fingerprint"
    ),
    ("provisioner", "GET /v1/proposals", "query.lineage_id"): Reference(to=_BINDING, id="lineage_id"),
    ("provisioner", _ACCEPT, "body.target_id"): Reference(
        to="/v1/targets/{target_id}",
        body=lambda target_id: {"target_id": target_id, "lineage_id": COMMON},
    ),
    ("provisioner", _ACCEPT, "body.lineage_id"): Reference(
        to=_BINDING, id="lineage_id", body=lambda lineage_id: {"lineage_id": lineage_id}
    ),
    ("provisioner", "GET /v1/deployments", "query.lineage_id"): Reference(to=_DEPLOYMENT, id="lineage_id"),
    ("provisioner", "GET /v1/deployments", "query.order_id"): Reference(to=_DEPLOYMENT, id="order_id"),
    ("provisioner", "GET /v1/deployments", "query.target_id"): Reference(to=_DEPLOYMENT, id="target_id"),
    ("provisioner", "GET /v1/deployments", "query.binding_id"): Reference(to=_DEPLOYMENT, id="binding_id"),
}
_OWN_GROUPS = "an id that is only compared with the groups of the caller: see tests/shared/test_access.py"
_A_KEY = "a key itself, not the name of one"
NOT_REFERENCES: dict[tuple[str, str, str], str] = {
    (service, operation, name): reason
    for operation in ("POST /v1/targets", "PATCH /v1/targets/{target_id}")
    for service, name, reason in (
        ("provisioner", "body.groups", _OWN_GROUPS),
        ("provisioner", "body.host_key", _A_KEY),
        ("provisioner", "body.credential.private_key", _A_KEY),
    )
}
NOT_REFERENCES |= {
    ("provisioner", "POST /v1/proposals/{proposal_id}/accept", f"body.target.{name}"): _A_KEY
    for name in ("host_key", "credential.private_key")
}
