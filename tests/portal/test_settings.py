"""What administrators set: keys of machines, where credentials lie, and which programs are told of events."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect
from pydantic import SecretStr

from shared.clock import utc_now
from shared.webhooks import key_of, verified
from tests.journeys.platforms import Platform, accepted, items, until
from tests.portal.visits import add, choose, done, opened, section, text, visit
from tests.servers.tls import LOOPBACK, CertificateAuthority
from tests.servers.vault import Vault
from tests.servers.vault.kv import KeyValue
from tests.servers.webhook import Webhook


@pytest.fixture
def client(platform: Platform) -> Iterator[httpx.Client]:
    """The platform's APIs, asked by an administrator."""
    with platform.client() as opened_client:
        yield opened_client


@pytest.fixture
def vault(tmp_path: Path, lab_ca: CertificateAuthority) -> Iterator[Vault]:
    """A Vault with a key-value engine."""
    started = Vault(context=lab_ca.issue(*LOOPBACK).server_context(tmp_path / "vault"))
    started.mounts["secret"] = KeyValue()
    started.policies["everleaf"] = {"secret/data/everleaf/*": ("read",)}
    started.start()
    yield started
    started.stop()


def test_an_api_key_is_shown_once_and_is_worth_nothing_once_it_is_revoked(
    page: Page, platform: Platform, client: httpx.Client
):
    def exchanged(key: str) -> int:
        answer = httpx.post(
            f"{platform.url}/inventory/v1/tokens", json={}, headers={"Authorization": f"Bearer {key}"}
        )
        return answer.status_code

    body = {"name": "nightly", "kind": "machine", "roles": ["viewer"]}
    accepted(client.post("/inventory/v1/principals", json=body))
    visit(page, platform, "/settings")
    row = page.get_by_role("row").filter(has_text="nightly")
    form = opened(row, "New API key")
    form.get_by_role("button", name="New API key").click()
    expect(form.get_by_text("Shown this once")).to_be_visible()
    key = form.locator("code").inner_text()
    assert exchanged(key) == HTTPStatus.OK
    form.get_by_role("button", name="Close").click()
    expect(form).to_have_count(0)
    assert key not in page.content()

    row.get_by_role("link", name="nightly").click()
    keys = page.get_by_role("region", name="API keys")
    expect(keys.get_by_role("button", name="Revoke")).to_be_visible()
    assert key not in page.content()
    done(opened(keys, "Revoke"), "Revoke")
    expect(keys.get_by_text("revoked")).to_be_visible()
    assert exchanged(key) == HTTPStatus.UNAUTHORIZED


def test_a_secret_store_is_made_known_tried_out_and_given_another_credential_that_is_never_shown(
    page: Page, platform: Platform, client: httpx.Client, vault: Vault, lab_ca: CertificateAuthority
):
    role, secret = vault.new_role("everleaf")
    section(page, platform, "/settings", "Secret stores")
    form = opened(page, "New secret store")
    text(form, "Name").fill("keeper")
    choose(form, "Kind", "vault-kv")
    text(form, "URL").fill(vault.url)
    text(form, "Trusted CA").fill(lab_ca.pem.decode())
    text(form, "Role ID").fill(role)
    text(form, "Secret ID").fill("of somebody else")
    done(form, "New secret store")
    row = page.get_by_role("row").filter(has_text="keeper")

    tried = opened(row, "Try it out")
    tried.get_by_role("button", name="Try it out").click()
    expect(tried.get_by_text("It does not work yet")).to_be_visible()
    tried.get_by_role("button", name="Close").click()
    other = opened(row, "New credential")
    text(other, "Role ID").fill(role)
    text(other, "Secret ID").fill(secret)
    done(other, "New credential")
    tried = opened(row, "Try it out")
    tried.get_by_role("button", name="Try it out").click()
    expect(tried.get_by_text("It works")).to_be_visible()
    assert secret not in page.content()
    tried.get_by_role("button", name="Close").click()

    done(opened(row, "Remove"), "Remove")
    expect(row).to_have_count(0)
    assert items(client, "/discovery/v1/secret-stores", name="keeper") == []


def test_a_program_subscribes_is_sent_signed_events_has_them_again_and_is_told_no_more(
    page: Page, platform: Platform, client: httpx.Client, webhook: Webhook
):
    section(page, platform, "/settings", "Machines that listen")
    form = opened(page, "New subscription")
    text(form, "Name").fill("CMDB")
    choose(form, "Way", "webhook")
    add(form, "Types", "certificate.renewed")
    add(form, "Names", "*.subscribed.test")
    text(form, "URL").fill(webhook.url)
    form.get_by_role("button", name="New subscription").click()
    expect(form.get_by_text("Shown this once")).to_be_visible()
    key = key_of(SecretStr(form.locator("code").inner_text()))
    form.get_by_role("button", name="Close").click()

    accepted(client.post("/renewal/v1/authorities", json={"name": "subscribed-ca", "kind": "builtin"}))
    terms = {"name": "subscribed", "authority": "subscribed-ca", "allowed_names": ["*.subscribed.test"]}
    accepted(client.post("/renewal/v1/profiles", json=terms))
    order = {"names": ["a.subscribed.test"], "profile": "subscribed"}
    accepted(client.post("/renewal/v1/orders", json=order))
    until(lambda: webhook.requests, what="the event")
    row = page.get_by_role("row").filter(has_text="CMDB")
    expect(row).to_contain_text("active")
    again = opened(row, "Hand over again")
    text(again, "Since").fill(f"{datetime.now(UTC).astimezone() - timedelta(hours=1):%Y-%m-%dT%H:%M}")
    done(again, "Hand over again")
    until(lambda: len(webhook.requests) > 1, what="the same event")
    for each in webhook.requests:
        verified(each.body, each.headers, key=key, now=utc_now())
    events = [json.loads(each.body) for each in webhook.requests]
    assert {event["type"] for event in events} == {"certificate.renewed"}
    assert len({event["id"] for event in events}) == 1

    done(opened(row, "Remove"), "Remove")
    expect(row).to_have_count(0)
    assert items(client, "/notifier/v1/subscriptions", name="CMDB") == []


def test_a_program_that_asks_by_itself_is_told_where(page: Page, platform: Platform):
    section(page, platform, "/settings", "Machines that listen")
    form = opened(page, "New subscription")
    text(form, "Name").fill("asks by itself")
    choose(form, "Way", "poll")
    form.get_by_role("button", name="New subscription").click()
    expect(form.get_by_text("GET /notifier/v1/subscriptions/")).to_be_visible()
    form.get_by_role("button", name="Close").click()
    row = page.get_by_role("row").filter(has_text="asks by itself")
    done(opened(row, "Remove"), "Remove")
    expect(row).to_have_count(0)
