"""What the notifier makes of events: once, in any order, however often they are said."""

import itertools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.events import Event, Payload
from shared.events.inventory import Contact, Flaw, Owner, RuleSeverity, Urgency
from shared.ids import new_id
from shared.store import Database
from tests.notifier.workshop import (
    CALLER,
    NEW,
    NEXT,
    NOON,
    OLD,
    Workshop,
    authority_cleared,
    authority_expiring,
    compliant,
    deployed,
    deployment_failed,
    expiring,
    flawed,
    mended,
    noncompliant,
    owned,
    renewal_failed,
    renewed,
    replaced,
    revoked,
    source_failed,
    source_recovered,
    stale,
    unowned,
)

MINUTE = timedelta(minutes=1)
_counter = itertools.count()


def said(*payloads: Payload) -> list[Event[Any]]:
    """Return events said a minute apart, the first at noon."""
    return [
        Event.of(payload, source="test", now=NOON + number * MINUTE)
        for number, payload in enumerate(payloads)
    ]


def story(lineage: str) -> list[Event[Any]]:
    """Return all that can go wrong with one certificate, and the observation that ends it."""
    return said(
        expiring(Urgency.RENEW, lineage_id=lineage),
        expiring(Urgency.WARNING, lineage_id=lineage),
        renewal_failed(1, lineage_id=lineage),
        renewal_failed(3, lineage_id=lineage),
        expiring(Urgency.CRITICAL, lineage_id=lineage),
        renewed(lineage_id=lineage),
        deployment_failed(1, lineage_id=lineage),
        deployed(lineage_id=lineage),
        stale(lineage_id=lineage, at=NOON + 8 * MINUTE),
        replaced(lineage_id=lineage, at=NOON + 9 * MINUTE),
    )


@pytest.fixture
def anything_goes() -> None:
    """Nothing is kept between the examples: each has a lineage of its own."""


Check = Callable[[Workshop], Awaitable[object]]
many = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def run(database_url: str) -> Callable[[Check], None]:
    """Run an example on the same database as those before: each has a lineage of its own."""

    async def opened(check: Check) -> None:
        database = Database(database_url, source="notifier", pool_size=1)
        try:
            await check(Workshop(database))
        finally:
            await database.close()

    anyio.run(opened, Workshop.set_up)
    return lambda check: anyio.run(opened, check)


def repeated(data: st.DataObject, events: list[Event[Any]]) -> list[Event[Any]]:
    """Return the events in any order, some of them more than once and then with an id the inbox doesn't know."""
    again = data.draw(st.lists(st.sampled_from(events), max_size=5))
    copies = [event.model_copy(update={"id": new_id()}) for event in again]
    return data.draw(st.permutations([*events, *copies]))


@given(st.data())
@many
def test_no_order_and_no_repetition_leaves_an_alert_open_after_the_replacement(
    run: Callable[[Check], None], data: st.DataObject
) -> None:
    lineage = f"lineage-{next(_counter)}"
    events = repeated(data, story(lineage))

    async def check(shop: Workshop) -> None:
        await shop.hear_events(events)
        assert await shop.open_alerts(lineage) == {}

    run(check)


urgencies = st.sampled_from([Urgency.RENEW, Urgency.WARNING, Urgency.ERROR, Urgency.CRITICAL])
ends = st.lists(st.tuples(st.integers(0, 3), urgencies, st.sampled_from([OLD, NEW])), max_size=12)


@given(ends, st.sets(st.integers(0, 3)))
@many
def test_many_that_come_to_their_end_at_once_come_to_what_they_do_one_by_one(
    run: Callable[[Check], None], ends: list[tuple[int, Urgency, str]], gone: set[int]
) -> None:
    together, alone = (f"lineage-{next(_counter)}" for _ in range(2))

    def heard(lineage: str) -> list[Event[Any]]:
        told = [
            expiring(urgency, fingerprint, lineage_id=f"{lineage}-{number}")
            for number, urgency, fingerprint in ends
        ]
        return said(*(replaced(lineage_id=f"{lineage}-{number}") for number in gone), *told)

    async def check(shop: Workshop) -> None:
        await shop.hear_events(heard(together)[: len(gone)])
        await shop.hear_events(heard(together)[len(gone) :])
        for event in heard(alone):
            await shop.hear_events([event])
        for number in range(4):
            assert await history(shop, f"{together}-{number}") == await history(shop, f"{alone}-{number}")

    run(check)


async def history(shop: Workshop, lineage: str) -> list[Any]:
    """Return what has happened to a lineage's alerts, without what is each one's own."""
    rows = await shop.alerts.page(only={"lineage_id": lineage}, after=None, limit=100, caller=CALLER)
    stories = [await shop.alerts.get(row.id, caller=CALLER) for row in rows]
    return [
        [
            (each.alert.problem, each.alert.severity, each.alert.fingerprint),
            *((entry.turn, entry.severity) for entry in each.history),
        ]
        for each in stories
    ]


@given(st.data())
@many
def test_every_order_opens_one_alert_for_each_problem_with_the_worst_severity(
    run: Callable[[Check], None], data: st.DataObject
) -> None:
    lineage = f"lineage-{next(_counter)}"
    events = repeated(data, story(lineage)[:-1])

    async def check(shop: Workshop) -> None:
        for event in events:
            await shop.hear_events([event])
        assert await shop.open_alerts(lineage) == {
            "expiring": "critical",
            "renewal-failed": "error",
            "deployment-failed": "warning",
            "stale": "error",
        }
        rows = await shop.alerts.page(only={"lineage_id": lineage}, after=None, limit=100, caller=CALLER)
        assert len(rows) == 4

    run(check)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_the_replacement_of_the_old_one_says_nothing_of_the_new_one(
    small_shop: Workshop, order: tuple[int, ...]
) -> None:
    events = said(
        expiring(Urgency.CRITICAL, OLD),
        replaced(OLD, NEW),
        expiring(Urgency.WARNING, NEW),
    )
    await small_shop.hear_events([events[number] for number in order])
    alert = await small_shop.alert(state="open")
    assert (alert.problem, alert.fingerprint) == ("expiring", NEW)


@pytest.mark.parametrize(
    ("urgency", "severity"),
    [
        (Urgency.RENEW, None),
        (Urgency.WARNING, "warning"),
        (Urgency.ERROR, "error"),
        (Urgency.CRITICAL, "critical"),
        (Urgency.EXPIRED, "critical"),
    ],
)
async def test_urgency_becomes_severity(small_shop: Workshop, urgency: Urgency, severity: str | None) -> None:
    await small_shop.hear(expiring(urgency))
    assert await small_shop.open_alerts() == ({} if severity is None else {"expiring": severity})


async def test_severity_rises_in_place_and_never_falls(shop: Workshop) -> None:
    for urgency in (Urgency.WARNING, Urgency.CRITICAL, Urgency.ERROR, Urgency.WARNING):
        await shop.hear(expiring(urgency))
    alert = await shop.alert(lineage_id="lineage-1")
    assert alert.severity == "critical"
    story_ = await shop.alerts.get(alert.id, caller=CALLER)
    assert [entry.turn for entry in story_.history] == ["opened", "raised"]
    assert await shop.emitted() == ["alert.opened", "alert.opened"]


async def test_a_lesser_trouble_of_another_certificate_does_not_hide_the_greater(shop: Workshop) -> None:
    later = NOON + timedelta(days=30)
    await shop.hear(expiring(Urgency.CRITICAL, OLD), expiring(Urgency.WARNING, NEW, not_after=later))
    alert = await shop.alert(lineage_id="lineage-1")
    assert (alert.severity, alert.fingerprint) == ("critical", OLD)
    await shop.hear(replaced(OLD, NEW))
    alert = await shop.alert(lineage_id="lineage-1")
    assert (alert.state, alert.fingerprint) == ("open", NEW)


async def test_issued_and_put_in_place_are_notes_and_end_nothing(shop: Workshop) -> None:
    await shop.hear(expiring(), renewed(), deployed())
    alert = await shop.alert(lineage_id="lineage-1")
    assert alert.state == "open"
    history = (await shop.alerts.get(alert.id, caller=CALLER)).history
    assert [entry.turn for entry in history] == ["opened", "noted", "noted"]
    assert "web-1" in history[2].text


async def test_an_observed_replacement_resolves_and_says_why(shop: Workshop) -> None:
    await shop.hear(expiring(), renewal_failed(), replaced())
    rows = await shop.alerts.page(only={}, after=None, limit=10, caller=CALLER)
    assert {row.state for row in rows} == {"resolved"}
    assert all(NEW in (row.resolved_because or "") for row in rows)
    assert (await shop.emitted()).count("alert.resolved") == 2


async def test_a_host_that_comes_back_with_the_old_certificate_is_a_new_alert(shop: Workshop) -> None:
    await shop.hear(stale(at=NOON), replaced(at=NOON + MINUTE), stale(at=NOON + 2 * MINUTE))
    assert await shop.open_alerts() == {"stale": "error"}
    await shop.hear(replaced(at=NOON + 3 * MINUTE))
    assert await shop.open_alerts() == {}


async def test_a_revoked_certificate_is_critical_until_it_was_replaced_everywhere(shop: Workshop) -> None:
    await shop.hear(revoked(), revoked(at=NOON + MINUTE))
    alert = await shop.alert(state="open")
    assert (alert.problem, alert.severity) == ("revoked", "critical")
    assert alert.summary == "www.example.test is revoked, and in use"
    assert "keyCompromise" in alert.details["reason"]
    assert await shop.emitted() == ["alert.opened"]
    await shop.hear(replaced(at=NOON + 2 * MINUTE))
    assert await shop.open_alerts() == {}


async def test_an_older_observation_does_not_overrule_a_newer_one(shop: Workshop) -> None:
    await shop.hear(stale(at=NOON + 2 * MINUTE), replaced(at=NOON + MINUTE))
    assert await shop.open_alerts() == {"stale": "error"}


@pytest.mark.parametrize(
    ("event", "severity"),
    [
        (renewal_failed(1), "warning"),
        (renewal_failed(2), "warning"),
        (renewal_failed(3), "error"),
        (renewal_failed(1, is_last=True), "error"),
        (deployment_failed(2), "warning"),
        (deployment_failed(3), "error"),
        (deployment_failed(1, is_last=True), "error"),
        (deployment_failed(1, restored=False), "error"),
    ],
)
async def test_a_failure_is_an_error_once_it_lasts_or_nobody_goes_on(
    small_shop: Workshop, event: Payload, severity: str
) -> None:
    await small_shop.hear(event)
    assert list((await small_shop.open_alerts()).values()) == [severity]


async def test_a_failure_that_does_not_name_the_old_certificate_ends_with_the_next_replacement(
    small_shop: Workshop,
) -> None:
    await small_shop.hear(deployment_failed(old=None), renewal_failed(fingerprint=None))
    assert len(await small_shop.open_alerts()) == 2
    await small_shop.hear(replaced(OLD, NEXT, at=NOON + MINUTE))
    assert await small_shop.open_alerts() == {}


async def test_a_failure_names_the_certificate_as_earlier_events_did(small_shop: Workshop) -> None:
    await small_shop.hear(expiring(), deployment_failed())
    alert = await small_shop.alert(problem="deployment-failed")
    assert alert.summary == "www.example.test could not be put in place on web-1 (attempt 1)"


async def test_a_source_that_cannot_be_read_is_one_alert_until_it_was_read_again(shop: Workshop) -> None:
    await shop.hear(source_failed(at=NOON), source_failed(at=NOON + MINUTE))
    alert = await shop.alert(problem="source-unread")
    assert (alert.state, alert.severity, alert.summary) == ("open", "error", "The source db-1 cannot be read")
    assert "Store a new credential." in alert.details["next_step"]
    await shop.hear(source_recovered(at=NOON + 2 * MINUTE))
    alert = await shop.alert(problem="source-unread")
    assert (alert.state, alert.resolved_because) == ("resolved", "It was read to its end.")
    assert await shop.emitted() == ["alert.opened", "alert.resolved"]


async def test_a_failure_told_late_does_not_open_what_is_over(small_shop: Workshop) -> None:
    await small_shop.hear(source_recovered(at=NOON + MINUTE), source_failed(at=NOON))
    assert await small_shop.alerts.page(only={"state": "open"}, after=None, limit=10, caller=CALLER) == []


async def test_a_flaw_of_a_place_is_one_alert_until_it_is_mended(shop: Workshop) -> None:
    await shop.hear(flawed(at=NOON), flawed(Flaw.KEY_EXPOSED, at=NOON), flawed(at=NOON))
    alert = await shop.alert(problem="not-served")
    assert (alert.state, alert.severity, alert.lineage_id) == ("open", "warning", "lineage-1")
    assert alert.summary == "web-1: /etc/tls/a.pem is configured, and another certificate is served"
    assert (await shop.alert(problem="key-exposed")).severity == "error"

    await shop.hear(mended(at=NOON + MINUTE))
    alert = await shop.alert(problem="not-served")
    assert (alert.state, alert.resolved_because) == ("resolved", "It was seen to be so no more.")
    assert (await shop.alert(problem="key-exposed")).state == "open", "the other flaw of the place stands"


async def test_a_flaw_that_is_heard_of_after_its_end_opens_nothing(small_shop: Workshop) -> None:
    await small_shop.hear(mended(at=NOON + MINUTE), flawed(at=NOON))
    assert await small_shop.alerts.page(only={}, after=None, limit=10, caller=CALLER) == []
    await small_shop.hear(flawed(at=NOON + 2 * MINUTE))
    assert (await small_shop.alert(problem="not-served")).state == "open", "it began again"


async def test_a_shared_key_is_told_to_nobody_unasked_and_what_nothing_uses_is_no_alert(
    shop: Workshop,
) -> None:
    await shop.hear(flawed(Flaw.KEY_SHARED), flawed(Flaw.UNUSED))
    [alert] = await shop.alerts.page(only={}, after=None, limit=10, caller=CALLER)
    assert (alert.problem, alert.severity) == ("key-shared", "info")


async def test_what_nobody_owns_is_one_alert_however_many_there_are(shop: Workshop) -> None:
    await shop.hear(unowned(3, at=NOON), unowned(240, at=NOON + MINUTE))
    [alert] = await shop.alerts.page(only={}, after=None, limit=10, caller=CALLER)
    assert (alert.problem, alert.severity) == ("unowned", "warning")
    assert alert.summary == "240 certificates in use without an owner"
    assert "not owner" in alert.details["next_step"]
    await shop.hear(owned(at=NOON + 2 * MINUTE), unowned(1, at=NOON + MINUTE))
    [alert] = await shop.alerts.page(only={}, after=None, limit=10, caller=CALLER)
    assert (alert.state, alert.resolved_because) == ("resolved", "They were given one, or are out of use.")
    assert await shop.emitted() == ["alert.opened", "alert.resolved"]


async def test_an_alert_says_who_owns_the_certificate(small_shop: Workshop) -> None:
    owner = Owner(id="web", name="Web", contacts=[Contact(kind="email", value="web@example.test")])
    await small_shop.hear(expiring().model_copy(update={"owner": owner}))
    alert = await small_shop.alert(problem="expiring")
    assert alert.details["owner"] == "Web, web@example.test"


async def test_an_issuer_near_its_end_is_one_alert_that_gets_worse_until_nothing_in_use_is_under_it(
    small_shop: Workshop,
) -> None:
    await small_shop.hear(authority_expiring(Urgency.RENEW))
    assert await small_shop.alerts.page(only={}, after=None, limit=10, caller=CALLER) == []
    await small_shop.hear(authority_expiring(), authority_expiring(Urgency.ERROR, at=NOON + MINUTE))
    alert = await small_shop.alert(problem="authority-expiring")
    assert (alert.state, alert.severity) == ("open", "error")
    assert alert.summary.startswith("The issuer CN=Issuing CA 1 expires in ")
    await small_shop.hear(authority_cleared(at=NOON + 2 * MINUTE))
    alert = await small_shop.alert(problem="authority-expiring")
    assert (alert.state, alert.resolved_because) == ("resolved", "Nothing in use is under it any more.")


async def test_a_broken_policy_is_one_alert_of_its_lineage_whatever_rules_are_broken(shop: Workshop) -> None:
    await shop.hear(noncompliant("TLSv1"), noncompliant("TLSv1", "RC4", at=NOON + MINUTE))
    alert = await shop.alert(problem="noncompliant")
    assert (alert.state, alert.severity, alert.lineage_id) == ("open", "error", "lineage-1")
    assert alert.summary == "shop.example.test breaks House rules: No TLSv1; No RC4"
    assert alert.details["reason"] == "TLSv1: offers TLSv1. RC4: offers RC4."
    assert alert.details["next_step"] == "Switch TLSv1 off. Switch RC4 off."
    assert (alert.details["policy"], alert.details["place_count"]) == ("House rules", 3)

    await shop.hear(noncompliant("TLSv1", policy="other"), compliant(at=NOON + 2 * MINUTE))
    states = {
        row.subject: row.state for row in await shop.alerts.page(only={}, after=None, limit=10, caller=CALLER)
    }
    assert sorted(states.values()) == ["open", "resolved"], "the other policy's alert stands"
    resolved = next(
        row for row in await shop.alerts.page(only={"state": "resolved"}, after=None, limit=10, caller=CALLER)
    )
    assert resolved.resolved_because == "Every place was seen to keep to it."


async def test_what_is_heard_of_a_policy_after_its_end_opens_nothing(small_shop: Workshop) -> None:
    await small_shop.hear(compliant(at=NOON + MINUTE), noncompliant("TLSv1"))
    assert await small_shop.alerts.page(only={}, after=None, limit=10, caller=CALLER) == []
    await small_shop.hear(noncompliant("TLSv1", severity=RuleSeverity.LOW, at=NOON + 2 * MINUTE))
    assert (await small_shop.alert(problem="noncompliant")).severity == "info"
