"""Makes what the routes of the notifier are about."""

from typing import Any

from shared.events.inventory import LineagesGrouped
from shared.events.renewal import RenewalFailed
from shared.ids import new_id
from tests.access.estate import Estate
from tests.access.made import Made, Maker, Reference


async def _post(estate: Estate, path: str, body: Any, *, group: str, permission: str) -> dict[str, Any]:
    return await estate.make("notifier", path, body, group=group, permission=permission)


async def channel(estate: Estate, group: str) -> Made:
    """Make a channel to where nothing listens."""
    name = f"hook {new_id()}"
    secrets = {"signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAA"}
    body = {
        "name": name,
        "kind": "webhook",
        "options": {"url": "http://127.0.0.1:1/hook"},
        "secrets": secrets,
    }
    made = await _post(estate, "/v1/channels", body, group=group, permission="channels:write")
    return Made(
        ids={"channel_id": made["id"]},
        traces=(name,),
        bodies={
            "PATCH /v1/channels/{channel_id}": {"enabled": True},
            "POST /v1/channels/{channel_id}/replay": {"since": "2026-01-01T00:00:00Z"},
        },
    )


async def rule(estate: Estate, group: str) -> Made:
    """Make a rule that names a channel of the group."""
    own = await channel(estate, group)
    name = f"rule {new_id()}"
    body = {"name": name, "channels": [own.ids["channel_id"]]}
    made = await _post(estate, "/v1/rules", body, group=group, permission="rules:write")
    return Made(
        ids={"rule_id": made["id"]},
        traces=(name,),
        bodies={"PATCH /v1/rules/{rule_id}": {"min_severity": "critical"}},
    )


async def alert(estate: Estate, group: str) -> Made:
    """Let something go wrong with a lineage of the group, and be told through a channel of it."""
    own, lineage_id = await channel(estate, group), new_id()
    await estate.hear("notifier", "inventory", LineagesGrouped(group_id=group, joined=[lineage_id]))
    failed = RenewalFailed(
        lineage_id=lineage_id,
        order_id=new_id(),
        fingerprint=None,
        names=[f"{lineage_id}.estate.test"],
        reason="the authority is away",
        next_step="Wait.",
        attempt=1,
        next_attempt_at=None,
    )
    await estate.hear("notifier", "renewal", failed)
    [shown] = await _listed(
        estate, "/v1/alerts", group=group, permission="alerts:read", lineage_id=lineage_id
    )
    of_channel = await _listed(estate, "/v1/deliveries", group=group, permission="deliveries:read", **own.ids)
    [delivery] = [each for each in of_channel if each["alert_id"] == shown["id"]]
    return Made(
        ids={
            "alert_id": shown["id"],
            "delivery_id": delivery["id"],
            "lineage_id": lineage_id,
            **own.ids,
        }
    )


async def _listed(
    estate: Estate, path: str, *, group: str, permission: str, **query: str
) -> list[dict[str, Any]]:
    answer = await estate.ask("notifier", "GET", path, groups=[group], permissions=[permission], query=query)
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def hook(estate: Estate, group: str) -> Made:
    """Make a hook that decisions are passed on by."""
    name = f"desk {new_id()}"
    body = {
        "name": name,
        "signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAA",
        "approvers": [{"external": "ann@estate.test", "principal": "ann"}],
    }
    made = await _post(estate, "/v1/approval-hooks", body, group=group, permission="approval-hooks:admin")
    return Made(ids={"hook_id": made["id"]}, traces=(name,))


_SCHEDULE = {"report": "expiring", "cron": "0 7 * * 1"}


async def report_schedule(estate: Estate, group: str) -> Made:
    """Let a report be mailed to where nobody listens."""
    name = f"weekly {new_id()}"
    mail = {
        "name": f"mail {new_id()}",
        "kind": "email",
        "options": {"host": "127.0.0.1", "port": 1, "from": "a@estate.test", "to": ["b@estate.test"]},
    }
    through = await _post(estate, "/v1/channels", mail, group=group, permission="channels:write")
    body = {**_SCHEDULE, "name": name, "channel_id": through["id"]}
    made = await _post(estate, "/v1/report-schedules", body, group=group, permission="reports:write")
    return Made(
        ids={"schedule_id": made["id"], "channel_id": through["id"]},
        traces=(name,),
        bodies={"PATCH /v1/report-schedules/{schedule_id}": {"days": 30}},
    )


async def subscription(estate: Estate, group: str) -> Made:
    """Subscribe to what is in the group."""
    name = f"consumer {new_id()}"
    body = {"name": name, "way": "poll"}
    made = await _post(estate, "/v1/subscriptions", body, group=group, permission="subscriptions:write")
    return Made(ids={"subscription_id": made["id"]}, traces=(name,))


MAKERS: dict[tuple[str, str], Maker] = {
    ("notifier", "/v1/subscriptions/{subscription_id}"): subscription,
    ("notifier", "/v1/channels/{channel_id}"): channel,
    ("notifier", "/v1/rules/{rule_id}"): rule,
    ("notifier", "/v1/approval-hooks/{hook_id}"): hook,
    ("notifier", "/v1/alerts/{alert_id}"): alert,
    ("notifier", "/v1/report-schedules/{schedule_id}"): report_schedule,
    ("notifier", "/v1/deliveries/{delivery_id}"): alert,
}
NOT_OBJECTS: dict[tuple[str, str], str] = {}
_ALERT = "/v1/alerts/{alert_id}"
REFERENCES: dict[tuple[str, str, str], Reference] = {
    ("notifier", "POST /v1/report-schedules", "body.channel_id"): Reference(
        to="/v1/report-schedules/{schedule_id}",
        id="channel_id",
        body=lambda channel_id: {**_SCHEDULE, "name": f"weekly {new_id()}", "channel_id": channel_id},
    ),
    ("notifier", "PATCH /v1/report-schedules/{schedule_id}", "body.channel_id"): Reference(
        to="/v1/report-schedules/{schedule_id}",
        id="channel_id",
        body=lambda channel_id: {"channel_id": channel_id},
    ),
    ("notifier", "GET /v1/alerts", "query.lineage_id"): Reference(to=_ALERT, id="lineage_id"),
    ("notifier", "GET /v1/deliveries", "query.alert_id"): Reference(to=_ALERT, id="alert_id"),
    ("notifier", "GET /v1/deliveries", "query.channel_id"): Reference(to=_ALERT, id="channel_id"),
    ("notifier", "POST /v1/approval-hooks", "body.channel_id"): Reference(
        to="/v1/channels/{channel_id}",
        body=lambda channel_id: {
            "name": f"desk {new_id()}",
            "approvers": [{"external": "ann@estate.test", "principal": "ann"}],
            "channel_id": channel_id,
        },
    ),
}
_OWN_GROUPS = "an id that is only compared with the groups of the caller: see tests/shared/test_access.py"
_OWN_LIST = "narrows a list down to what the caller sees of it: see tests/notifier/test_tickets.py"
_COMPARED = "only compared with what entries say, of those that the caller may see: tests/notifier/actions/test_trail.py"
NOT_REFERENCES: dict[tuple[str, str, str], str] = {
    ("notifier", "GET /v1/tickets", "query.alert_id"): _OWN_LIST,
    ("notifier", "GET /v1/tickets", "query.channel_id"): _OWN_LIST,
    ("notifier", "POST /v1/report-schedules", "body.groups"): _OWN_GROUPS,
    ("notifier", "PATCH /v1/report-schedules/{schedule_id}", "body.groups"): _OWN_GROUPS,
    ("notifier", "GET /v1/audit", "query.actor_id"): _COMPARED,
    ("notifier", "GET /v1/audit", "query.object_id"): _COMPARED,
    ("notifier", "GET /v1/audit", "query.lineage_id"): _COMPARED,
    ("notifier", "GET /v1/audit", "query.trace_id"): _COMPARED,
    ("notifier", "POST /v1/subscriptions", "body.groups"): _OWN_GROUPS,
    ("notifier", "POST /v1/channels", "body.groups"): _OWN_GROUPS,
    ("notifier", "PATCH /v1/channels/{channel_id}", "body.groups"): _OWN_GROUPS,
    ("notifier", "POST /v1/rules", "body.groups"): _OWN_GROUPS,
    ("notifier", "POST /v1/approval-hooks", "body.groups"): _OWN_GROUPS,
    ("notifier", "PATCH /v1/rules/{rule_id}", "body.groups"): _OWN_GROUPS,
}
