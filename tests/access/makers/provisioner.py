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
    await estate.hear("provisioner", "renewal", _renewed(own.ids["lineage_id"], order_id))
    made = await _listed(estate, group, "deployments", order_id=order_id)
    return Made(ids={"deployment_id": made["id"], "order_id": order_id, **own.ids})


def _renewed(lineage_id: str, order_id: str) -> CertificateRenewed:
    certificate = _ISSUED.certificate
    return CertificateRenewed(
        lineage_id=lineage_id,
        order_id=order_id,
        old_fingerprint=None,
        fingerprint=_ISSUED.fingerprint,
        chain=[certificate.public_bytes(Encoding.DER)],
        names=["www.estate.test"],
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        authority="house-ca",
    )


async def _listed(estate: Estate, group: str, what: str, **query: str) -> dict[str, Any]:
    """Return the only one of a list."""
    answer = await estate.ask(
        "provisioner", "GET", f"/v1/{what}", groups=[group], permissions=[f"{what}:read"], query=query
    )
    [shown] = answer.json()["items"]
    return dict(shown)


_POLICY = {"canaries": 1, "share": 50}


async def policy(estate: Estate, group: str, *, approvals: int = 0) -> Made:
    """Say how the certificates of a bound lineage go out."""
    own = await binding(estate, group)
    answer = await estate.ask(
        "provisioner",
        "PUT",
        f"/v1/rollout-policies/{own.ids['lineage_id']}",
        groups=[group],
        permissions=["rollout-policies:write"],
        body={**_POLICY, "approvals_needed": approvals},
    )
    assert answer.is_success, answer.text
    return own


async def rollout(estate: Estate, group: str, *, approvals: int = 0) -> Made:
    """Let renewal say that the certificate of such a lineage is there."""
    own, order_id = await policy(estate, group, approvals=approvals), new_id()
    await estate.hear("provisioner", "renewal", _renewed(own.ids["lineage_id"], order_id))
    shown = await _listed(estate, group, "rollouts", order_id=order_id)
    return Made(ids={"rollout_id": shown["id"], "order_id": order_id, **own.ids})


async def approval(estate: Estate, group: str) -> Made:
    """Let it wait for an approval."""
    own = await rollout(estate, group, approvals=1)
    answer = await estate.ask(
        "provisioner",
        "GET",
        "/v1/approvals",
        groups=[group],
        permissions=["approvals:read"],
        query={"show": "all"},
    )
    [shown] = [each for each in answer.json()["items"] if each["subject_id"] == own.ids["rollout_id"]]
    return Made(ids={"approval_id": shown["id"]}, traces=tuple(own.ids.values()))


async def window(estate: Estate, group: str) -> Made:
    """Make a change window of the group."""
    name = f"window {new_id()}"
    weekly = [{"day": "sunday", "start": "02:00", "duration": "PT1H"}]
    body = {"name": name, "group": group, "weekly": weekly}
    made = await _post(estate, "/v1/change-windows", body, group=group, permission="windows:write")
    return Made(
        ids={"window_id": made["id"]},
        traces=(name,),
        bodies={"PATCH /v1/change-windows/{window_id}": {"name": "later nights"}},
    )


async def freeze(estate: Estate, group: str) -> Made:
    """Make a freeze of the group, which is over."""
    reason = f"freeze {new_id()}"
    body = {
        "reason": reason,
        "group": group,
        "starts_at": "2020-01-01T00:00:00Z",
        "ends_at": "2020-01-02T00:00:00Z",
    }
    made = await _post(estate, "/v1/freezes", body, group=group, permission="windows:write")
    return Made(
        ids={"freeze_id": made["id"]},
        traces=(reason,),
        bodies={"PATCH /v1/freezes/{freeze_id}": {"ends_at": "2020-01-03T00:00:00Z"}},
    )


async def approval_rule(estate: Estate, group: str) -> Made:
    """Have what goes to the targets of the group approved by others; nothing of another maker is in it."""
    name, own = f"rule {new_id()}", await target(estate, group)
    body = {"name": name, "target_id": own.ids["target_id"]}
    made = await _post(estate, "/v1/approval-rules", body, group=group, permission="approval-rules:write")
    return Made(
        ids={"rule_id": made["id"]},
        traces=(name,),
        bodies={"PATCH /v1/approval-rules/{rule_id}": {"approvals_needed": 2}},
    )


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
    ("provisioner", "/v1/plans/{lineage_id}"): binding,
    ("provisioner", "/v1/rollout-policies/{lineage_id}"): policy,
    ("provisioner", "/v1/rollouts/{rollout_id}"): rollout,
    ("provisioner", "/v1/approvals/{approval_id}"): approval,
    ("provisioner", "/v1/approval-rules/{rule_id}"): approval_rule,
    ("provisioner", "/v1/change-windows/{window_id}"): window,
    ("provisioner", "/v1/freezes/{freeze_id}"): freeze,
}
NOT_OBJECTS: dict[tuple[str, str], str] = {}
_BINDING, _DEPLOYMENT = "/v1/bindings/{binding_id}", "/v1/deployments/{deployment_id}"
_ROLLOUT = "/v1/rollouts/{rollout_id}"
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
    ("provisioner", "GET /v1/deployments", "query.rollout_id"): Reference(to=_ROLLOUT, id="rollout_id"),
    ("provisioner", "GET /v1/rollouts", "query.lineage_id"): Reference(to=_ROLLOUT, id="lineage_id"),
    ("provisioner", "GET /v1/rollouts", "query.order_id"): Reference(to=_ROLLOUT, id="order_id"),
    ("provisioner", "POST /v1/change-windows", "body.target_id"): Reference(
        to="/v1/targets/{target_id}",
        body=lambda target_id: {
            "name": "nights",
            "target_id": target_id,
            "weekly": [{"day": "sunday", "start": "02:00", "duration": "PT1H"}],
        },
    ),
    ("provisioner", "POST /v1/approval-rules", "body.target_id"): Reference(
        to="/v1/targets/{target_id}", body=lambda target_id: {"name": "one host", "target_id": target_id}
    ),
    ("provisioner", "POST /v1/freezes", "body.target_id"): Reference(
        to="/v1/targets/{target_id}",
        body=lambda target_id: {
            "reason": "none",
            "target_id": target_id,
            "starts_at": "2020-01-01T00:00:00Z",
            "ends_at": "2020-01-02T00:00:00Z",
        },
    ),
}
_OWN_GROUPS = "an id that is only compared with the groups of the caller: see tests/shared/test_access.py"
_A_KEY = "a key itself, not the name of one"
NOT_REFERENCES: dict[tuple[str, str, str], str] = {
    (service, operation, name): reason
    for operation in ("POST /v1/targets", "PATCH /v1/targets/{target_id}")
    for service, name, reason in (
        ("provisioner", "body.groups", _OWN_GROUPS),
        ("provisioner", "body.host_key", _A_KEY),
    )
}
NOT_REFERENCES |= {("provisioner", "POST /v1/proposals/{proposal_id}/accept", "body.target.host_key"): _A_KEY}
_DECIDERS = "who is to decide: groups that the caller need not be in"
NOT_REFERENCES |= {
    ("provisioner", operation, "body.approver_groups"): _DECIDERS
    for operation in (
        "PUT /v1/rollout-policies/{lineage_id}",
        "POST /v1/approval-rules",
        "PATCH /v1/approval-rules/{rule_id}",
    )
}
NOT_REFERENCES |= {
    (
        "provisioner",
        "GET /v1/plans/{lineage_id}",
        "query.order_id",
    ): "looked for among the certificates of the lineage alone",
}
NOT_REFERENCES |= {
    ("provisioner", f"POST /v1/{what}", "body.group"): _OWN_GROUPS
    for what in ("change-windows", "freezes", "approval-rules")
}
