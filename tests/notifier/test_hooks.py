"""Decisions that an outside system passes on, and the alerts about what waits for them."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from services.notifier.service import SCHEMA, build
from shared.bus.sqlite import SqliteBus
from shared.clock import utc_now
from shared.events import Event
from shared.events.approvals import ApprovalOutcome
from shared.events.notifier import ApprovalGranted, ApprovalRefused, Severity
from shared.events.renewal import (
    ApprovalSettled,
    CertificateRevoked,
    RenewalAwaitingApproval,
    RevocationFailed,
    RevocationReason,
)
from shared.store.plumbing import OUTBOX
from shared.webhooks import signed
from tests.builders import bearer, surroundings
from tests.notifier.test_api import House
from tests.notifier.workshop import KEY, NOON, OLD, SIGNING_SECRET, Workshop
from tests.servers.webhook import Webhook

ADMIN = bearer("admin")
DIGEST = "ab" * 32


def awaiting(reminder: int = 0, **other: Any) -> RenewalAwaitingApproval:
    """Return the event that an order waits for approval."""
    values = {
        "approval_id": "approval-1",
        "kind": "order",
        "subject_id": "order-1",
        "lineage_id": "lineage-1",
        "digest": DIGEST,
        "names": ["shop.example.test"],
        "summary": "Order a certificate for shop.example.test from house-ca.",
        "requested_by": "ben",
        "needed": 2,
        "granted": 1,
        "approver_groups": ["security"],
        "asked_at": NOON,
        "expires_at": NOON + timedelta(days=7),
        "reminder": reminder,
    }
    return RenewalAwaitingApproval.model_validate({**values, **other})


def settled(outcome: ApprovalOutcome = ApprovalOutcome.GRANTED) -> ApprovalSettled:
    return ApprovalSettled(
        approval_id="approval-1",
        kind="order",
        subject_id="order-1",
        lineage_id="lineage-1",
        digest=DIGEST,
        outcome=outcome,
        reason="Done without approval, on the word of Ben: the shop is down.",
        decided_by=["ben"],
        settled_at=NOON + timedelta(hours=1),
    )


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """An assembled notifier that has heard of one approval."""
    bus = SqliteBus(tmp_path / "bus.db")
    async with build(surroundings(tmp_path, bus=bus)) as service:
        await SCHEMA.upgrade(service.database)
        await bus.declare(service.queues)
        opened = House(service, bus)
        async with opened.client:
            workshop = Workshop(service.database)
            await workshop.hear(awaiting())
            yield opened
    await bus.close()


async def made(house: House, **other: Any) -> str:
    body = {
        "name": "service desk",
        "signing_secret": SIGNING_SECRET,
        "approvers": [{"external": "ann@example.test", "principal": "ann", "roles": ["approver"]}],
        "groups": ["security"],
        **other,
    }
    answer = await house.client.post("/v1/approval-hooks", json=body)
    assert answer.status_code == 201, answer.text
    assert "whsec" not in answer.text
    return str(answer.json()["id"])


def message(kind: str = "approval.granted", **other: Any) -> bytes:
    data = {
        "approval_id": "approval-1",
        "digest": DIGEST,
        "decided_by": "Ann@example.test",
        "reason": "CHG0042",
        **other,
    }
    return json.dumps({"type": kind, "timestamp": utc_now().isoformat(), "data": data}).encode()


async def tell(
    house: House,
    hook: str,
    content: bytes,
    *,
    key: bytes = KEY,
    message_id: str = "msg_1",
    late: timedelta = timedelta(),
) -> httpx.Response:
    headers = signed(content, message_id=message_id, key=key, now=utc_now() - late)
    headers |= {"Content-Type": "application/json", "Authorization": ""}
    return await house.client.post(f"/v1/approval-hooks/{hook}/decisions", content=content, headers=headers)


async def told(house: House) -> list[bytes]:
    kinds = (ApprovalGranted.type, ApprovalRefused.type)
    async with house.service.database.read() as session:
        query = sa.select(OUTBOX.c.body).where(OUTBOX.c.type.in_(kinds)).order_by(OUTBOX.c.id)
        return list(await session.scalars(query))


async def test_a_signed_decision_is_passed_on_once(house: House) -> None:
    hook = await made(house)
    content = message()
    first = await tell(house, hook, content)
    assert (first.status_code, first.json()) == (202, {"is_first": True}), first.text
    again = await tell(house, hook, content)
    assert (again.status_code, again.json()) == (202, {"is_first": False})
    [body] = await told(house)
    event = Event.parse(body, ApprovalGranted).data
    assert (event.decided_by, event.name, event.roles) == ("ann", "ann@example.test", ["approver"])
    assert (event.groups, event.digest, event.passed_on_by) == (["security"], DIGEST, "service desk")


async def test_a_refusal_is_passed_on_as_one(house: House) -> None:
    hook = await made(house)
    await tell(house, hook, message("approval.refused", reason="Not this week."))
    [body] = await told(house)
    assert Event.parse(body, ApprovalRefused).data.reason == "Not this week."


async def test_what_is_not_signed_so_or_not_of_now_is_refused(house: House) -> None:
    hook = await made(house)
    forged = await tell(house, hook, message(), key=bytes(32))
    late = await tell(house, hook, message(), late=timedelta(minutes=6))
    early = await tell(house, hook, message(), late=-timedelta(minutes=6))
    elsewhere = await tell(house, "none", message())
    json_type = {"Content-Type": "application/json"}
    unsigned = await house.client.post(
        f"/v1/approval-hooks/{hook}/decisions", content=message(), headers=json_type
    )
    assert {each.status_code for each in (forged, late, early, elsewhere, unsigned)} == {401}
    assert forged.json()["detail"] == elsewhere.json()["detail"] == unsigned.json()["detail"]
    assert "not of now" in late.json()["detail"]
    assert await told(house) == []


async def test_a_decision_that_is_changed_on_its_way_is_refused(house: House) -> None:
    hook = await made(house)
    content = message("approval.refused")
    headers = signed(content, message_id="msg_1", key=KEY, now=utc_now())
    headers["Content-Type"] = "application/json"
    changed = content.replace(b"approval.refused", b"approval.granted")
    answer = await house.client.post(f"/v1/approval-hooks/{hook}/decisions", content=changed, headers=headers)
    assert answer.status_code == 401


async def test_who_is_not_known_and_what_does_not_wait_is_refused_and_may_be_sent_again(
    house: House,
) -> None:
    hook = await made(house)
    stranger = await tell(house, hook, message(decided_by="eve@example.test"))
    assert (stranger.status_code, "does not know" in stranger.text) == (403, True)
    other = await tell(house, hook, message(digest="cd" * 32))
    unknown = await tell(house, hook, message(approval_id="approval-2"))
    assert (other.status_code, unknown.status_code) == (409, 409)
    wrong = await tell(house, hook, message("approval.maybe"))
    assert wrong.status_code == 422
    # The same message id: what was refused was not taken.
    assert (await tell(house, hook, message())).json() == {"is_first": True}
    assert len(await told(house)) == 1


async def test_a_hook_is_seen_by_administrators_of_its_groups_and_can_be_taken_away(house: House) -> None:
    hook = await made(house)
    listed = (await house.client.get("/v1/approval-hooks")).json()["items"]
    assert [each["name"] for each in listed] == ["service desk"]
    assert (await house.client.get("/v1/approval-hooks", headers=bearer("operator"))).status_code == 403
    assert (await house.client.delete(f"/v1/approval-hooks/{hook}")).status_code == 204
    assert (await tell(house, hook, message())).status_code == 401


async def test_a_secret_that_is_none_is_refused_and_not_shown(house: House) -> None:
    body = {
        "name": "x",
        "signing_secret": "whsec_c2hvcnQ=",
        "approvers": [{"external": "a", "principal": "b"}],
    }
    answer = await house.client.post("/v1/approval-hooks", json=body)
    assert answer.status_code == 422
    assert "c2hvcnQ" not in answer.text


# What people are told


async def test_who_decides_is_told_what_waits_and_reminded(small_shop: Workshop, webhook: Webhook) -> None:
    await small_shop.webhook(webhook)
    await small_shop.hear(awaiting())
    await small_shop.work()
    [request] = await webhook.received(1)
    data = json.loads(request.body)["data"]
    assert (data["problem"], data["approval_id"], data["digest"]) == (
        "awaiting-approval",
        "approval-1",
        DIGEST,
    )
    assert data["summary"] == "shop.example.test waits for approval"
    assert "Asked for by ben." in data["reason"]
    assert "1 of security must agree by" in data["next_step"]
    alert = await small_shop.alert(problem="awaiting-approval")
    assert alert.severity == Severity.WARNING
    await small_shop.hear(awaiting(1))
    await small_shop.work()
    alert = await small_shop.alert(problem="awaiting-approval")
    assert (alert.severity, len(webhook.requests)) == (Severity.ERROR, 2)


async def test_what_is_decided_is_over_and_cannot_be_told_again_by_a_late_event(
    small_shop: Workshop,
) -> None:
    await small_shop.hear(awaiting())
    small_shop.clock.passes(timedelta(hours=2))
    await small_shop.hear(settled())
    alert = await small_shop.alert(problem="awaiting-approval")
    assert alert.state == "resolved"
    late = Event.of(awaiting(1), source="renewal", now=NOON)
    await small_shop.hear_events([late])
    assert (await small_shop.alert(problem="awaiting-approval")).state == "resolved"


async def test_an_override_is_told_as_the_worst_before_it_is_over(
    small_shop: Workshop, webhook: Webhook
) -> None:
    await small_shop.webhook(webhook)
    await small_shop.hear(awaiting())
    await small_shop.hear(settled(ApprovalOutcome.OVERRIDDEN))
    while await small_shop.work():
        pass
    kinds = [json.loads(each.body)["type"] for each in webhook.requests]
    assert kinds == ["alert.opened", "alert.raised", "alert.resolved"]
    raised = json.loads(webhook.requests[1].body)["data"]
    assert raised["severity"] == "critical"
    assert "on the word of Ben" in raised["reason"]


def not_revoked(attempt: int, *, at: datetime, is_last: bool = False) -> RevocationFailed:
    return RevocationFailed(
        lineage_id="lineage-1",
        revocation_id="revocation-1",
        fingerprint=OLD,
        names=["shop.example.test"],
        reason="The authority is away.",
        next_step="Wait.",
        attempt=attempt,
        next_attempt_at=None if is_last else at + timedelta(minutes=1),
    )


async def test_a_revocation_that_fails_is_an_alert_until_the_authority_has_taken_it(
    small_shop: Workshop,
) -> None:
    await small_shop.hear(not_revoked(1, at=NOON))
    assert await small_shop.open_alerts() == {"revocation-failed": Severity.WARNING}
    await small_shop.hear(not_revoked(2, at=NOON, is_last=True))
    assert await small_shop.open_alerts() == {"revocation-failed": Severity.ERROR}
    small_shop.clock.passes(timedelta(hours=1))
    taken = CertificateRevoked(
        lineage_id="lineage-1",
        order_id="order-1",
        revocation_id="revocation-1",
        fingerprint=OLD,
        names=["shop.example.test"],
        authority="house-ca",
        reason=RevocationReason.KEY_COMPROMISE,
        explanation="Stolen.",
        requested_by="ann",
        revoked_at=small_shop.clock(),
    )
    await small_shop.hear(taken)
    assert await small_shop.open_alerts() == {}


async def test_a_hook_without_a_secret_takes_no_message_and_is_for_a_channel(house: House) -> None:
    body = {"name": "x", "approvers": [{"external": "ann", "principal": "ann"}]}
    answer = await house.client.post("/v1/approval-hooks", json=body)
    assert answer.status_code == 422
    assert "a signing_secret, or a channel_id" in answer.text
    options = {"url": "https://desk.example.test", "username": "u"}
    channel = await house.client.post(
        "/v1/channels",
        json={"name": "d", "kind": "servicenow-change", "options": options, "secrets": {"password": "p"}},
    )
    hook = await house.client.post("/v1/approval-hooks", json={**body, "channel_id": channel.json()["id"]})
    assert (hook.status_code, hook.json()["channel_id"]) == (201, channel.json()["id"])
    assert (await tell(house, hook.json()["id"], message())).status_code == 401
