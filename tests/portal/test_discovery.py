"""What discovery reads and knows, and why something was missed."""

import httpx
from playwright.sync_api import Page, expect

from tests.journeys.platforms import Platform, accepted, items, until
from tests.portal.visits import choose, in_light_and_dark, visit
from tests.servers.ct_log import CtLog
from tests.servers.processes import free_port

OVER_MS = 60_000


def test_a_transparency_log_is_read_for_names_shown_changed_and_removed(
    page: Page, platform: Platform, ct_log: CtLog, axe: str
):
    ct_log.append("www.ct.test", "shop.ct.test", "www.elsewhere.test")
    ct_log.publish()
    visit(page, platform, "/discovery")
    page.get_by_role("tab", name="Transparency logs").click()
    page.get_by_role("button", name="Read a log").click()
    form = page.get_by_role("dialog")
    form.get_by_label("URL").fill(ct_log.url)
    form.get_by_label("Public key").fill(ct_log.public_key)
    form.get_by_label("Suffixes").fill("ct.test")
    form.get_by_label("Suffixes").press("Enter")
    choose(form, "Start", "beginning")
    form.get_by_role("button", name="Read a log").click()
    expect(form).to_have_count(0)
    row = page.get_by_role("row").filter(has_text=ct_log.url)
    expect(row).to_contain_text("current", timeout=OVER_MS)
    assert in_light_and_dark(page, axe) == []

    row.get_by_role("link", name=ct_log.url).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(ct_log.origin)
    expect(page.get_by_role("region", name="How far it is")).to_contain_text("100 % of 1 entries")
    expect(page.get_by_role("region", name="What is read")).to_contain_text("verified with its key")
    names = page.get_by_role("region", name="Names under ct.test")
    for name in ("www.ct.test", "shop.ct.test"):
        expect(names.get_by_role("row").filter(has_text=name)).to_contain_text("transparency")
    assert in_light_and_dark(page, axe) == []

    page.go_back()
    page.get_by_role("tab", name="Transparency logs").click()
    row.get_by_role("button", name="Change").click()
    form.get_by_label("Suffixes").fill("other.test")
    form.get_by_label("Suffixes").press("Enter")
    form.get_by_role("button", name="Change").click()
    expect(row).to_contain_text("ct.test and 1 more")
    row.get_by_role("button", name="Remove").click()
    form.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
    with platform.client() as client:
        assert items(client, "/discovery/v1/ct-logs", url=ct_log.url) == []

    # What it has told of stays known.
    page.get_by_role("tab", name="Names", exact=True).click()
    page.get_by_label("Under").fill("ct.test")
    page.get_by_role("button", name="Show").click()
    expect(names.get_by_role("link", name="shop.ct.test")).to_be_visible()
    assert in_light_and_dark(page, axe) == []


def test_why_something_was_missed_is_explained_with_what_to_do_before_and_after_a_scan(
    page: Page, platform: Platform, axe: str
):
    port = free_port()
    visit(page, platform, "/discovery")
    page.get_by_role("tab", name="Why was it missed?").click()
    page.get_by_label("Name or address").fill("127.0.0.1")
    page.get_by_label("Port").fill(str(port))
    page.get_by_role("button", name="Explain").click()
    told = page.get_by_role("region", name=f"127.0.0.1:{port}")
    expect(told).to_contain_text("never asked")
    expect(told).to_contain_text("scan")  # what to do
    assert in_light_and_dark(page, axe) == []
    with platform.client() as client:
        scanned(client, port)
    page.get_by_role("button", name="Explain").click()
    expect(told).to_contain_text("refused")
    expect(told).not_to_contain_text("never asked")


def scanned(client: httpx.Client, port: int) -> None:
    """Scan a port at which nobody listens."""
    body = {"targets": ["127.0.0.1"], "ports": str(port)}
    made = accepted(client.post("/discovery/v1/scans", json=body))
    path = f"/discovery/v1/scans/{made['id']}"
    until(lambda: accepted(client.get(path))["state"] == "finished", what="the end of the scan")
