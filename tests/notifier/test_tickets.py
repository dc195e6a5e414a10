"""Tickets both ways: one for each alert, closed by what was seen, and decided in by people."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from services.notifier import store
from services.notifier.actions.channels import ChannelChange
from services.notifier.actions.hooks import Hooks, NewHook
from services.notifier.connectors import Delivered, Later
from services.notifier.domain.approvals import KnownApprover
from shared.access import Principal
from shared.errors import Invalid, NotFound
from shared.events import Event
from shared.events.inventory import LineagesGrouped, Urgency
from shared.events.notifier import ApprovalGranted, ApprovalRefused
from shared.sealing import KeyEncryptionKey, Sealer
from shared.store.plumbing import OUTBOX
from tests.conformance.channels.tickets import AS_CLIENT, AS_USER, jira_options
from tests.notifier.test_hooks import DIGEST, awaiting, settled
from tests.notifier.workshop import CALLER, OLD, WAITS, Workshop, expiring, replaced
from tests.servers.api import Told
from tests.servers.jira import TOKEN, Jira
from tests.servers.servicenow import ServiceNow
from tests.servers.tls import LOOPBACK, CertificateAuthority
from tests.servers.webhook import Webhook

MINUTE = timedelta(minutes=1)


@pytest.fixture
def servicenow(tmp_path: Path, lab_ca: CertificateAuthority) -> Any:
    """An instance."""
    server = ServiceNow(lab_ca.issue(*LOOPBACK).server_context(tmp_path / "servicenow"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def site(tmp_path: Path, lab_ca: CertificateAuthority) -> Any:
    """A Jira in the cloud."""
    server = Jira(lab_ca.issue(*LOOPBACK).server_context(tmp_path / "jira"))
    server.start()
    yield server
    server.stop()


async def incidents(
    shop: Workshop, server: ServiceNow, ca: CertificateAuthority, **options: Any
) -> store.Channel:
    login, secrets = AS_USER
    given = {"url": server.url, "ca_pem": ca.pem.decode(), **login, **options}
    return await shop.channel("desk", "servicenow-incident", given, secrets=secrets)


async def changes(shop: Workshop, server: ServiceNow, ca: CertificateAuthority) -> store.Channel:
    login, secrets = AS_CLIENT
    given = {"url": server.url, "ca_pem": ca.pem.decode(), **login}
    return await shop.channel("changes", "servicenow-change", given, secrets=secrets)


async def issues(shop: Workshop, server: Jira, ca: CertificateAuthority) -> store.Channel:
    options = {**jira_options(server), "ca_pem": ca.pem.decode()}
    return await shop.channel("issues", "jira", options, secrets={"token": TOKEN})


def hooks(shop: Workshop) -> Hooks:
    return Hooks(shop.database, sealer=Sealer([KeyEncryptionKey(b"k" * 32)]))


async def hook(shop: Workshop, channel: store.Channel, external: str = "ann.smith") -> store.ApprovalHook:
    """Let what Ann decides in the tickets of a channel count."""
    ann = KnownApprover(external=external, principal="ann", roles=("approver",))
    new = NewHook(name="desk", approvers=[ann], groups=["security"], channel_id=channel.id)
    return await hooks(shop).create(new, caller=CALLER, now=shop.clock())


async def decisions(shop: Workshop) -> list[ApprovalGranted | ApprovalRefused]:
    kinds: dict[str, type[ApprovalGranted | ApprovalRefused]] = {
        ApprovalGranted.type: ApprovalGranted,
        ApprovalRefused.type: ApprovalRefused,
    }
    async with shop.database.read() as session:
        query = sa.select(OUTBOX.c.type, OUTBOX.c.body).where(OUTBOX.c.type.in_(kinds)).order_by(OUTBOX.c.id)
        rows = (await session.execute(query)).all()
    found: list[ApprovalGranted | ApprovalRefused] = []
    for kind, body in rows:
        found.append(Event.parse(body, kinds[kind]).data)
    return found


async def history(shop: Workshop, problem: str) -> list[str]:
    alert = await shop.alert(problem=problem)
    story = await shop.alerts.get(alert.id, caller=CALLER)
    return [entry.text for entry in story.history]


async def test_one_incident_follows_its_alert_from_the_first_word_to_the_observation_that_ends_it(
    small_shop: Workshop, servicenow: ServiceNow, lab_ca: CertificateAuthority
) -> None:
    await incidents(small_shop, servicenow, lab_ca, opening={"assignment_group": "web"})
    await small_shop.hear(expiring())
    await small_shop.work()
    [incident] = servicenow.tables["incident"]
    alert = await small_shop.alert(problem="expiring")
    assert incident["correlation_id"] == alert.id
    assert (incident["state"], incident["urgency"], incident["assignment_group"]) == ("1", "2", "web")
    await small_shop.hear(expiring(Urgency.CRITICAL))
    await small_shop.work()
    assert (incident["state"], incident["urgency"]) == ("1", "1")
    assert [ticket.state for ticket in await small_shop.tickets_kept()] == ["open"]
    await small_shop.hear(replaced())
    await small_shop.work()
    assert [incident] == servicenow.tables["incident"]
    assert (incident["state"], incident["close_code"]) == ("6", "Solution provided")
    assert "was seen at every place" in incident["close_notes"]
    [ticket] = await small_shop.tickets_kept()
    assert (ticket.key, ticket.state, ticket.next_look_at) == ("INC0000001", "closed", None)
    assert ticket.link == f"{servicenow.url}/nav_to.do?uri=incident.do?sys_id={incident['sys_id']}"


async def test_a_turn_that_was_told_before_the_process_died_is_not_told_again(
    small_shop: Workshop, servicenow: ServiceNow, lab_ca: CertificateAuthority
) -> None:
    await incidents(small_shop, servicenow, lab_ca)
    for event in (expiring(), expiring(Urgency.CRITICAL), replaced()):
        await small_shop.hear(event)
        job = await small_shop.claim()
        await small_shop.deliveries.send(job, now=small_shop.clock())  # and dies
        small_shop.clock.passes(timedelta(seconds=91))
        assert [type(sent) for sent in await small_shop.work()] == [Delivered]
    assert len(servicenow.tables["incident"]) == 1
    assert [each.turn for each in servicenow.written] == [f"Everleaf turn {n}" for n in (1, 2, 3)]


async def test_closing_the_incident_by_hand_is_noted_and_ends_nothing(
    small_shop: Workshop, servicenow: ServiceNow, lab_ca: CertificateAuthority
) -> None:
    await incidents(small_shop, servicenow, lab_ca)
    await small_shop.hear(expiring())
    await small_shop.work()
    assert await small_shop.look() == 1
    assert await small_shop.look() == 0, "not before its time"
    [incident] = servicenow.tables["incident"]
    incident["state"] = "7"
    small_shop.clock.passes(MINUTE)
    assert await small_shop.look() == 1
    assert (await history(small_shop, "expiring"))[-1] == (
        "The ticket INC0000001 was closed there (state 7); the problem was not seen to be over."
    )
    assert (await small_shop.alert(problem="expiring")).state == "open"
    small_shop.clock.passes(MINUTE)
    await small_shop.look()
    assert len(await history(small_shop, "expiring")) == 2, "it is noted once"
    await small_shop.hear(expiring(Urgency.CRITICAL))
    await small_shop.work()
    assert incident["state"] == "2", "it is worse, and open again"


async def test_the_certificate_is_an_item_that_the_incident_is_about(
    small_shop: Workshop, servicenow: ServiceNow, lab_ca: CertificateAuthority
) -> None:
    await incidents(small_shop, servicenow, lab_ca, certificate_items=True)
    await small_shop.hear(expiring())
    await small_shop.work()
    [item] = servicenow.tables["cmdb_ci_certificate"]
    assert (item["fingerprint"], item["subject_common_name"]) == (OLD, "*.example.test")
    assert item["valid_to"] == "2026-11-26 13:00:00"
    assert servicenow.tables["incident"][0]["cmdb_ci"] == item["sys_id"]
    await small_shop.hear(expiring(lineage_id="lineage-2"))
    await small_shop.work()
    assert len(servicenow.tables["cmdb_ci_certificate"]) == 1, "an item is found by its fingerprint"


async def test_an_instance_without_that_class_gets_its_incident_all_the_same(
    small_shop: Workshop, servicenow: ServiceNow, lab_ca: CertificateAuthority
) -> None:
    del servicenow.tables["cmdb_ci_certificate"]
    await incidents(small_shop, servicenow, lab_ca, certificate_items=True)
    await small_shop.hear(expiring())
    assert [type(sent) for sent in await small_shop.work()] == [Delivered]
    assert "cmdb_ci" not in servicenow.tables["incident"][0]


async def test_what_approvers_of_a_change_decide_is_passed_on_once(
    shop: Workshop, servicenow: ServiceNow, lab_ca: CertificateAuthority
) -> None:
    channel = await changes(shop, servicenow, lab_ca)
    await hook(shop, channel)
    await shop.hear(awaiting())
    await shop.work()
    [change] = servicenow.tables["change_request"]
    assert change["approval"] == "requested"
    assert DIGEST in change["description"]
    await shop.look()
    assert await decisions(shop) == []
    servicenow.decide(change, "ann.smith", state="approved", comments="Go ahead.")
    for _ in range(2):
        shop.clock.passes(MINUTE)
        assert await shop.look() == 1
    [granted] = await decisions(shop)
    assert isinstance(granted, ApprovalGranted)
    assert (granted.decided_by, granted.name, granted.groups) == ("ann", "ann.smith", ["security"])
    assert (granted.digest, granted.reason) == (DIGEST, "CHG0000001: Go ahead.")
    await shop.hear(settled())
    await shop.work()
    assert (change["state"], change["close_code"]) == ("3", "successful")


async def test_a_rejection_is_passed_on_as_one(
    small_shop: Workshop, servicenow: ServiceNow, lab_ca: CertificateAuthority
) -> None:
    await hook(small_shop, await changes(small_shop, servicenow, lab_ca))
    await small_shop.hear(awaiting())
    await small_shop.work()
    servicenow.decide(servicenow.tables["change_request"][0], "ann.smith", state="rejected")
    await small_shop.look()
    [refused] = await decisions(small_shop)
    assert isinstance(refused, ApprovalRefused)


async def test_who_is_nobody_here_decides_nothing_and_that_is_noted_once(
    small_shop: Workshop, servicenow: ServiceNow, lab_ca: CertificateAuthority
) -> None:
    await hook(small_shop, await changes(small_shop, servicenow, lab_ca))
    await small_shop.hear(awaiting())
    await small_shop.work()
    servicenow.decide(servicenow.tables["change_request"][0], "mallory", state="approved")
    await small_shop.look()
    small_shop.clock.passes(MINUTE)
    await small_shop.look()
    assert await decisions(small_shop) == []
    notes = [text for text in await history(small_shop, "awaiting-approval") if "mallory" in text]
    assert len(notes) == 1
    assert "does not count: The hook does not know" in notes[0]


async def test_a_channel_that_was_changed_since_passes_nothing_on(
    small_shop: Workshop, servicenow: ServiceNow, lab_ca: CertificateAuthority
) -> None:
    """Else whoever may change channels could have a server of their own approve."""
    channel = await changes(small_shop, servicenow, lab_ca)
    await hook(small_shop, channel)
    await small_shop.hear(awaiting())
    await small_shop.work()
    moved = ChannelChange(options={**channel.options, "opening": {"category": "x"}})
    await small_shop.channels.change(channel.id, change=moved, caller=CALLER, now=small_shop.clock())
    servicenow.decide(servicenow.tables["change_request"][0], "ann.smith", state="approved")
    await small_shop.look()
    assert await decisions(small_shop) == []
    assert "Make the hook again" in (await history(small_shop, "awaiting-approval"))[-1]


async def test_without_a_hook_nothing_is_passed_on_until_there_is_one(
    small_shop: Workshop, servicenow: ServiceNow, lab_ca: CertificateAuthority
) -> None:
    channel = await changes(small_shop, servicenow, lab_ca)
    await small_shop.hear(awaiting())
    await small_shop.work()
    servicenow.decide(servicenow.tables["change_request"][0], "ann.smith", state="approved")
    await small_shop.look()
    assert await decisions(small_shop) == []
    await hook(small_shop, channel)
    small_shop.clock.passes(MINUTE)
    await small_shop.look()
    assert len(await decisions(small_shop)) == 1


async def test_a_status_of_an_issue_can_be_a_decision(
    small_shop: Workshop, site: Jira, lab_ca: CertificateAuthority
) -> None:
    await hook(small_shop, await issues(small_shop, site, lab_ca), external="5b10a2844c20165700ede21g")
    await small_shop.hear(awaiting())
    await small_shop.work()
    site.move(site.issues[0], "In Progress", by="5b10a2844c20165700ede21g")
    site.move(site.issues[0], "Approved", by="5b10a2844c20165700ede21g")
    await small_shop.look()
    [granted] = await decisions(small_shop)
    assert (granted.decided_by, granted.reason) == ("ann", "OPS-1: Approved")


async def test_an_issue_is_commented_on_closed_and_opened_again(
    small_shop: Workshop, site: Jira, lab_ca: CertificateAuthority
) -> None:
    await issues(small_shop, site, lab_ca)
    await small_shop.hear(expiring())
    await small_shop.work()
    [issue] = site.issues
    assert issue.fields["labels"][0] == "everleaf"
    site.move(issue, "Done", by="somebody")
    await small_shop.hear(expiring(Urgency.CRITICAL))
    await small_shop.work()
    assert (issue.status, len(issue.comments)) == ("To Do", 1)
    await small_shop.hear(replaced())
    await small_shop.work()
    assert (issue.status, len(issue.comments)) == ("Done", 2)
    assert [(each.key, each.state, each.link) for each in await small_shop.tickets_kept()] == [
        ("OPS-1", "closed", f"{site.url}/browse/OPS-1")
    ]


async def test_an_issue_that_cannot_be_closed_says_which_transitions_there_are(
    small_shop: Workshop, site: Jira, lab_ca: CertificateAuthority
) -> None:
    channel = await issues(small_shop, site, lab_ca)
    change = ChannelChange(options={**channel.options, "done": ["Erledigt"]})
    await small_shop.channels.change(channel.id, change=change, caller=CALLER, now=small_shop.clock())
    sent = await small_shop.channels.test(channel.id, caller=CALLER, now=small_shop.clock())
    assert not isinstance(sent, Delivered)
    assert (
        "no transition of OPS-1 is called Erledigt; there are Reopen, Start, Approve, Finish" in sent.reason
    )


async def test_an_instance_that_is_away_is_looked_at_again_later(
    small_shop: Workshop, servicenow: ServiceNow, lab_ca: CertificateAuthority
) -> None:
    await incidents(small_shop, servicenow, lab_ca)
    await small_shop.hear(expiring())
    await small_shop.work()
    # A hibernating instance answers with a page.
    servicenow.api.instead = Told(status=200, body=b"<html>Instance Hibernating page</html>")
    assert await small_shop.look() == 1
    servicenow.api.instead = Told(status=503)
    small_shop.clock.passes(MINUTE)
    assert await small_shop.look() == 1
    assert len(await history(small_shop, "expiring")) == 1
    assert [ticket.state for ticket in await small_shop.tickets_kept()] == ["open"]


async def test_a_wrong_password_is_later_and_opens_nothing(
    small_shop: Workshop, servicenow: ServiceNow, lab_ca: CertificateAuthority
) -> None:
    channel = await incidents(small_shop, servicenow, lab_ca)
    wrong = ChannelChange(secrets={"password": SecretStr("another")})
    await small_shop.channels.change(channel.id, change=wrong, caller=CALLER, now=small_shop.clock())
    await small_shop.hear(expiring())
    [sent] = await small_shop.work()
    assert isinstance(sent, Later)
    assert "401" in sent.reason
    small_shop.clock.passes(WAITS[0] * 1.2)
    assert servicenow.tables["incident"] == []


async def test_a_hook_is_for_a_channel_with_tickets_that_the_caller_sees(
    small_shop: Workshop, servicenow: ServiceNow, lab_ca: CertificateAuthority
) -> None:
    chat = await small_shop.channel("chat", "teams", {}, secrets={"url": "https://chat.example.test/hook"})
    with pytest.raises(Invalid, match="Nobody decides"):
        await hook(small_shop, chat)
    channel = await incidents(small_shop, servicenow, lab_ca)
    other = Principal(id="x", name="X", roles=frozenset({"admin"}), groups=frozenset({"elsewhere"}))
    async with _grouped(small_shop, channel):
        new = NewHook(name="x", approvers=[], groups=["elsewhere"], channel_id=channel.id)
        with pytest.raises(NotFound):
            await hooks(small_shop).create(new, caller=other, now=small_shop.clock())


async def test_tickets_are_seen_by_who_sees_both_their_alert_and_their_channel(
    shop: Workshop, servicenow: ServiceNow, lab_ca: CertificateAuthority
) -> None:
    channel = await incidents(shop, servicenow, lab_ca)
    await shop.hear(LineagesGrouped(group_id="web", joined=["lineage-1"]), expiring())
    await shop.work()

    async def seen_by(*groups: str, **only: str) -> int:
        caller = Principal(id="x", name="X", roles=frozenset({"viewer"}), groups=frozenset(groups))
        return len(await shop.tickets.page(only=only, after=[], limit=10, caller=caller))

    assert await seen_by("web") == 0, "the channel is everybody's, and only who has no groups sees those"
    change = ChannelChange(groups=["web", "desk"])
    await shop.channels.change(channel.id, change=change, caller=CALLER, now=shop.clock())
    assert (await seen_by("web"), await seen_by("desk"), await seen_by()) == (1, 0, 1)
    assert await seen_by("web", channel_id=channel.id) == 1
    assert await seen_by("desk", channel_id=channel.id) == 0


@asynccontextmanager
async def _grouped(shop: Workshop, channel: store.Channel) -> AsyncIterator[None]:
    change = ChannelChange(groups=["security"])
    await shop.channels.change(channel.id, change=change, caller=CALLER, now=shop.clock())
    yield


async def test_an_instance_that_is_away_for_hours_loses_and_doubles_no_ticket_and_holds_up_nobody(
    small_shop: Workshop, servicenow: ServiceNow, lab_ca: CertificateAuthority, webhook: Webhook
) -> None:
    await incidents(small_shop, servicenow, lab_ca)
    await small_shop.webhook(webhook)
    await small_shop.drop_default_rule()
    await small_shop.rule(problems=["expiring"])
    servicenow.stop()
    for number in range(4):
        await small_shop.hear(expiring(lineage_id=f"lineage-{number}"))
        await small_shop.work()
        assert len(webhook.requests) == number + 1, "nobody waits"
        small_shop.clock.passes(timedelta(minutes=1))
    await small_shop.hear(replaced(lineage_id="lineage-0", at=small_shop.clock()))
    small_shop.clock.passes(WAITS[0] * 1.2)
    await small_shop.work()
    servicenow.start()
    small_shop.clock.passes(timedelta(hours=3))
    for _ in range(2):
        await small_shop.work()
    incidents_there = servicenow.tables["incident"]
    assert sorted(each["state"] for each in incidents_there) == ["1", "1", "1", "6"]
    assert len({each["correlation_id"] for each in incidents_there}) == 4
    assert len(webhook.requests) == 5
