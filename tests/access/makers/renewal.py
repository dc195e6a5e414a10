"""Makes what the routes of renewal are about."""

from typing import Any

from shared.events.inventory import LineagesGrouped
from shared.ids import new_id
from tests.access.estate import Estate
from tests.access.made import Made, Maker, Reference

NAMES = ["www.estate.test"]


async def _post(estate: Estate, path: str, body: Any, *, group: str, permission: str) -> dict[str, Any]:
    return await estate.make("renewal", path, body, group=group, permission=permission)


async def authority(estate: Estate, group: str) -> Made:
    """Make an authority known."""
    name = f"house {new_id()}"
    body = {"name": name, "kind": "builtin"}
    made = await _post(estate, "/v1/authorities", body, group=group, permission="authorities:write")
    return Made(ids={"authority_id": made["id"], "authority": name})


async def profile(estate: Estate, group: str) -> Made:
    """Make a profile, of an authority in the group."""
    own = await authority(estate, group)
    name = f"web {new_id()}"
    body = {"name": name, "authority": own.ids["authority"], "allowed_names": ["*.estate.test"]}
    made = await _post(estate, "/v1/profiles", body, group=group, permission="profiles:write")
    return Made(ids={"profile_id": made["id"], "profile": name})


async def enrolment(estate: Estate, group: str) -> Made:
    """Enrol a lineage that inventory says is in the group."""
    lineage_id = new_id()
    await estate.hear("renewal", "inventory", LineagesGrouped(group_id=group, joined=[lineage_id]))
    own = (await profile(estate, group)).ids["profile"]
    body = {"profile": own, "names": NAMES}
    put = await estate.ask(
        "renewal",
        "PUT",
        f"/v1/enrolments/{lineage_id}",
        groups=[group],
        permissions=["enrolments:write"],
        body=body,
    )
    assert put.is_success, put.text
    return Made(
        ids={"lineage_id": lineage_id},
        traces=(own,),
        bodies={"PUT /v1/enrolments/{lineage_id}": body},
    )


async def order(estate: Estate, group: str) -> Made:
    """Order a certificate, which begins a lineage."""
    own = await profile(estate, group)
    body = {"names": NAMES, "profile": own.ids["profile"]}
    made = await _post(estate, "/v1/orders", body, group=group, permission="orders:write")
    return Made(ids={"order_id": made["id"], "lineage_id": made["lineage_id"]}, traces=(made["authority"],))


async def approval(estate: Estate, group: str) -> Made:
    """Order a certificate that needs one: it is asked for when a worker has made the key."""
    own = await authority(estate, group)
    name = f"guarded {new_id()}"
    terms = {"name": name, "authority": own.ids["authority"], "allowed_names": ["*.estate.test"]}
    body = {**terms, "approvals_needed": 1}
    await _post(estate, "/v1/profiles", body, group=group, permission="profiles:write")
    ordered = {"names": NAMES, "profile": name}
    made = await _post(estate, "/v1/orders", ordered, group=group, permission="orders:write")
    await estate.work_off("renewal")
    answer = await estate.ask(
        "renewal",
        "GET",
        "/v1/approvals",
        groups=[group],
        permissions=["approvals:read"],
        query={"show": "all"},
    )
    [shown] = [each for each in answer.json()["items"] if each["subject_id"] == made["id"]]
    return Made(ids={"approval_id": shown["id"]}, traces=(name, made["id"]))


async def revocation(estate: Estate, group: str) -> Made:
    """Obtain a certificate, and have it revoked once it is replaced."""
    own = await order(estate, group)
    await estate.work_off("renewal")
    path = f"/v1/orders/{own.ids['order_id']}"
    shown = (await estate.ask("renewal", "GET", path, groups=[group], permissions=["orders:read"])).json()
    body = {"fingerprint": shown["fingerprint"], "reason": "superseded", "why": "It is tried out."}
    made = await _post(estate, "/v1/revocations", body, group=group, permission="revocations:write")
    return Made(
        ids={
            "revocation_id": made["id"],
            "fingerprint": shown["fingerprint"],
            "order_id": own.ids["order_id"],
        },
        traces=own.traces,
    )


async def campaign(estate: Estate, group: str) -> Made:
    """Plan a campaign."""
    body = {"name": f"away {new_id()}", "query": "key.type = rsa", "reason": "weak"}
    made = await _post(estate, "/v1/campaigns", body, group=group, permission="campaigns:write")
    said = {"reason": "a test"}
    return Made(
        ids={"campaign_id": made["id"]},
        traces=(made["name"],),
        bodies={
            "POST /v1/campaigns/{campaign_id}/start": {"plan_digest": "0" * 64},
            "POST /v1/campaigns/{campaign_id}/pause": said,
            "POST /v1/campaigns/{campaign_id}/resume": {},
            "POST /v1/campaigns/{campaign_id}/abort": said,
        },
    )


MAKERS: dict[tuple[str, str], Maker] = {
    ("renewal", "/v1/authorities/{authority_id}"): authority,
    ("renewal", "/v1/profiles/{profile_id}"): profile,
    ("renewal", "/v1/enrolments/{lineage_id}"): enrolment,
    ("renewal", "/v1/schedules/{lineage_id}"): enrolment,
    ("renewal", "/v1/orders/{order_id}"): order,
    ("renewal", "/v1/campaigns/{campaign_id}"): campaign,
    ("renewal", "/v1/approvals/{approval_id}"): approval,
    ("renewal", "/v1/revocations/{revocation_id}"): revocation,
}
_ASKS = "asks inventory, and goes by the groups that it tells: tests/renewal/test_adoptions.py"
NOT_OBJECTS: dict[tuple[str, str], str] = {("renewal", "GET /v1/adoptions/{fingerprint}"): _ASKS}
REFERENCES: dict[tuple[str, str, str], Reference] = {
    ("renewal", "POST /v1/orders", "body.lineage_id"): Reference(
        to="/v1/enrolments/{lineage_id}",
        body=lambda lineage_id: {"names": NAMES, "profile": "none", "lineage_id": lineage_id},
    ),
    ("renewal", "POST /v1/revocations", "body.fingerprint"): Reference(
        to="/v1/revocations/{revocation_id}",
        id="fingerprint",
        body=lambda fingerprint: {"fingerprint": fingerprint, "reason": "superseded", "why": "A test."},
    ),
    ("renewal", "POST /v1/revocations", "body.order_id"): Reference(
        to="/v1/revocations/{revocation_id}",
        id="order_id",
        body=lambda order_id: {"order_id": order_id, "reason": "superseded", "why": "A test."},
    ),
    ("renewal", "GET /v1/orders", "query.lineage_id"): Reference(to="/v1/orders/{order_id}", id="lineage_id"),
    ("renewal", "GET /v1/revocations", "query.fingerprint"): Reference(
        to="/v1/revocations/{revocation_id}", id="fingerprint"
    ),
}
_OWN_GROUPS = "an id that is only compared with the groups of the caller: see tests/shared/test_access.py"
_APPROVERS = "an id that is only compared with the groups of who approves"
_YES_OR_NO = "yes or no"
NOT_REFERENCES: dict[tuple[str, str, str], str] = {
    ("renewal", "POST /v1/adoptions", "body.fingerprint"): _ASKS,
    ("renewal", "POST /v1/authorities", "body.groups"): _OWN_GROUPS,
    ("renewal", "PUT /v1/authorities/{authority_id}/groups", "body.groups"): _OWN_GROUPS,
    ("renewal", "POST /v1/profiles", "body.groups"): _OWN_GROUPS,
    ("renewal", "PUT /v1/profiles/{profile_id}/groups", "body.groups"): _OWN_GROUPS,
    ("renewal", "POST /v1/profiles", "body.approver_groups"): _APPROVERS,
    ("renewal", "PUT /v1/profiles/{profile_id}", "body.approver_groups"): _APPROVERS,
    ("renewal", "POST /v1/profiles", "body.reuse_key"): _YES_OR_NO,
    ("renewal", "PUT /v1/profiles/{profile_id}", "body.reuse_key"): _YES_OR_NO,
    ("renewal", "POST /v1/orders", "body.groups"): _OWN_GROUPS,
    ("renewal", "POST /v1/campaigns", "body.groups"): _OWN_GROUPS,
    (
        "renewal",
        "POST /v1/orders/{order_id}/key-releases",
        "body.deployment_id",
    ): "the caller's own name for its work; the order is what is given out",
    ("renewal", "GET /v1/key-releases", "query.order_id"): "see test_scopes_by_name.py: it takes a release",
}
