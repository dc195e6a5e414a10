"""Every writing operation of the five services leaves an entry in the audit trail: a new route is tried by existing."""

import json
import os
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import SecretStr

from services.consumers import example
from services.inventory.api.sign_in import SESSION
from services.inventory.domain import sign_in
from services.inventory.store.tables import SessionRow
from services.program import NAMES, service_module
from shared.access import Principal
from shared.clock import utc_now
from shared.events.renewal import RenewalAwaitingApproval
from shared.ids import new_id
from shared.store.plumbing import OUTBOX
from shared.webhooks import key_of, signed
from tests.access.contracts import ROUTES, Route
from tests.access.estate import OURS, Estate
from tests.access.makers import maker
from tests.access.makers.inventory import principal
from tests.access.makers.notifier import hook
from tests.access.makers.renewal import order
from tests.access.successes import READY, Ids
from tests.builders import ISSUER, SIGNING_KEY

SEALING_KEY = X25519PrivateKey.generate().public_key().public_bytes_raw()

WRITING = [route for route in ROUTES if route.method != "GET"]
ASKING = "it is asked by POST because the question is long, and changes nothing"
NOT_RECORDED: dict[tuple[str, str], str] = {
    ("inventory", "POST /v1/groups/preview"): ASKING,
    ("inventory", "POST /v1/policies/{policy_id}/preview"): ASKING,
    ("renewal", "POST /v1/authorities/{authority_id}/ocsp"): "a client asks whether a certificate is revoked",
}
"""By service and `METHOD /path`: why a success leaves no entry."""
_SEALED = "changes a sealed column of an audited table, and takes a CA of that kind: tests/shared/store/test_recording.py"
_PULLED = (
    "is opened by a token of one binding, and takes an offer that waits: tests/provisioner/test_pulls.py"
)
_SIGNS_IN = "is opened by something else than a token: see below"
ELSEWHERE: dict[tuple[str, str], str] = {
    ("renewal", "PUT /v1/authorities/{authority_id}/secrets"): _SEALED,
    ("renewal", "POST /v1/authorities/{authority_id}/key-rollover"): _SEALED,
    ("renewal", "PUT /v1/authorities/{authority_id}/certificate"): _SEALED,
    ("renewal", "POST /v1/adoptions"): "makes enrolments, as their own route does, and asks inventory before",
    (
        "renewal",
        "POST /v1/orders/{order_id}/key-releases",
    ): "goes to a service that has a sealing key: see below",
    ("inventory", "POST /v1/tokens"): _SIGNS_IN,
    ("inventory", "POST /v1/oauth/token"): _SIGNS_IN,
    ("inventory", "POST /v1/session"): _SIGNS_IN,
    ("inventory", "POST /v1/session/token"): _SIGNS_IN,
    ("inventory", "DELETE /v1/session"): _SIGNS_IN,
    ("notifier", "POST /v1/approval-hooks/{hook_id}/decisions"): _SIGNS_IN,
    ("provisioner", "POST /v1/pull/{binding_id}/key"): _PULLED,
    ("provisioner", "POST /v1/pull/{binding_id}/reports"): _PULLED,
}
"""By service and `METHOD /path`: why it is not among those that are tried in one way, and what tries it."""


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


def key(route: Route) -> tuple[str, str]:
    return route.service, named(route)


TRIED = [route for route in WRITING if key(route) not in {*NOT_RECORDED, *ELSEWHERE}]


@pytest.mark.parametrize("route", TRIED, ids=str)
async def test_a_success_leaves_an_entry_that_says_who_asked(estate: Estate, route: Route):
    ids, body = await ready(estate, route)
    trace = os.urandom(16).hex()
    answer = await estate.send(route, ids, body=body, trace=trace)
    assert answer.is_success, answer.text
    entries = await recorded(estate, route.service, trace)
    assert entries
    assert {entry["actor_id"] for entry in entries} == {"caller of everything"}
    for entry in entries:
        assert entry["operation"] == f"{route.method} {route.at(ids)}"
        assert entry["trace_id"] == trace


async def ready(estate: Estate, route: Route) -> tuple[Ids, Any]:
    """Return what is to be sent, so that it succeeds."""
    if key(route) in READY:
        return await READY[key(route)](estate)
    make = maker(route)
    if make is None:
        return dict.fromkeys(route.ids, "x"), None
    made = await make(estate, OURS)
    return dict(made.ids), made.bodies.get(named(route))


async def recorded(estate: Estate, service: str, trace: str) -> list[dict[str, Any]]:
    """Return what a service has recorded in this trace and not told yet."""
    query = sa.select(OUTBOX.c.body).where(OUTBOX.c.type == "audit.recorded").order_by(OUTBOX.c.id)
    async with estate.services[service].database.read() as session:
        bodies = (await session.scalars(query)).all()
    return [json.loads(body)["data"] for body in bodies if trace.encode() in body]


def test_the_tables_name_no_operation_that_is_not_there():
    operations = {key(route) for route in WRITING}
    assert {*NOT_RECORDED, *ELSEWHERE, *READY} - operations == set()


# What is opened by something else than a token of the caller


async def entry_of(estate: Estate, service: str, method: str, path: str, **sent: Any) -> dict[str, Any]:
    """Ask without a token, and return the one entry that a success has left."""
    trace = os.urandom(16).hex()
    headers = {"traceparent": f"00-{trace}-{'1' * 16}-01", **sent.pop("headers", {})}
    answer = await estate.clients[service].request(method, path, headers=headers, **sent)
    assert answer.is_success, answer.text
    [entry] = [each for each in await recorded(estate, service, trace) if each["object_kind"] != "principal"]
    return entry


async def test_a_token_for_an_api_key_leaves_an_entry_of_whose_key_it_is(estate: Estate):
    made = await principal(estate, OURS)
    path = f"/v1/principals/{made.ids['principal_id']}/api-keys"
    answer = await estate.ask("inventory", "POST", path, permissions=["principals:admin"], body={"days": 1})
    secret = answer.json()["key"]
    bearer = {"Authorization": f"Bearer {secret}"}
    entry = await entry_of(estate, "inventory", "POST", "/v1/tokens", headers=bearer, json={})
    assert (entry["action"], entry["actor_id"]) == ("token.created", made.ids["principal_id"])
    form = {
        "grant_type": "client_credentials",
        "client_id": made.ids["principal_id"],
        "client_secret": secret,
    }
    entry = await entry_of(estate, "inventory", "POST", "/v1/oauth/token", data=form)
    assert (entry["action"], entry["actor_id"]) == ("token.created", made.ids["principal_id"])


async def test_a_session_that_a_credential_begins_leaves_an_entry_of_whose_it_is(estate: Estate):
    made = await principal(estate, OURS)
    holder = Principal(id=made.ids["principal_id"], name="somebody")
    now = utc_now()
    carried = SIGNING_KEY.token(
        holder, issuer=ISSUER, token_id=new_id(), now=now, lifetime=timedelta(hours=1)
    )
    bearer = {"Authorization": f"Bearer {carried}"}
    entry = await entry_of(estate, "inventory", "POST", "/v1/session", headers=bearer)
    assert (entry["action"], entry["actor_id"]) == ("session.created", made.ids["principal_id"])


async def test_a_session_leaves_entries_of_whose_it_is(estate: Estate):
    made = await principal(estate, OURS)
    now = utc_now()
    row = {
        "digest": sign_in.digest("crumbs"),
        "principal_id": made.ids["principal_id"],
        "created_at": now,
        "expires_at": now + timedelta(hours=1),
    }
    async with estate.services["inventory"].database.transaction() as tx:
        await tx.session.execute(sa.insert(SessionRow).values(row))
    headers = {"Cookie": f"{SESSION}=crumbs"}
    for method, path, action in (
        ("POST", "/v1/session/token", "token.created"),
        ("DELETE", "/v1/session", "session.ended"),
    ):
        entry = await entry_of(estate, "inventory", method, path, headers=headers)
        assert (entry["action"], entry["actor_id"]) == (action, made.ids["principal_id"])


async def test_a_decision_that_is_passed_on_leaves_an_entry_of_the_hook_and_for_whom_it_speaks(
    estate: Estate,
):
    made = await hook(estate, OURS)
    asked = RenewalAwaitingApproval.model_validate(
        {**example(RenewalAwaitingApproval).data.model_dump(), "approval_id": new_id(), "digest": "5d" * 32}
    )
    await estate.hear("notifier", "renewal", asked)
    said = {"approval_id": asked.approval_id, "digest": asked.digest, "decided_by": "ann@estate.test"}
    content = json.dumps({"type": "approval.granted", "data": {**said, "reason": "CHG0042"}}).encode()
    key_ = key_of(SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAA"))
    headers = {
        **signed(content, message_id=new_id(), key=key_, now=utc_now()),
        "Content-Type": "application/json",
    }
    path = f"/v1/approval-hooks/{made.ids['hook_id']}/decisions"
    entry = await entry_of(estate, "notifier", "POST", path, headers=headers, content=content)
    assert (entry["actor_id"], entry["on_behalf_of"]) == (made.ids["hook_id"], "ann")
    assert (entry["action"], entry["reason"], entry["approval_id"]) == (
        "approval.passed_on",
        "CHG0042",
        asked.approval_id,
    )


async def test_a_private_key_that_is_given_out_leaves_an_entry(estate: Estate):
    made = await order(estate, OURS)
    await estate.work_off("renewal")
    service = Principal(
        id="provisioner", name="provisioner", permissions=frozenset({"keys:release"}), sealing_key=SEALING_KEY
    )
    now = utc_now()
    carried = SIGNING_KEY.token(
        service, issuer=ISSUER, token_id=new_id(), now=now, lifetime=timedelta(hours=1)
    )
    path = f"/v1/orders/{made.ids['order_id']}/key-releases"
    bearer = {"Authorization": f"Bearer {carried}"}
    entry = await entry_of(
        estate, "renewal", "POST", path, headers=bearer, json={"deployment_id": "deployment-1"}
    )
    assert (entry["action"], entry["actor_id"]) == ("private_key.released", "provisioner")
    assert (entry["object_id"], entry["lineage_id"]) == (made.ids["order_id"], made.ids["lineage_id"])
    assert entry["after"]["deployment"] == "deployment-1"


# Tables


WHAT_MACHINES_WRITE: dict[str, frozenset[str]] = {
    "inventory": frozenset(
        {
            "assessments",
            "authorities",
            "certificate_ders",
            "certificate_fields",
            "certificate_names",
            "certificate_tags",
            "certificate_traits",
            "certificates",
            "crl_bodies",
            "crls",
            "crossings",
            "due_associations",
            "findings",
            "flaws",
            "front_addresses",
            "fronts",
            "group_members",
            "held",
            "issued_under",
            "issuers",
            "lineage_groups",
            "lineages",
            "lints",
            "noncompliance",
            "oddities",
            "place_tls",
            "places",
            "regrouped",
            "replacements",
            "revocations",
            "served_chains",
            "servings",
            "sightings",
            "sign_ins",
            "slots",
            "source_reads",
            "spreads",
            "tallies",
            "tally_changes",
            "timeline",
            "twins",
            "unowned",
            "verdicts",
        }
    ),
    "discovery": frozenset(
        {
            "holdings",
            "names",
            "places",
            "scan_results",
            "scan_shards",
            "source_watches",
            "watches",
        }
    ),
    "renewal": frozenset(
        {
            "budget_entries",
            "builtin_certificates",
            "builtin_publications",
            "campaign_items",
            "http_challenges",
            "key_releases",
            "notices",
            "order_steps",
            "revocation_steps",
            "told_groups",
        }
    ),
    "provisioner": frozenset(
        {
            "binding_places",
            "deployment_steps",
            "renewals",
            "told_groups",
        }
    ),
    "notifier": frozenset(
        {
            "alert_history",
            "audit_checkpoints",
            "audit_cosignatures",
            "audit_entries",
            "audit_head",
            "audit_keys",
            "audit_sources",
            "crossings",
            "evidence",
            "hook_messages",
            "kept_events",
            "kept_head",
            "lineages",
            "pursuits",
            "replacements",
            "subjects",
            "tickets",
            "told_groups",
            "watched",
        }
    ),
}
"""By service: what is seen, worked out, counted or kept as a history, and decided by nobody."""


@pytest.mark.parametrize("service", NAMES)
def test_every_table_is_audited_or_is_what_machines_write_all_the_time(service: str):
    module = service_module(service)
    audited = {table.__tablename__ for table in vars(module)["AUDITED"]}
    tables = set(module.SCHEMA.metadata[0].tables)
    assert tables - audited == WHAT_MACHINES_WRITE.get(service, frozenset())
