"""What people see and do, and what others try to make of it."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.journeys.platforms import Platform, accepted, until
from tests.portal.conftest import HOSTILE
from tests.portal.visits import (
    ROOMS,
    SECTIONS,
    in_light_and_dark,
    section,
    sign_in,
    upload,
    violations,
    visit,
)
from tests.servers.tls import CertificateAuthority


@pytest.mark.parametrize("path", ROOMS)
def test_a_room_has_no_serious_finding_of_accessibility_in_light_and_dark(
    page: Page, platform: Platform, axe: str, path: str
):
    visit(page, platform, path)
    assert in_light_and_dark(page, axe) == []


@pytest.mark.parametrize("path", SECTIONS)
def test_the_other_sections_of_a_room_have_no_serious_finding_of_accessibility(
    page: Page, platform: Platform, axe: str, path: str
):
    found = []
    for name in SECTIONS[path]:
        section(page, platform, path, name)
        found += [f"{name}, {each}" for each in in_light_and_dark(page, axe)]
    assert found == []


def test_a_section_has_an_address_that_leads_back_to_it(page: Page, platform: Platform):
    section(page, platform, "/settings", "Secret stores")
    page.reload()
    expect(page.get_by_role("tab", name="Secret stores")).to_have_attribute("aria-selected", "true")
    page.get_by_role("tab", name="Channels").click()
    page.go_back()
    expect(page.get_by_role("tab", name="Secret stores")).to_have_attribute("aria-selected", "true")
    visit(page, platform, "/settings")
    expect(page.get_by_role("tab", name="People and machines")).to_have_attribute("aria-selected", "true")


def test_the_overview_says_what_is_known_and_whether_tonight_is_safe(page: Page, platform: Platform):
    with platform.client() as client:
        current = accepted(client.get("/inventory/v1/summary"))["current"]
    expect(page.get_by_role("status")).to_contain_text("end within 30 days and nobody renews them")
    expect(page.get_by_role("link", name="Certificates in use")).to_contain_text(str(current))
    unhandled = page.get_by_role("region", name="Ends soon, and nobody renews it")
    expect(unhandled.get_by_role("link", name="shop.test")).to_be_visible()


def test_a_certificate_is_found_by_a_question_and_shown_with_all_that_is_known(
    page: Page, platform: Platform
):
    visit(page, platform, "/certificates")
    page.get_by_role("combobox", name="Query").fill("name = imap.test")
    page.get_by_role("combobox", name="Query").press("Enter")
    expect(page.get_by_text("1 certificate", exact=True)).to_be_visible()
    page.get_by_role("link", name="imap.test").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("imap.test")
    expect(page.get_by_role("cell", name="ring/1")).to_be_visible()
    page.get_by_role("tab", name="History").click()
    expect(page.get_by_role("region", name="What happened")).to_contain_text("found")


def test_certificates_that_have_ended_are_shown_to_those_who_ask(
    page: Page, platform: Platform, lab_ca: CertificateAuthority
):
    day = timedelta(days=1)
    ended = lab_ca.issue(
        "ended.test", not_before=datetime.now(UTC) - 2 * day, not_after=datetime.now(UTC) - day
    )
    with platform.client() as client:
        upload(client, "ring/ended", ended.chain_pem)
        found = {"query": "name = ended.test"}
        until(
            lambda: accepted(client.get("/inventory/v1/certificates/count", params=found))["count"] == 1,
            what="its way into the inventory",
        )
    visit(page, platform, "/certificates")
    old, new = (page.get_by_role("link", name=name, exact=True) for name in ("ended.test", "shop.test"))
    expect(new).to_be_visible()
    expect(old).to_have_count(0)
    page.get_by_role("link", name="Ended, and still in use").click()
    expect(old).to_be_visible()
    expect(new).to_have_count(0)
    visit(page, platform, "/certificates")
    page.get_by_role("button", name="Show all, also what has ended").click()
    expect(old).to_be_visible()
    expect(new).to_be_visible()
    page.get_by_role("link", name="Only what is current").click()
    expect(old).to_have_count(0)


def test_a_question_with_a_mistake_is_answered_with_where_it_is(page: Page, platform: Platform):
    visit(page, platform, "/certificates")
    page.get_by_role("combobox", name="Query").fill("expired < 30d")
    page.get_by_role("combobox", name="Query").press("Enter")
    expect(page.get_by_role("search")).to_contain_text("expired")
    expect(page.get_by_role("search")).to_contain_text("Column 1 of the query")


def test_a_scan_is_started_by_hand_and_shows_its_progress_and_what_came_of_every_address(
    page: Page, platform: Platform, axe: str
):
    visit(page, platform, "/discovery")
    page.get_by_label("Targets").fill("127.0.0.1")
    page.get_by_label("Ports").fill(platform.url.rpartition(":")[2])
    page.get_by_role("button", name="Scan", exact=True).click()
    row = page.get_by_role("row").filter(has_text="127.0.0.1")
    expect(row).to_contain_text("finished", timeout=30_000)
    row.get_by_role("link", name="127.0.0.1").click()
    expect(page.get_by_role("region", name="How far it is")).to_contain_text("1 of 1")
    expect(page.get_by_role("region", name="What came of it")).to_contain_text("denied by the operator")
    assert violations(page, axe) == []


def test_what_is_refused_says_what_to_do_next(page: Page, platform: Platform):
    visit(page, platform, "/discovery")
    page.get_by_label("Targets").fill("not a network!")
    page.get_by_role("button", name="Scan", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("not")


def test_markup_in_a_certificate_is_text_and_runs_nowhere(page: Page, platform: Platform):
    visit(page, platform, "/certificates")
    page.get_by_role("link", name=HOSTILE).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    assert page.locator("img[src=x]").count() == 0
    assert page.title() != "1"


def test_no_script_can_read_the_token_from_where_browsers_keep_things(page: Page, platform: Platform):
    token = (platform.data / "admin.token").read_text().strip()
    kept = page.evaluate(
        "() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"
    )
    assert token not in kept
    assert "eyJ" not in kept  # nor any other token
    assert "everleaf-session" not in kept


def test_a_reload_stays_signed_in_and_signing_out_ends_it(context: BrowserContext, platform: Platform):
    page = context.new_page()
    sign_in(page, platform)
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    cookies = context.cookies()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    context.add_cookies(cookies)  # type: ignore[arg-type] # what was read can be set
    page.reload()
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    sign_in(page, platform)  # the token that was signed in with is still good


def test_a_wrong_token_is_refused_with_its_reason(context: BrowserContext, platform: Platform):
    page = context.new_page()
    page.goto(platform.url)
    page.get_by_label("API key or token").fill("evl_wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("not accepted")


def test_no_other_page_can_frame_it_or_use_its_session(page: Page, platform: Platform):
    elsewhere = page.context.new_page()
    elsewhere.goto(platform.url.replace("127.0.0.1", "localhost") + "/livez")
    answered = elsewhere.evaluate(
        """async (url) => {
            const token = await fetch(url + "/inventory/v1/session/token", {method: "POST", credentials: "include"})
                .then((answer) => answer.status, () => "blocked");
            const frame = document.createElement("iframe");
            frame.src = url;
            document.body.append(frame);
            await new Promise((done) => { frame.onload = done; setTimeout(done, 3000); });
            return [token, frame.contentDocument === null];
        }""",
        platform.url,
    )
    assert answered == ["blocked", True]
    assert "Overview" not in [each.title() for each in elsewhere.frames[1:]]


def test_a_narrow_screen_has_the_rooms_behind_a_button(page: Page, platform: Platform):
    page.set_viewport_size({"width": 380, "height": 800})
    visit(page, platform, "/")
    page.get_by_role("button", name="Open the menu").click()
    page.get_by_role("link", name="Alerts", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Alerts")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_all_can_be_done_by_keyboard(page: Page, platform: Platform):
    visit(page, platform, "/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "main"


def test_an_address_that_leads_nowhere_says_so(page: Page, platform: Platform):
    page.goto(platform.url + "/nowhere")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is here")
