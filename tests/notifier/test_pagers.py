"""What pages people goes by what they do here: it hears that somebody has taken an alert up, and pages nobody any more."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.notifier.workshop import CALLER, Workshop, expiring, replaced
from tests.servers.pagers import API_KEY, ROUTING_KEY, Opsgenie, PagerDuty
from tests.servers.tls import LOOPBACK, CertificateAuthority
from tests.servers.webhook import Webhook


@pytest.fixture
def pagers(tmp_path: Path, lab_ca: CertificateAuthority) -> Iterator[tuple[PagerDuty, Opsgenie]]:
    """An account of each."""
    context = lab_ca.issue(*LOOPBACK).server_context(tmp_path / "pagers")
    both = PagerDuty(context), Opsgenie(context)
    for each in both:
        each.api.start()
    yield both
    for each in both:
        each.api.stop()


async def test_an_acknowledgement_is_told_to_pagers_that_were_paged_and_to_nobody_else(
    small_shop: Workshop,
    pagers: tuple[PagerDuty, Opsgenie],
    webhook: Webhook,
    lab_ca: CertificateAuthority,
) -> None:
    pagerduty, opsgenie = pagers
    ca = lab_ca.pem.decode()
    for server, kind, secrets in (
        (pagerduty, "pagerduty", {"routing_key": ROUTING_KEY}),
        (opsgenie, "opsgenie", {"api_key": API_KEY}),
    ):
        await small_shop.channel(kind, kind, {"url": server.api.url, "ca_pem": ca}, secrets=secrets)
    await small_shop.webhook(webhook)
    await small_shop.hear(expiring())
    await small_shop.work()
    alert = await small_shop.alert(problem="expiring")
    late = {"url": pagerduty.api.url, "ca_pem": ca}
    await small_shop.channel("made later", "pagerduty", late, secrets={"routing_key": ROUTING_KEY})
    await small_shop.alerts.acknowledge(alert.id, text="on it", caller=CALLER, now=small_shop.clock())
    await small_shop.work()
    assert [event["event_action"] for event in pagerduty.events] == ["trigger", "acknowledge"]
    assert pagerduty.incidents == {alert.id: "acknowledged"}
    assert opsgenie.alerts[alert.id].is_acknowledged
    assert len(webhook.requests) == 1, "whoever does not page hears nothing"
    await small_shop.hear(replaced())
    await small_shop.work()
    assert pagerduty.incidents == {alert.id: "resolved"}
    assert opsgenie.alerts[alert.id].status == "closed"
    assert len(webhook.requests) == 2
