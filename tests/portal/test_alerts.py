"""Whom an alert is told is decided in the portal: put off, muted, and told again."""

import base64
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.journeys.platforms import Json, Platform, accepted, items, until
from tests.portal.visits import done, opened, text, upload, visit
from tests.servers.tls import CertificateAuthority
from tests.servers.webhook import Webhook

NAME = "soon.alerts.test"


@pytest.fixture
def client(platform: Platform) -> Iterator[httpx.Client]:
    """The platform's APIs, asked by an administrator."""
    with platform.client() as opened_client:
        yield opened_client


@pytest.fixture
def told(client: httpx.Client, webhook: Webhook) -> Iterator[Webhook]:
    """Who is told, for as long as the test takes."""
    body = {
        "name": "told of alerts",
        "kind": "webhook",
        "options": {"url": webhook.url},
        "secrets": {"signing_secret": "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()},
    }
    made = accepted(client.post("/notifier/v1/channels", json=body))
    yield webhook
    assert client.delete(f"/notifier/v1/channels/{made['id']}").is_success


@pytest.fixture
def alert(client: httpx.Client, told: Webhook, lab_ca: CertificateAuthority) -> Json:
    """An open alert of a certificate that ends in three days, of which somebody was told."""
    now = datetime.now(UTC)
    issued = lab_ca.issue(NAME, not_before=now - timedelta(days=87), not_after=now + timedelta(days=3))
    upload(client, "soon", issued.chain_pem)
    until(lambda: _told(told), what="the alert")
    return _alert(client)


def _alert(client: httpx.Client) -> Json:
    [found] = [
        each
        for each in items(client, "/notifier/v1/alerts", state="open", problem="expiring")
        if NAME in each["details"]["names"]
    ]
    return dict(found)


def _told(webhook: Webhook) -> int:
    return sum(NAME.encode() in each.body for each in webhook.requests)


def test_an_alert_that_was_put_off_or_muted_is_woken_and_told_again(
    page: Page, platform: Platform, client: httpx.Client, alert: Json, told: Webhook
):
    visit(page, platform, "/alerts")
    row = page.get_by_role("row").filter(has_text=NAME)
    for label, field, word in (
        ("Snooze for a week", "snoozed_until", "put off"),
        ("Mute", "muted_at", "muted"),
    ):
        row.get_by_role("link").click()
        expect(page.get_by_role("button", name="Wake")).to_have_count(0)
        form = opened(page, label)
        text(form, "Reason").fill("it is being moved")
        done(form, label)
        expect(page.get_by_role("button", name="Wake")).to_be_visible()
        assert _alert(client)[field] is not None
        page.go_back()
        expect(row).to_contain_text(word)
        row.get_by_role("link").click()
        before = _told(told)
        done(opened(page, "Wake"), "Wake")
        expect(page.get_by_role("button", name="Wake")).to_have_count(0)
        until(lambda before=before: _told(told) > before, what="that it is told again")
        woken = _alert(client)
        assert (woken["id"], woken[field]) == (alert["id"], None)
        page.go_back()
        expect(row).to_contain_text("open")
