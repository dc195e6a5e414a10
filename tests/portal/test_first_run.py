"""From nothing to the first renewal, by what the portal alone shows: nobody reads the documentation of an API."""

import base64
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.journeys.platforms import Embedded, Platform, until
from tests.portal.conftest import SIZE
from tests.portal.visits import add, choose, done, opened, text, visit
from tests.servers.nginx import Nginx, Site
from tests.servers.tls import CertificateAuthority
from tests.servers.webhook import Webhook

NAME = "shop.first.test"
OVER_MS = 90_000


@pytest.fixture
def empty_platform(tmp_path: Path) -> Iterator[Platform]:
    """A platform that knows nothing."""
    started = Embedded(tmp_path / "platform", environ={})
    started.start()
    yield started
    started.stop()


@pytest.fixture
def site(tmp_path: Path, lab_ca: CertificateAuthority) -> Iterator[Site]:
    """A web server whose certificate of 90 days has 3 left."""
    now = datetime.now(UTC)
    nginx = Nginx(tmp_path / "nginx", ca=lab_ca)
    issued = lab_ca.issue(NAME, not_before=now - timedelta(days=87), not_after=now + timedelta(days=3))
    made = nginx.add_site(NAME, issued=issued)
    nginx.start()
    yield made
    nginx.stop()


def test_from_nothing_to_the_first_scan_owner_alert_and_automated_renewal(
    browser: Browser, empty_platform: Platform, site: Site, webhook: Webhook
):
    with browser.new_context(viewport=SIZE) as context:
        page = context.new_page()
        page.goto(empty_platform.url)
        token = (empty_platform.data / "admin.token").read_text()
        page.get_by_label("API key or token").fill(token)
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Welcome")
        visit(page, empty_platform, "/first-steps")
        steps = [page.get_by_role("region", name=re.compile(f"^{title}")) for title in TITLES]

        text(steps[0], "Targets").fill("127.0.0.1")
        text(steps[0], "Ports").fill(str(site.port))
        steps[0].get_by_role("button", name="Scan", exact=True).click()
        expect(steps[0].get_by_text("done", exact=True)).to_be_visible(timeout=OVER_MS)

        team = opened(page, "New team")
        text(team, "Name").fill("Payments")
        done(team, "New team")
        rule = opened(page, "New rule of ownership")
        text(rule, "Name").fill("ours")
        text(rule, "Query").fill("name under first.test")
        choose(rule, "Owner", "Payments")
        done(rule, "New rule of ownership")
        done(opened(page, "Apply them now"), "Apply them now")
        expect(steps[1].get_by_text("done", exact=True)).to_be_visible(timeout=OVER_MS)

        visit(page, empty_platform, "/alerts")
        expect(page.get_by_role("region", name="Alerts")).to_contain_text(NAME, timeout=OVER_MS)
        visit(page, empty_platform, "/first-steps")
        channel = opened(page, "New channel")
        text(channel, "Name").fill("hook")
        choose(channel, "Kind", "webhook")
        text(channel, "URL").fill(webhook.url)
        channel.get_by_label("Signing secret").fill(
            "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        )
        done(channel, "New channel")
        expect(steps[2].get_by_text("done", exact=True)).to_be_visible(timeout=OVER_MS)
        already = opened(page, "Tell what is open")
        already.get_by_role("button", name="Tell what is open").click()
        expect(already.get_by_text("They are on their way.")).to_be_visible(timeout=OVER_MS)
        already.get_by_role("button", name="Close").click()
        until(lambda: any(NAME.encode() in each.body for each in webhook.requests), what="what was open")

        page.get_by_role("link", name="Settings", exact=True).first.click()
        page.get_by_role("tab", name="Channels").click()
        trial = opened(page, "Send a test")
        trial.get_by_role("button", name="Send a test").click()
        expect(trial.get_by_text("It was delivered")).to_be_visible(timeout=OVER_MS)
        assert any(b"a test of the channel hook" in each.body for each in webhook.requests)

        visit(page, empty_platform, "/first-steps")
        authority = opened(page, "New authority")
        text(authority, "Name").fill("house-ca")
        choose(authority, "Kind", "builtin")
        done(authority, "New authority")
        profile = opened(page, "New profile")
        text(profile, "Name").fill("web")
        choose(profile, "Authority", "house-ca")
        add(profile, "Allowed names", "*.first.test")
        done(profile, "New profile")
        steps[3].get_by_role("button", name="Have it renewed by itself").first.click()
        done(page.get_by_role("dialog"), "Have it renewed by itself")
        expect(steps[3].get_by_text("done", exact=True)).to_be_visible(timeout=OVER_MS)

        page.goto(empty_platform.url + "/renewal")
        page.get_by_role("tab", name="Orders").click()
        expect(page.get_by_role("row").filter(has_text=NAME)).to_contain_text("renewed", timeout=OVER_MS)
        visit(page, empty_platform, "/")
        expect(page.get_by_role("link", name="First steps")).to_have_count(0)
        visit(page, empty_platform, "/certificates")
        expect(page.get_by_role("row").filter(has_text=NAME).first).to_contain_text(
            "Payments", timeout=OVER_MS
        )


TITLES = ("Find what there is", "Say who owns what", "Say who is told", "Have one renewed by itself")
