"""What operators do day by day: arrange what they look at, change many at once, ask, replace, and decide."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.journeys.estate import known, scan
from tests.journeys.platforms import Platform, accepted, items, until
from tests.journeys.test_a_canary_that_fails_stops_the_rollout import bound
from tests.journeys.test_a_distrusted_ca_is_replaced_as_one_job import verified
from tests.portal.conftest import SIZE
from tests.portal.visits import choose, person, sign_in, upload, visit
from tests.servers.nginx import StartNginx
from tests.servers.ssh import Sshd
from tests.servers.tls import CertificateAuthority, fingerprint

NAMES = ("a.work.test", "b.work.test", "c.work.test")
OVER_MS = 90_000
"""How long a machine may take that has much else to do."""


@pytest.fixture(scope="module")
def client(platform: Platform, lab_ca: CertificateAuthority) -> Iterator[httpx.Client]:
    """The platform's APIs; three certificates more, and who renews them: at once, or with another's word."""
    with platform.client() as opened:
        for name in NAMES:
            upload(opened, name, lab_ca.issue(name).chain_pem)
        path = "/inventory/v1/certificates/count"
        until(
            lambda: accepted(opened.get(path, params={"query": "name under work.test"}))["count"] == 3,
            what="their way into the inventory",
        )
        accepted(opened.post("/renewal/v1/authorities", json={"name": "house-ca", "kind": "builtin"}))
        for name, approvals in (("at-once", 0), ("with-a-word", 1)):
            body = {"name": name, "authority": "house-ca", "allowed_names": [f"*.{name}.test"]}
            accepted(opened.post("/renewal/v1/profiles", json={**body, "approvals_needed": approvals}))
        yield opened


def asked(page: Page, platform: Platform, query: str) -> None:
    """Ask for certificates by a query."""
    visit(page, platform, "/certificates")
    box = page.get_by_role("combobox", name="Query")
    box.fill(query)
    box.press("Enter")


def test_widgets_are_arranged_and_stay_so_for_whom_they_were_arranged(
    page: Page, platform: Platform, client: httpx.Client
):
    def shown() -> list[str]:
        expect(page.get_by_role("button", name="Arrange")).to_be_enabled()
        return list(page.locator("[data-widget]").evaluate_all("all => all.map(e => e.dataset.widget)"))

    as_it_comes = shown()
    page.get_by_role("button", name="Arrange").click()
    page.get_by_role("button", name="Last scans: earlier").click()
    page.get_by_role("button", name="Grades: hide").click()
    page.get_by_role("button", name="Automation: other width").click()
    page.get_by_role("button", name="Keep it so").click()
    kept = [each for each in as_it_comes if each not in ("grades", "campaigns", "scans")]
    expected = [*kept, "scans", "campaigns"]
    assert shown() == expected
    page.reload()
    assert shown() == expected
    cards = accepted(client.get("/inventory/v1/arrangements/overview"))["cards"]
    assert [each["width"] for each in cards if each["id"] == "automation"] == [8]
    page.get_by_role("button", name="Arrange").click()
    page.get_by_role("button", name="As it comes").click()
    expect(page.locator("[data-widget=grades]")).to_be_visible()
    assert shown() == as_it_comes


def test_a_query_is_completed_field_by_field_and_choice_by_choice(
    page: Page, platform: Platform, client: httpx.Client
):
    visit(page, platform, "/certificates")
    box = page.get_by_role("combobox", name="Query")
    box.press_sequentially("revoc")
    page.get_by_role("option", name="revocation", exact=True).click()
    expect(box).to_have_value("revocation")
    box.press("End")
    box.press_sequentially(" = revo")
    page.get_by_role("option", name="revocation = revoked", exact=True).click()
    box.press("Enter")  # nothing is there to be chosen any more: it asks
    expect(page.get_by_text("No certificate answers this question.")).to_be_visible()


def test_what_was_chosen_is_changed_all_at_once(page: Page, platform: Platform, client: httpx.Client):
    team = accepted(client.post("/inventory/v1/teams", json={"name": "Payments"}))
    asked(page, platform, "name under work.test")
    expect(page.get_by_text("3 certificates", exact=True)).to_be_visible()
    for name in NAMES[:2]:
        page.get_by_role("row").filter(has_text=name).get_by_role("checkbox").check()
    expect(page.get_by_text("2 chosen")).to_be_visible()
    page.get_by_role("button", name="Change the chosen").click()
    form = page.get_by_role("dialog")
    choose(form, "Owner", "Payments")
    form.get_by_label("Add tags").fill("by-hand")
    form.get_by_label("Add tags").press("Enter")
    form.get_by_role("button", name="Change 2 certificates").click()
    expect(form.get_by_text("Changed: 2 certificates.")).to_be_visible()
    form.get_by_role("button", name="Close").click()
    for name in NAMES[:2]:
        expect(page.get_by_role("row").filter(has_text=name)).to_contain_text("Payments")
    expect(page.get_by_role("row").filter(has_text=NAMES[2])).to_contain_text("nobody")
    owned = {"query": f'owner = "{team["id"]}" and tag = by-hand'}
    assert accepted(client.get("/inventory/v1/certificates/count", params=owned))["count"] == 2


def test_an_alert_is_made_of_what_a_query_finds(page: Page, platform: Platform, client: httpx.Client):
    asked(page, platform, "name = c.work.test")
    expect(page.get_by_text("1 certificate", exact=True)).to_be_visible()
    page.get_by_role("button", name="Alert me of these").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Name").fill("mine to watch")
    form.get_by_role("button", name="Make the alert").click()
    expect(form).to_have_count(0)
    [group] = items(client, "/inventory/v1/groups", name="mine to watch")
    [rule] = items(client, "/notifier/v1/rules", name="mine to watch")
    assert "name = c.work.test" in group["rule"]
    assert rule["groups"] == [group["id"]]
    assert rule["plan"]["thresholds"]


def test_a_campaign_is_planned_approved_by_somebody_else_and_followed_until_all_is_in_place_and_reported(
    browser: Browser,
    page: Page,
    platform: Platform,
    client: httpx.Client,
    start_nginx: StartNginx,
    sshd: Sshd,
    tmp_path: Path,
):
    nginx = start_nginx("shop.at-once.test")
    [site] = nginx.sites
    scan(client, site)
    lineage = known(client, site)["lineage_id"]
    bound(client, sshd, nginx, lineage_id=lineage, reload=nginx.reload_command)
    before = fingerprint(site.served())
    asked(page, platform, "name under at-once.test")
    expect(page.get_by_role("link", name="shop.at-once.test")).to_be_visible(timeout=OVER_MS)
    visit(page, platform, "/campaigns")
    page.get_by_role("button", name="Plan a campaign").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Name", exact=False).first.fill("leave the lab")
    form.get_by_label("Query").fill("name under at-once.test or name = c.work.test")
    form.get_by_label("Reason").fill("Its root is distrusted.")
    form.get_by_role("button", name="Plan a campaign").click()
    page.get_by_role("link", name="leave the lab").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("leave the lab")
    facts = page.get_by_role("region", name="What it is").get_by_role("definition")
    expect(facts.filter(has_text=re.compile("^admin$"))).to_be_visible()  # by whom, and not by which id
    expect(page.get_by_role("region", name="By hand")).to_contain_text("1 certificate", timeout=OVER_MS)
    rows = page.get_by_role("region", name="Certificates of the campaign")
    expect(rows.get_by_role("row").filter(has_text="shop.at-once.test")).to_contain_text("planned")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    expect(page.get_by_role("main")).to_contain_text("awaiting approval")

    decide(browser, platform, person(client, "ada", "approver"), what="campaign")
    row = rows.get_by_role("row").filter(has_text="shop.at-once.test")
    expect(row).to_contain_text("replaced", timeout=OVER_MS)
    expect(row).not_to_contain_text("not yet")
    expect(page.get_by_role("main")).to_contain_text("finished", timeout=OVER_MS)
    [order] = [each for each in items(client, "/renewal/v1/orders") if "shop.at-once.test" in each["names"]]
    assert fingerprint(site.served()) == order["fingerprint"] != before
    with page.expect_download() as download:
        page.get_by_role("button", name="Signed report").click()
    report, keys = Path(download.value.path()), tmp_path / "keys.json"
    keys.write_text(json.dumps(accepted(client.get("/renewal/v1/evidence-keys"))))
    assert order["fingerprint"] in report.read_text()
    assert verified(report, keys).returncode == 0


def test_an_approval_is_read_word_by_word_granted_in_the_inbox_and_by_nobody_who_asked(
    browser: Browser, page: Page, platform: Platform, client: httpx.Client
):
    # Who is signed in here asks, and can decide nothing of it.
    body = {"names": ["pay.with-a-word.test"], "profile": "with-a-word"}
    order = accepted(client.post("/renewal/v1/orders", json=body))
    visit(page, platform, "/approvals")
    expect(inbox(page).get_by_text("Nothing waits")).to_be_visible()
    decide(
        browser,
        platform,
        person(client, "ben", "approver"),
        what="order",
        shown="pay.with-a-word.test",
    )
    page.goto(f"{platform.url}/orders/{order['id']}")
    expect(page.get_by_role("main")).to_contain_text("renewed", timeout=OVER_MS)


def test_the_audit_trail_is_searched_by_who_whose_name_is_completed(
    browser: Browser, platform: Platform, client: httpx.Client
):
    person(client, "dora", "operator")
    credential = person(client, "olga", "auditor")
    with browser.new_context(viewport=SIZE) as context:
        page = context.new_page()
        sign_in(page, platform, credential)
        visit(page, platform, "/audit")
        trail = page.get_by_role("region", name="The audit trail")
        expect(trail.get_by_role("cell", name="olga", exact=True).first).to_be_visible(timeout=OVER_MS)
        box = page.get_by_role("combobox", name="Who")
        box.fill("MI")
        page.get_by_role("option", name="admin").click()
        page.get_by_role("button", name="Search").click()
        expect(trail.get_by_role("cell", name="olga", exact=True)).to_have_count(0)
        row = trail.get_by_role("row").filter(has_text="principal dora")
        expect(row.get_by_role("cell", name="admin", exact=True)).to_be_visible()
        row.get_by_text("fields").click()
        expect(row.get_by_text('name: "dora"')).to_be_visible()
        page.reload()
        expect(box).to_have_value("admin")


def inbox(page: Page) -> Locator:
    """Return what waits to be ordered, revoked or replaced."""
    return page.locator("section").filter(has_text="To order, revoke or replace")


def decide(browser: Browser, platform: Platform, credential: str, *, what: str, shown: str = "") -> None:
    """Sign in as somebody else, read what waits, and agree to it."""
    with browser.new_context(viewport=SIZE) as context:
        page = context.new_page()
        sign_in(page, platform, credential)
        visit(page, platform, "/approvals")
        inbox(page).get_by_role("link", name=what).first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text(f"Approval of a {what}")
        expect(page.get_by_role("region", name="Exactly what would be done")).to_contain_text(shown)
        # Who has asked is known by name to all who see that something was asked.
        expect(
            page.get_by_role("region", name="Who decides").get_by_text("admin", exact=True)
        ).to_be_visible()
        page.get_by_role("button", name="Grant").click()
        form = page.get_by_role("dialog")
        form.get_by_label("Reason").fill("CHG0042")
        form.get_by_role("button", name="Grant").click()
        expect(page.get_by_role("main")).to_contain_text("granted", timeout=OVER_MS)
