"""Makes what the routes of discovery are about."""

from typing import Any

from shared.ids import new_id
from tests.access.estate import OTHERS, OURS, Estate
from tests.access.made import Made, Maker, Reference

HOST = {
    "host": "127.0.0.1",
    "port": 1,
    "username": "everleaf",
    "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKuvWfH8bCRX0sMpXnHnzEgTMw0CzXmCcQsGlvUvrJ",
}
"""Where nothing listens."""
PASSWORD = {"password": "correct horse"}
_SCAN = {"targets": ["192.0.2.1"], "ports": "443"}


async def _post(estate: Estate, path: str, body: Any, *, group: str, permission: str) -> dict[str, Any]:
    return await estate.make("discovery", path, body, group=group, permission=permission)


async def scan(estate: Estate, group: str) -> Made:
    """Start a scan."""
    made = await _post(estate, "/v1/scans", _SCAN, group=group, permission="scans:write")
    return Made(ids={"scan_id": made["id"]})


async def schedule(estate: Estate, group: str) -> Made:
    """Repeat a scan."""
    name = f"nightly {new_id()}"
    body = {"name": name, "scan": _SCAN, "every": 3600}
    made = await _post(estate, "/v1/schedules", body, group=group, permission="scans:write")
    path = "/v1/schedules/{schedule_id}"
    return Made(ids={"schedule_id": made["id"]}, traces=(name,), bodies={f"PUT {path}": body})


async def source(estate: Estate, group: str) -> Made:
    """Make a host known that is logged into."""
    name = f"host {new_id()}"
    body = {"name": name, "kind": "linux-ssh", "settings": HOST, "credential": PASSWORD}
    made = await _post(estate, "/v1/sources", body, group=group, permission="sources:write")
    path = "/v1/sources/{source_id}/credential"
    return Made(
        ids={"source_id": made["id"]}, traces=(name,), bodies={f"PUT {path}": {"credential": PASSWORD}}
    )


async def sender(estate: Estate, group: str) -> Made:
    """Make a source known that sends by itself; all who ask are named as its uploaders."""
    name = f"sender {new_id()}"
    everybody = [f"caller of {each}" for each in (OURS, OTHERS, "everything")]
    body = {"name": name, "kind": "upload", "settings": {"uploaders": everybody}}
    made = await _post(estate, "/v1/sources", body, group=group, permission="sources:write")
    return Made(ids={"source_id": made["id"]}, traces=(name,))


async def fleet(estate: Estate, group: str) -> Made:
    """Make a group of sources known, and read it."""
    name = f"fleet-{new_id()}"
    body = {
        "kind": "linux-ssh",
        "settings": HOST,
        "credential": PASSWORD,
        "sources": [{"name": f"one of {name}"}],
    }
    permissions = ["sources:write"]
    path = f"/v1/source-groups/{name}"
    put = await estate.ask("discovery", "PUT", path, groups=[group], permissions=permissions, body=body)
    assert put.is_success, put.text
    run = await _post(estate, f"{path}/runs", None, group=group, permission="sources:write")
    return Made(ids={"group": name, "job_id": run["id"]})


async def secret_store(estate: Estate, group: str) -> Made:
    """Make something known that keeps secrets."""
    name = f"keeper {new_id()}"
    credential = {"role_id": "role", "secret_id": "correct horse"}
    body = {
        "name": name,
        "kind": "vault-kv",
        "settings": {"url": "https://127.0.0.1:1"},
        "credential": credential,
    }
    made = await _post(estate, "/v1/secret-stores", body, group=group, permission="secret-stores:write")
    path = "/v1/secret-stores/{store_id}/credential"
    return Made(
        ids={"store_id": made["id"], "secret_store": name},
        bodies={f"PUT {path}": {"credential": credential}},
    )


async def ct_log(estate: Estate, group: str) -> Made:
    """Read a log for a name."""
    url = f"https://log.example.org/{new_id()}"
    body = {"url": url, "suffixes": ["estate.test"]}
    made = await _post(estate, "/v1/ct-logs", body, group=group, permission="ct-logs:write")
    return Made(ids={"log_id": made["id"]}, traces=(url,))


MAKERS: dict[tuple[str, str], Maker] = {
    ("discovery", "/v1/scans/{scan_id}"): scan,
    ("discovery", "/v1/schedules/{schedule_id}"): schedule,
    ("discovery", "/v1/sources/{source_id}"): source,
    ("discovery", "/v1/sources/{source_id}/uploads"): sender,
    ("discovery", "/v1/source-groups/{group}/runs"): fleet,
    ("discovery", "/v1/source-jobs/{job_id}"): fleet,
    ("discovery", "/v1/secret-stores/{store_id}"): secret_store,
    ("discovery", "/v1/ct-logs/{log_id}"): ct_log,
}
NOT_OBJECTS: dict[tuple[str, str], str] = {
    ("discovery", "PUT /v1/source-groups/{group}"): "a name that the caller chooses, for sources of its own; "
    "those of another group are a conflict: see test_scopes_by_name.py",
}
REFERENCES: dict[tuple[str, str, str], Reference] = {
    ("discovery", "GET /v1/sources", "query.group"): Reference(
        to="/v1/source-groups/{group}/runs", id="group"
    ),
}
_OWN_GROUPS = "an id that is only compared with the groups of the caller: see tests/shared/test_access.py"
_SENT = "a word of the sender's about a file or a key, which is kept as it is"
NOT_REFERENCES: dict[tuple[str, str, str], str] = {
    ("discovery", "POST /v1/scans", "body.groups"): _OWN_GROUPS,
    ("discovery", "POST /v1/schedules", "body.groups"): _OWN_GROUPS,
    ("discovery", "PUT /v1/schedules/{schedule_id}", "body.groups"): _OWN_GROUPS,
    ("discovery", "POST /v1/sources", "body.groups"): _OWN_GROUPS,
    ("discovery", "PUT /v1/sources/{source_id}/groups", "body.groups"): _OWN_GROUPS,
    ("discovery", "PUT /v1/source-groups/{group}", "body.groups"): _OWN_GROUPS,
    ("discovery", "POST /v1/secret-stores", "body.groups"): _OWN_GROUPS,
    ("discovery", "PUT /v1/secret-stores/{store_id}/groups", "body.groups"): _OWN_GROUPS,
    ("discovery", "POST /v1/ct-logs", "body.groups"): _OWN_GROUPS,
    ("discovery", "PATCH /v1/ct-logs/{log_id}", "body.groups"): _OWN_GROUPS,
    ("discovery", "POST /v1/ct-logs", "body.public_key"): "the key of a log, in full",
    ("discovery", "POST /v1/sources/{source_id}/uploads", "body.holdings[].group"): _SENT,
    ("discovery", "POST /v1/sources/{source_id}/uploads", "body.holdings[].key"): _SENT,
    ("discovery", "POST /v1/sources/{source_id}/uploads", "body.holdings[].uses[].key"): _SENT,
}
