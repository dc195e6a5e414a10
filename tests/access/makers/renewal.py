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


MAKERS: dict[tuple[str, str], Maker] = {
    ("renewal", "/v1/authorities/{authority_id}"): authority,
    ("renewal", "/v1/profiles/{profile_id}"): profile,
    ("renewal", "/v1/enrolments/{lineage_id}"): enrolment,
    ("renewal", "/v1/orders/{order_id}"): order,
}
_ASKS = "asks inventory, and goes by the groups that it tells: tests/renewal/test_adoptions.py"
NOT_OBJECTS: dict[tuple[str, str], str] = {("renewal", "GET /v1/adoptions/{fingerprint}"): _ASKS}
REFERENCES: dict[tuple[str, str, str], Reference] = {
    ("renewal", "POST /v1/orders", "body.lineage_id"): Reference(
        to="/v1/enrolments/{lineage_id}",
        body=lambda lineage_id: {"names": NAMES, "profile": "none", "lineage_id": lineage_id},
    ),
    ("renewal", "GET /v1/orders", "query.lineage_id"): Reference(to="/v1/orders/{order_id}", id="lineage_id"),
}
_OWN_GROUPS = "an id that is only compared with the groups of the caller: see tests/shared/test_access.py"
NOT_REFERENCES: dict[tuple[str, str, str], str] = {
    ("renewal", "POST /v1/adoptions", "body.fingerprint"): _ASKS,
    ("renewal", "POST /v1/authorities", "body.groups"): _OWN_GROUPS,
    ("renewal", "PUT /v1/authorities/{authority_id}/groups", "body.groups"): _OWN_GROUPS,
    ("renewal", "POST /v1/profiles", "body.groups"): _OWN_GROUPS,
    ("renewal", "PUT /v1/profiles/{profile_id}/groups", "body.groups"): _OWN_GROUPS,
    ("renewal", "POST /v1/orders", "body.groups"): _OWN_GROUPS,
    (
        "renewal",
        "POST /v1/orders/{order_id}/key-releases",
        "body.deployment_id",
    ): "the caller's own name for its work; the order is what is given out",
    ("renewal", "GET /v1/key-releases", "query.order_id"): "see test_scopes_by_name.py: it takes a release",
}
