"""What it takes for a writing operation to succeed, where the object of its maker and the smallest body will not do.

Each does what must be there before, and returns what is to be sent: the path parameters, and the body.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from sqlmodel import col

from services.inventory.store.tables import PrincipalRow
from services.provisioner import store as deployed
from services.renewal import store as renewal
from shared.clock import utc_now
from shared.ids import new_id
from tests.access.estate import OTHERS, OURS, Estate
from tests.access.made import Made
from tests.access.makers import discovery, inventory, notifier, provisioner
from tests.access.makers import renewal as orders

Ids = dict[str, str]
Ready = Callable[[Estate], Awaitable[tuple[Ids, Any]]]
BOTH = {"groups": [OURS, OTHERS]}


def with_body(make: Callable[[Estate, str], Awaitable[Made]], **body: Any) -> Ready:
    """Send this about an object of a maker."""

    async def ready(estate: Estate) -> tuple[Ids, Any]:
        return dict((await make(estate, OURS)).ids), body

    return ready


def new(**body: Any) -> Ready:
    """Make something of a name of its own."""

    async def ready(_estate: Estate) -> tuple[Ids, Any]:
        return {}, {"name": f"one {new_id()}", **body}

    return ready


def about_new(service: str, path: str, permission: str, *, key: str, made: Any, body: Any = None) -> Ready:
    """Make something first, as somebody who sees everything, and then send this about it."""

    async def ready(estate: Estate) -> tuple[Ids, Any]:
        fresh = {name: f"one-{new_id()}" if value is new_id else value for name, value in made.items()}
        answer = await estate.ask(service, "POST", path, permissions=[permission], body=fresh)
        assert answer.is_success, answer.text
        shown = answer.json()
        return {key: shown.get("id") or shown["name"]}, body

    return ready


async def _do(estate: Estate, service: str, statement: sa.Executable) -> None:
    async with estate.services[service].database.transaction() as tx:
        await tx.session.execute(statement)


# Discovery


async def paused_scan(estate: Estate) -> tuple[Ids, Any]:
    made = await discovery.scan(estate, OURS)
    path = f"/v1/scans/{made.ids['scan_id']}/pause"
    assert (await estate.ask("discovery", "POST", path, permissions=["scans:write"])).is_success
    return dict(made.ids), None


async def other_schedule(estate: Estate) -> tuple[Ids, Any]:
    made = await discovery.schedule(estate, OURS)
    return dict(made.ids), {**made.bodies["PUT /v1/schedules/{schedule_id}"], "every": 7200}


async def fresh_fleet(_estate: Estate) -> tuple[Ids, Any]:
    name = f"fleet-{new_id()}"
    body = {
        "kind": "linux-ssh",
        "settings": discovery.HOST,
        "credential": discovery.PASSWORD,
        "sources": [{"name": f"one of {name}"}],
    }
    return {"group": name}, body


# Inventory


async def some_certificates(estate: Estate) -> tuple[Ids, Any]:
    made = await inventory.certificate(estate, OURS)
    return {}, {"fingerprints": [made.ids["fingerprint"]], "add_tags": ["many"]}


async def group_described(estate: Estate) -> tuple[Ids, Any]:
    made = await inventory.team_group(estate, OURS)
    return dict(made.ids), {"description": f"As of {new_id()}."}


async def arrangement(_estate: Estate) -> tuple[Ids, Any]:
    return {"name": "overview"}, {"cards": [{"id": "alerts", "width": 12}]}


async def disabled_principal(estate: Estate) -> tuple[Ids, Any]:
    made = await inventory.principal(estate, OURS)
    path = f"/v1/principals/{made.ids['principal_id']}/disable"
    assert (await estate.ask("inventory", "POST", path, permissions=["principals:admin"])).is_success
    return dict(made.ids), None


async def pinned_principal(estate: Estate) -> tuple[Ids, Any]:
    made = await inventory.principal(estate, OURS)
    mine = col(PrincipalRow.id) == made.ids["principal_id"]
    await _do(estate, "inventory", sa.update(PrincipalRow).where(mine).values(sealing_key=b"k" * 32))
    return dict(made.ids), None


async def exception_for_a_certificate(estate: Estate) -> tuple[Ids, Any]:
    made = await inventory.certificate(estate, OURS)
    body = {
        "policy_id": "cnsa-2.0",
        "rule_id": "suites",
        "scope": {"kind": "certificate", "value": made.ids["fingerprint"]},
        "reason": "It is replaced this year.",
        "ends_at": (utc_now() + timedelta(days=30)).isoformat(),
    }
    return {}, body


_RULE = {"id": "versions", "title": "TLS 1.3", "demand": {"kind": "versions_within", "values": ["TLSv1.3"]}}
_POLICY = {"id": new_id, "title": "House rules", "rules": [_RULE]}
_POLICIES = ("inventory", "/v1/policies", "policies:write")


async def enabled_policy(estate: Estate) -> tuple[Ids, Any]:
    ids, _ = await about_new(*_POLICIES, key="policy_id", made=_POLICY)(estate)
    path = f"/v1/policies/{ids['policy_id']}/enable"
    assert (await estate.ask("inventory", "POST", path, permissions=["policies:write"])).is_success
    return ids, None


# Notifier


async def snoozed_alert(estate: Estate) -> tuple[Ids, Any]:
    made = await notifier.alert(estate, OURS)
    body = {"until": (utc_now() + timedelta(days=1)).isoformat()}
    path = f"/v1/alerts/{made.ids['alert_id']}/snooze"
    assert (await estate.ask("notifier", "POST", path, permissions=["alerts:write"], body=body)).is_success
    return {"alert_id": made.ids["alert_id"]}, None


async def report_to_mail(estate: Estate) -> tuple[Ids, Any]:
    made = await notifier.report_schedule(estate, OURS)
    body = {"name": f"monthly {new_id()}", "report": "expiring", "cron": "0 7 1 * *"}
    return {}, {**body, "channel_id": made.ids["channel_id"]}


# Provisioner


async def deployment_that_waits_for_a_window(estate: Estate) -> tuple[Ids, Any]:
    made = await provisioner.deployment(estate, OURS)
    mine = col(deployed.Deployment.id) == made.ids["deployment_id"]
    waits = {"hold": "window", "hold_reason": "Sundays only."}
    await _do(estate, "provisioner", sa.update(deployed.Deployment).where(mine).values(waits))
    return dict(made.ids), {"reason": "It expires tonight."}


async def stopped_rollout(estate: Estate) -> tuple[Ids, Any]:
    made = await provisioner.rollout(estate, OURS)
    mine = col(deployed.Rollout.id) == made.ids["rollout_id"]
    await _do(estate, "provisioner", sa.update(deployed.Rollout).where(mine).values(state="stopped"))
    return dict(made.ids), {}


async def pulling_binding(estate: Estate) -> tuple[Ids, Any]:
    target = await estate.make(
        "provisioner",
        "/v1/targets",
        {"name": f"pulls {new_id()}", "kind": "pull"},
        group=OURS,
        permission="targets:write",
    )
    body = {"lineage_id": provisioner.COMMON, "target_id": target["id"], "slot": {"name": "web"}}
    body |= {"endpoints": [{"address": "127.0.0.1", "port": 1}]}
    made = await estate.make("provisioner", "/v1/bindings", body, group=OURS, permission="bindings:write")
    return {"binding_id": made["id"]}, None


async def last_years_freeze(_estate: Estate) -> tuple[Ids, Any]:
    dates = {"starts_at": "2020-01-01T00:00:00Z", "ends_at": "2020-01-02T00:00:00Z"}
    return {}, {"reason": "Quarter's end.", "group": OURS, **dates}


async def word_on_a_rollout(estate: Estate) -> tuple[Ids, Any]:
    made = await provisioner.approval(estate, OURS)
    path = f"/v1/approvals/{made.ids['approval_id']}"
    shown = (await estate.ask("provisioner", "GET", path, permissions=["approvals:read"])).json()
    return dict(made.ids), {"verdict": "grant", "digest": shown["digest"], "reason": "CHG0042"}


async def slot_of_a_target(estate: Estate) -> tuple[Ids, Any]:
    made = await provisioner.target(estate, OURS)
    path = f"/etc/tls/{new_id()}.pem"
    body = {
        "lineage_id": provisioner.COMMON,
        "target_id": made.ids["target_id"],
        "slot": {"certificate_path": path, "key_path": f"{path}.key"},
        "endpoints": [{"address": "127.0.0.1", "port": 1}],
    }
    return {}, body


# Renewal


async def terms(estate: Estate) -> tuple[Ids, Any]:
    made = await orders.authority(estate, OURS)
    return {}, {
        "name": f"web {new_id()}",
        "authority": made.ids["authority"],
        "allowed_names": ["*.estate.test"],
    }


async def other_terms(estate: Estate) -> tuple[Ids, Any]:
    _, body = await terms(estate)
    answer = await estate.ask("renewal", "POST", "/v1/profiles", permissions=["profiles:write"], body=body)
    return {"profile_id": answer.json()["id"]}, {**body, "allowed_names": ["*.other.test"]}


async def enrolled_otherwise(estate: Estate) -> tuple[Ids, Any]:
    made = await orders.enrolment(estate, OURS)
    body = made.bodies["PUT /v1/enrolments/{lineage_id}"]
    return dict(made.ids), {**body, "names": ["mail.estate.test"]}


async def distrust(estate: Estate) -> tuple[Ids, Any]:
    made = await orders.authority(estate, OURS)
    return {}, {"authority": made.ids["authority"], "reason": "Its key is out."}


async def distrusted(estate: Estate) -> tuple[Ids, Any]:
    _, body = await distrust(estate)
    answer = await estate.ask("renewal", "POST", "/v1/distrusts", permissions=["distrusts:write"], body=body)
    return {"distrust_id": answer.json()["id"]}, None


async def order_by_a_profile(estate: Estate) -> tuple[Ids, Any]:
    made = await orders.profile(estate, OURS)
    return {}, {"names": orders.NAMES, "profile": made.ids["profile"]}


def order_that_is(state: str) -> Ready:
    async def ready(estate: Estate) -> tuple[Ids, Any]:
        made = await orders.order(estate, OURS)
        values = {"state": state, "request_until": utc_now() + timedelta(hours=1)}
        mine = col(renewal.Order.id) == made.ids["order_id"]
        await _do(estate, "renewal", sa.update(renewal.Order).where(mine).values(values))
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(each) for each in orders.NAMES])
        asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        csr = asked.add_extension(names, critical=True).sign(key, hashes.SHA256())
        body = {"csr": csr.public_bytes(Encoding.PEM).decode()} if state == "awaiting_request" else None
        return dict(made.ids), body

    return ready


async def refused_request(estate: Estate) -> tuple[Ids, Any]:
    ids, _ = await order_that_is("awaiting_request")(estate)
    return ids, {"reason": "The disk is full.", "next_step": "Make room.", "is_final": True}


async def word_on_an_approval(estate: Estate) -> tuple[Ids, Any]:
    made = await orders.approval(estate, OURS)
    path = f"/v1/approvals/{made.ids['approval_id']}"
    shown = (await estate.ask("renewal", "GET", path, permissions=["approvals:read"])).json()
    return dict(made.ids), {"verdict": "grant", "digest": shown["digest"], "reason": "CHG0042"}


async def obtained_certificate(estate: Estate) -> tuple[Ids, Any]:
    made = await orders.order(estate, OURS)
    await estate.work_off("renewal")
    return {}, {"order_id": made.ids["order_id"], "reason": "superseded", "why": "It is tried out."}


async def failed_revocation(estate: Estate) -> tuple[Ids, Any]:
    made = await orders.revocation(estate, OURS)
    mine = col(renewal.Revocation.id) == made.ids["revocation_id"]
    await _do(estate, "renewal", sa.update(renewal.Revocation).where(mine).values(state="failed"))
    return dict(made.ids), None


def campaign_that_is(state: str, body: Any = None) -> Ready:
    async def ready(estate: Estate) -> tuple[Ids, Any]:
        made = await orders.campaign(estate, OURS)
        mine = col(renewal.Campaign.id) == made.ids["campaign_id"]
        values = {"state": state, "plan_digest": "0" * 64, "plan_step": None}
        await _do(estate, "renewal", sa.update(renewal.Campaign).where(mine).values(values))
        return dict(made.ids), body

    return ready


_TEAM = ("inventory", "/v1/teams", "teams:write")
_FIELD = ("inventory", "/v1/fields", "fields:admin")
_RULES = ("inventory", "/v1/assignment-rules", "assignment-rules:write")
_QUERIES = ("inventory", "/v1/saved-queries", "saved-queries:write")
_STREAMS = ("notifier", "/v1/audit-streams", "audit-trail:admin")
_TAGGING = {"name": new_id, "query": "expires < 30d", "add_tags": ["soon"]}
_ASKED = {"name": new_id, "query": "expires < 30d"}
_SIEM = {"way": "syslog", "syslog": {"host": "siem.estate.test"}}

READY: dict[tuple[str, str], Ready] = {
    ("discovery", "POST /v1/scans/{scan_id}/resume"): paused_scan,
    ("discovery", "POST /v1/schedules"): new(scan={"targets": ["192.0.2.1"]}, every=3600),
    ("discovery", "PUT /v1/schedules/{schedule_id}"): other_schedule,
    ("discovery", "POST /v1/sources"): new(
        kind="linux-ssh", settings=discovery.HOST, credential=discovery.PASSWORD
    ),
    ("discovery", "PUT /v1/sources/{source_id}/groups"): with_body(discovery.source, **BOTH),
    ("discovery", "PUT /v1/source-groups/{group}"): fresh_fleet,
    ("discovery", "PUT /v1/secret-stores/{store_id}/groups"): with_body(discovery.secret_store, **BOTH),
    ("inventory", "PATCH /v1/teams/{team_id}"): about_new(
        *_TEAM, key="team_id", made={"name": new_id}, body={"name": f"other {new_id()}"}
    ),
    ("inventory", "DELETE /v1/teams/{team_id}"): about_new(*_TEAM, key="team_id", made={"name": new_id}),
    ("inventory", "PATCH /v1/groups/{group_id}"): group_described,
    ("inventory", "PATCH /v1/fields/{name}"): about_new(
        *_FIELD, key="name", made={"name": "floor", "kind": "text"}, body={"description": "Where it is."}
    ),
    ("inventory", "DELETE /v1/fields/{name}"): about_new(
        *_FIELD, key="name", made={"name": "shelf", "kind": "text"}
    ),
    ("inventory", "POST /v1/assignment-rules"): new(query="expires < 30d", add_tags=["soon"]),
    ("inventory", "PATCH /v1/assignment-rules/{rule_id}"): about_new(
        *_RULES, key="rule_id", made=_TAGGING, body={"add_tags": ["sooner"]}
    ),
    ("inventory", "DELETE /v1/assignment-rules/{rule_id}"): about_new(*_RULES, key="rule_id", made=_TAGGING),
    ("inventory", "POST /v1/certificates/bulk"): some_certificates,
    ("inventory", "PATCH /v1/saved-queries/{query_id}"): about_new(
        *_QUERIES, key="query_id", made=_ASKED, body={"query": "expires < 10d"}
    ),
    ("inventory", "DELETE /v1/saved-queries/{query_id}"): about_new(*_QUERIES, key="query_id", made=_ASKED),
    ("inventory", "PUT /v1/arrangements/{name}"): arrangement,
    ("inventory", "PUT /v1/principals/{principal_id}/rights"): with_body(
        inventory.principal, roles=[], permissions=[], **BOTH
    ),
    ("inventory", "POST /v1/principals/{principal_id}/enable"): disabled_principal,
    ("inventory", "POST /v1/principals/{principal_id}/unpin"): pinned_principal,
    ("inventory", "PUT /v1/policies/{policy_id}"): about_new(
        *_POLICIES, key="policy_id", made=_POLICY, body={"title": "Other rules", "rules": [_RULE]}
    ),
    ("inventory", "POST /v1/policies/{policy_id}/enable"): about_new(
        *_POLICIES, key="policy_id", made=_POLICY
    ),
    ("inventory", "POST /v1/policies/{policy_id}/disable"): enabled_policy,
    ("inventory", "POST /v1/exceptions"): exception_for_a_certificate,
    ("notifier", "POST /v1/alerts/{alert_id}/wake"): snoozed_alert,
    ("notifier", "POST /v1/report-schedules"): report_to_mail,
    ("notifier", "POST /v1/approval-hooks"): new(
        signing_secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAA",
        approvers=[{"external": "ann@estate.test", "principal": "ann"}],
    ),
    ("notifier", "PATCH /v1/channels/{channel_id}"): with_body(notifier.channel, enabled=False),
    ("notifier", "POST /v1/audit-streams"): new(**_SIEM),
    ("notifier", "DELETE /v1/audit-streams/{stream_id}"): about_new(
        *_STREAMS, key="stream_id", made={"name": new_id, **_SIEM}
    ),
    ("provisioner", "POST /v1/targets"): new(
        kind="files", **discovery.HOST, credential={"password": "correct horse"}
    ),
    ("provisioner", "POST /v1/bindings"): slot_of_a_target,
    ("provisioner", "PATCH /v1/bindings/{binding_id}"): with_body(provisioner.binding, on_drift="restore"),
    ("provisioner", "POST /v1/bindings/{binding_id}/pull-tokens"): pulling_binding,
    ("provisioner", "POST /v1/deployments/{deployment_id}/override"): deployment_that_waits_for_a_window,
    ("provisioner", "POST /v1/rollouts/{rollout_id}/resume"): stopped_rollout,
    ("provisioner", "POST /v1/approval-rules"): new(group=OURS),
    ("provisioner", "POST /v1/freezes"): last_years_freeze,
    ("provisioner", "POST /v1/approvals/{approval_id}/decisions"): word_on_a_rollout,
    ("renewal", "POST /v1/authorities"): new(kind="builtin"),
    ("renewal", "PUT /v1/authorities/{authority_id}/groups"): with_body(orders.authority, **BOTH),
    ("renewal", "POST /v1/profiles"): terms,
    ("renewal", "PUT /v1/profiles/{profile_id}"): other_terms,
    ("renewal", "PUT /v1/profiles/{profile_id}/groups"): with_body(orders.profile, **BOTH),
    ("renewal", "PUT /v1/enrolments/{lineage_id}"): enrolled_otherwise,
    ("renewal", "POST /v1/distrusts"): distrust,
    ("renewal", "DELETE /v1/distrusts/{distrust_id}"): distrusted,
    ("renewal", "POST /v1/orders"): order_by_a_profile,
    ("renewal", "POST /v1/orders/{order_id}/retry"): order_that_is("failed"),
    ("renewal", "PUT /v1/orders/{order_id}/request"): order_that_is("awaiting_request"),
    ("renewal", "POST /v1/orders/{order_id}/request-refusals"): refused_request,
    ("renewal", "POST /v1/approvals/{approval_id}/decisions"): word_on_an_approval,
    ("renewal", "POST /v1/revocations"): obtained_certificate,
    ("renewal", "POST /v1/revocations/{revocation_id}/retry"): failed_revocation,
    ("renewal", "POST /v1/campaigns/{campaign_id}/plan"): campaign_that_is("planned"),
    ("renewal", "POST /v1/campaigns/{campaign_id}/start"): campaign_that_is(
        "planned", {"plan_digest": "0" * 64}
    ),
    ("renewal", "POST /v1/campaigns/{campaign_id}/pause"): campaign_that_is("running", {"reason": "A test."}),
    ("renewal", "POST /v1/campaigns/{campaign_id}/resume"): campaign_that_is("paused", {}),
}
"""By service and `METHOD /path`."""
