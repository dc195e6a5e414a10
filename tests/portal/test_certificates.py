"""Questions about certificates are kept and asked again, and what they find leaves as a file."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.journeys.platforms import Platform, accepted, items
from tests.portal.conftest import HOSTILE, SIZE
from tests.portal.visits import arrived, in_light_and_dark, person, sign_in, upload, visit
from tests.servers.tls import CertificateAuthority

NAMES = ("a.kept.test", "b.kept.test")
QUERY = "name under kept.test"
FILES: dict[str, tuple[str, Callable[[str], list[str]]]] = {
    "CSV": ("certificates.csv", lambda text: [row["names"] for row in csv.DictReader(io.StringIO(text))]),
    "JSON": ("certificates.json", lambda text: [row["names"][0] for row in json.loads(text)]),
    "NDJSON": (
        "certificates.ndjson",
        lambda text: [json.loads(line)["names"][0] for line in text.splitlines()],
    ),
    "CBOM": ("certificates.cdx.json", lambda text: certified(json.loads(text))),
}
"""What each file is called, and the names that are in it."""


def certified(bill: dict[str, Any]) -> list[str]:
    """Return the subjects of the certificates in a CBOM."""
    properties = [each.get("cryptoProperties", {}) for each in bill["components"]]
    subjects = [
        each["certificateProperties"]["subjectName"] for each in properties if "certificateProperties" in each
    ]
    return [subject.removeprefix("CN=") for subject in subjects]


@pytest.fixture(scope="module")
def client(platform: Platform, lab_ca: CertificateAuthority) -> Iterator[httpx.Client]:
    """The platform's APIs, and two certificates to ask for."""
    with platform.client() as opened:
        for name in NAMES:
            issued = lab_ca.issue(name)
            upload(opened, name, issued.chain_pem)
            arrived(opened, issued.fingerprint)
        yield opened


def ask(page: Page, platform: Platform, query: str) -> None:
    visit(page, platform, "/certificates")
    box = page.get_by_role("combobox", name="Query")
    box.fill(query)
    box.press("Enter")


def begin_export(page: Page, kind: str) -> None:
    page.get_by_role("button", name="Export").click()
    page.get_by_role("menuitem", name=kind).first.click()


def exported(page: Page, kind: str) -> tuple[str, str, list[str]]:
    """Return where a file came from, what it is called, and the names in it."""
    with page.expect_download() as download:
        begin_export(page, kind)
    text = Path(download.value.path()).read_text()
    return download.value.url, download.value.suggested_filename, sorted(FILES[kind][1](text))


def test_a_query_is_saved_under_a_name_asked_again_renamed_and_forgotten(
    page: Page, platform: Platform, client: httpx.Client
):
    ask(page, platform, QUERY)
    expect(page.get_by_text("2 certificates", exact=True)).to_be_visible()
    page.get_by_role("button", name="Save this query").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Name").fill(HOSTILE)
    form.get_by_role("button", name="Save this query").click()
    expect(form).to_have_count(0)
    [kept] = items(client, "/inventory/v1/saved-queries", name=HOSTILE)
    assert (kept["query"], kept["is_shared"]) == (QUERY, False)

    visit(page, platform, "/certificates")
    page.get_by_role("button", name="Saved queries").click()
    page.get_by_role("menuitem", name=HOSTILE).click()
    expect(page.get_by_role("combobox", name="Query")).to_have_value(QUERY)
    expect(page.get_by_text("2 certificates", exact=True)).to_be_visible()

    page.get_by_role("button", name="Saved queries").click()
    page.get_by_role("menuitem", name="All of them").click()
    row = page.get_by_role("row").filter(has_text=HOSTILE)
    expect(row).to_contain_text("admin")
    row.get_by_role("button", name="Change").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Name").fill("what is kept")
    form.get_by_role("button", name="Change").click()
    row = page.get_by_role("row").filter(has_text="what is kept")
    row.get_by_role("link", name="what is kept").click()
    expect(page.get_by_text("2 certificates", exact=True)).to_be_visible()
    page.go_back()
    row.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
    assert items(client, "/inventory/v1/saved-queries", id=kept["id"]) == []
    assert page.locator("img[src=x]").count() == 0


def test_what_others_share_can_be_asked_and_not_changed(
    browser: Browser, platform: Platform, client: httpx.Client, axe: str
):
    body = {"name": "for everybody", "query": QUERY, "is_shared": True}
    accepted(client.post("/inventory/v1/saved-queries", json=body))
    with browser.new_context(viewport=SIZE, reduced_motion="reduce") as context:
        page = context.new_page()
        sign_in(page, platform, person(client, "ines", "viewer"))
        visit(page, platform, "/saved-queries")
        row = page.get_by_role("row").filter(has_text="for everybody")
        expect(row).to_be_visible()
        expect(row.get_by_role("button")).to_have_count(0)
        assert in_light_and_dark(page, axe) == []
        row.get_by_role("link").click()
        expect(page.get_by_text("2 certificates", exact=True)).to_be_visible()


@pytest.mark.parametrize("kind", FILES)
def test_what_a_query_finds_is_a_file_that_comes_by_the_session_and_no_token_is_in_any_address(
    page: Page, platform: Platform, client: httpx.Client, kind: str
):
    addresses: list[str] = []
    page.context.on("request", lambda request: addresses.append(request.url))
    ask(page, platform, QUERY)
    expect(page.get_by_text("2 certificates", exact=True)).to_be_visible()
    before = page.url
    url, name, found = exported(page, kind)
    assert (name, found) == (FILES[kind][0], list(NAMES))
    asked = urlsplit(url)
    assert asked.path.startswith("/downloads/inventory/v1/")
    assert parse_qs(asked.query)["query"] == [QUERY]
    assert page.url == before  # the page has stayed
    expect(page.get_by_role("alert")).to_have_count(0)
    token = (platform.data / "admin.token").read_text().strip()
    assert [each for each in (*addresses, url) if "eyJ" in each or token in each] == []


@pytest.mark.parametrize("name", ["Saved queries", "Export", "Columns"])
def test_a_menu_of_the_list_is_for_everybody(
    page: Page, platform: Platform, client: httpx.Client, axe: str, name: str
):
    visit(page, platform, "/certificates")
    page.get_by_role("button", name=name).press("Enter")
    expect(page.locator("[role^=menuitem]").first).to_be_focused()
    assert in_light_and_dark(page, axe) == []


def test_where_no_worker_may_help_the_file_comes_all_the_same(
    browser: Browser, platform: Platform, client: httpx.Client, session: StorageState
):
    with browser.new_context(viewport=SIZE, storage_state=session, service_workers="block") as context:
        page = context.new_page()
        ask(page, platform, QUERY)
        expect(page.get_by_text("2 certificates", exact=True)).to_be_visible()
        url, name, found = exported(page, "CSV")
    assert (url.partition(":")[0], name, found) == ("blob", "certificates.csv", list(NAMES))


def test_an_export_that_is_refused_says_why_and_the_page_stays(
    browser: Browser, platform: Platform, client: httpx.Client
):
    with browser.new_context(viewport=SIZE, reduced_motion="reduce") as context:
        page = context.new_page()
        sign_in(page, platform)
        ask(page, platform, QUERY)
        expect(page.get_by_text("2 certificates", exact=True)).to_be_visible()
        context.clear_cookies()
        begin_export(page, "CSV")
        expect(page.get_by_role("alert")).to_contain_text("Nobody is signed in")
        expect(page.get_by_role("heading", level=1)).to_have_text("Certificates")
