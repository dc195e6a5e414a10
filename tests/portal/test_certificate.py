"""The page of one certificate, section by section: what is shown, and what can be asked for there."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest
from cryptography import x509
from playwright.sync_api import Browser, Locator, Page, StorageState, expect

from tests.journeys.estate import found, scan
from tests.journeys.platforms import Json, Platform, accepted, items, until
from tests.portal.conftest import HOSTILE, SIZE
from tests.portal.visits import (
    arrived,
    choose,
    in_light_and_dark,
    open_certificate,
    person,
    sign_in,
    upload,
    visit,
)
from tests.servers.nginx import Nginx, Site
from tests.servers.tls import CertificateAuthority, fingerprint, new_key

NAME = "shop.page.test"
REASON = f"The tills of 2014 take nothing shorter {HOSTILE}."
OVER_MS = 90_000
"""How long a machine may take that has much else to do."""


@pytest.fixture(scope="module")
def issuer(lab_ca: CertificateAuthority) -> CertificateAuthority:
    """An intermediate whose name is markup."""
    return lab_ca.intermediate(f"Page CA {HOSTILE}")


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, issuer: CertificateAuthority, lab_ca: CertificateAuthority
) -> Iterator[Site]:
    """A server with a certificate of the intermediate; no host can have its second name, which is markup too."""
    nginx = Nginx(tmp_path_factory.mktemp("nginx"), ca=lab_ca)
    made = nginx.add_site(NAME, issued=issuer.issue(NAME, HOSTILE))
    nginx.start()
    yield made
    nginx.stop()


@pytest.fixture(scope="module")
def client(platform: Platform, site: Site) -> Iterator[httpx.Client]:
    """The platform's APIs; the site is scanned, its key is in a second certificate, and both last longer than a policy has it."""
    with platform.client() as opened:
        scan(opened, site)
        arrived(opened, site.issued.fingerprint)
        above = f"/inventory/v1/issuers/{fingerprint(site.issued.issuers[0])}"
        until(lambda: opened.get(above).is_success, what="what is known of the intermediate")
        rule = {
            "id": "ten-days",
            "title": f"At most ten days {HOSTILE}",
            "severity": "high",
            "demand": {"kind": "lifetime_at_most", "days": 10},
            "remedy": "Have it renewed by itself.",
        }
        house = {"id": "house", "title": "House rules", "rules": [rule]}
        accepted(opened.post("/inventory/v1/policies", json=house))
        accepted(opened.post("/inventory/v1/policies/house/enable"))
        until(lambda: verdict(opened, site), what="the verdict of the policy")
        yield opened
        accepted(opened.post("/inventory/v1/policies/house/disable"))


def verdict(client: httpx.Client, site: Site) -> Json | None:
    """Return what came of the policy at the site, as soon as it is judged."""
    judged = accepted(
        client.get("/inventory/v1/assessments", params={"fingerprint": site.issued.fingerprint})
    )["items"]
    found = [each for place in judged for each in place["verdicts"] if each["policy"] == "house"]
    return found[0] if found else None


def region(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def test_the_chain_is_shown_with_what_is_wrong_and_leads_to_its_issuer(
    page: Page, platform: Platform, client: httpx.Client, site: Site, issuer: CertificateAuthority, axe: str
):
    open_certificate(page, platform, site.issued.fingerprint, section="Trust")
    chain = region(page, "Chain")
    expect(chain).to_contain_text("1 place", timeout=OVER_MS)
    expect(chain).to_contain_text("untrusted", timeout=OVER_MS)  # the test's root is in no store
    expect(chain).to_contain_text("untrusted:")
    assert in_light_and_dark(page, axe) == []
    chain.get_by_role("link", name=HOSTILE).click()
    expect(page).to_have_url(re.compile(f"/issuers/{fingerprint(issuer.certificate)}$"))
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Page CA {HOSTILE}")
    assert page.locator("img[src=x]").count() == 0


def test_the_key_is_shown_with_the_other_certificates_on_it(
    page: Page, platform: Platform, client: httpx.Client, lab_ca: CertificateAuthority
):
    key = new_key()
    one, other = (lab_ca.issue(name, key=key) for name in ("one.key.test", "other.key.test"))
    for each in (one, other):
        upload(client, f"key/{each.fingerprint}", each.chain_pem)
        arrived(client, each.fingerprint)
    shared = arrived(client, one.fingerprint)["key_fingerprint"]
    until(
        lambda: accepted(client.get(f"/inventory/v1/keys/{shared}"))["spread"]["certificates"] == 2,
        what="the count of what is on the key",
    )
    open_certificate(page, platform, one.fingerprint, section="Trust")
    section = region(page, "Key")
    expect(section).to_contain_text("These are on the same key")
    section.get_by_role("link", name="other.key.test").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("other.key.test")


def test_findings_are_shown_with_what_is_there_and_how_to_mend_it(
    page: Page, platform: Platform, client: httpx.Client, site: Site, axe: str
):
    path = f"/inventory/v1/certificates/{site.issued.fingerprint}/findings"
    [first, *_] = until(lambda: accepted(client.get(path))["findings"], what="the linter's findings")
    open_certificate(page, platform, site.issued.fingerprint, section="Rules")
    section = region(page, "Findings")
    expect(section).to_contain_text(first["rule"])
    expect(section).to_contain_text(first["evidence"].splitlines()[0])
    expect(page.get_by_role("tab", name=re.compile(r"^Rules \(\d+\)$"))).to_be_visible()
    assert in_light_and_dark(page, axe) == []


def test_an_exception_is_asked_for_where_a_policy_is_broken_approved_by_somebody_else_and_withdrawn(
    browser: Browser, page: Page, platform: Platform, client: httpx.Client, site: Site, axe: str
):
    open_certificate(page, platform, site.issued.fingerprint, section="Rules")
    section = region(page, "Policies")
    expect(section).to_contain_text(f"House rules: At most ten days {HOSTILE}")
    section.get_by_role("button", name="Ask for an exception").click()
    form = page.get_by_role("dialog")
    choose(form, "For", "one place")
    choose(form, "Place", site.address)
    expect(form.get_by_role("button", name="Ask for it")).to_be_disabled()
    form.get_by_label("Reason").fill(REASON)
    day = (datetime.now(UTC) + timedelta(days=30)).date()
    form.get_by_label("Until").fill(day.isoformat())
    assert in_light_and_dark(page, axe) == []
    form.get_by_role("button", name="Ask for it").click()
    expect(form).to_have_count(0)
    expect(section).to_contain_text("waits for a word")
    expect(section.get_by_role("button", name="Ask for an exception")).to_have_count(0)
    [wish] = items(client, "/inventory/v1/exceptions", policy_id="house")
    assert (wish["state"], wish["reason"], wish["scope"]["kind"]) == ("requested", REASON, "place")
    assert wish["ends_at"].startswith(day.isoformat())

    # Who has asked decides nothing.
    visit(page, platform, "/exceptions")
    row = page.get_by_role("row").filter(has_text="ten-days")
    expect(row.get_by_role("button", name="Withdraw")).to_be_visible()
    expect(row.get_by_role("button", name="Approve")).to_have_count(0)
    approve(browser, platform, person(client, "eva", "approver"))
    assert until(lambda: (verdict(client, site) or {}).get("is_by_exception"), what="the exception's effect")

    page.reload()
    expect(row).to_contain_text("approved")
    expect(row).to_contain_text("eva")
    expect(row).to_contain_text(f":{site.port}")
    assert in_light_and_dark(page, axe) == []
    open_certificate(page, platform, site.issued.fingerprint, section="Rules")
    expect(section).to_contain_text("An exception lets it pass.")
    section.get_by_role("link", name="An exception lets it pass.").click()
    row.get_by_role("button", name="Withdraw").click()
    page.get_by_role("dialog").get_by_role("button", name="Withdraw").click()
    expect(row).to_contain_text("withdrawn")
    choose(page.get_by_role("main"), "State", "approved")
    expect(page.get_by_text("There is none in this state")).to_be_visible()
    until(
        lambda: (verdict(client, site) or {}).get("verdict") == "fail", what="the failure that counts again"
    )
    assert page.locator("img[src=x]").count() == 0


def approve(browser: Browser, platform: Platform, credential: str) -> None:
    """Sign in as somebody else, and approve what is asked for."""
    with browser.new_context(viewport=SIZE, reduced_motion="reduce") as context:
        page = context.new_page()
        sign_in(page, platform, credential)
        visit(page, platform, "/exceptions")
        row = page.get_by_role("row").filter(has_text="ten-days")
        row.get_by_role("button", name="Approve").click()
        form = page.get_by_role("dialog")
        expect(form).to_contain_text(REASON)  # what is said yes to is read before
        form.get_by_role("button", name="Approve").click()
        expect(row).to_contain_text("approved")


def test_a_certificate_of_others_is_not_revoked_from_here(
    page: Page, platform: Platform, client: httpx.Client, site: Site
):
    open_certificate(page, platform, site.issued.fingerprint, section="Trust")
    section = region(page, "Revocation")
    expect(section).to_contain_text("whoever has issued it revokes it")
    expect(section.get_by_role("button", name="Revoke")).to_have_count(0)


@pytest.fixture(scope="module")
def obtained(client: httpx.Client) -> Json:
    """A certificate that was obtained here, and is kept at one place."""
    accepted(client.post("/renewal/v1/authorities", json={"name": "page-ca", "kind": "builtin"}))
    profile = {"name": "page", "authority": "page-ca", "allowed_names": ["*.revoke.test"]}
    accepted(client.post("/renewal/v1/profiles", json=profile))
    body = {"names": ["pay.revoke.test"], "profile": "page"}
    order = accepted(client.post("/renewal/v1/orders", json=body))
    made = found(client, "/renewal/v1/orders", id=order["id"], state="renewed")["fingerprint"]
    arrived(client, made)
    pem = client.get(f"/inventory/v1/certificates/{made}/pem", headers={"Accept": "application/x-pem-file"})
    upload(client, "pay", pem.content)
    until(lambda: arrived(client, made)["place_count"] == 1, what="the place it is at")
    return arrived(client, made)


def test_a_certificate_is_revoked_after_it_was_said_what_that_breaks(
    page: Page, platform: Platform, client: httpx.Client, obtained: Json, axe: str
):
    open_certificate(page, platform, obtained["fingerprint"], section="Trust")
    section = region(page, "Revocation")
    section.get_by_role("button", name="Revoke", exact=True).click()
    form = page.get_by_role("dialog")
    choose(form, "Reason", "key compromise")
    form.get_by_label("Why").fill(f"The till was stolen {HOSTILE}.")
    expect(form).to_contain_text("Nothing yet: it is at 1 place.")
    expect(form).to_contain_text("Until then whoever has its key can pass for it.")
    form.get_by_role("button", name="Revoke it once it is replaced").click()
    expect(form).to_have_count(0)
    expect(section).to_contain_text("awaiting replacement")
    expect(section).to_contain_text("It is revoked once another was seen in every place of it.")
    assert revoked(client) == []

    section.get_by_role("button", name="Revoke it now").click()
    choose(form, "Reason", "key compromise")
    form.get_by_label("Why").fill(f"It was used {HOSTILE}.")
    expect(form).to_contain_text("It is at 1 place: clients that ask its authority refuse it there")
    now = form.get_by_role("button", name="Revoke it now")
    expect(now).to_be_disabled()
    form.get_by_label("Revoke it although 1 place would break").check()
    assert in_light_and_dark(page, axe) == []
    now.click()
    expect(section).to_contain_text(re.compile("unconfirmed|confirmed"), timeout=OVER_MS)
    expect(section).to_contain_text("admin")
    expect(section.get_by_role("button", name=re.compile("^Revoke"))).to_have_count(0)
    assert revoked(client) == [(int(obtained["serial"], 16), x509.ReasonFlags.key_compromise)]
    assert in_light_and_dark(page, axe) == []
    assert page.locator("img[src=x]").count() == 0


def revoked(client: httpx.Client) -> list[tuple[int, x509.ReasonFlags]]:
    """Return what the authority's CRL says: the serial numbers, and the reasons."""
    [authority] = items(client, "/renewal/v1/authorities", name="page-ca")
    crl = x509.load_der_x509_crl(client.get(f"/renewal/v1/authorities/{authority['id']}/crl").content)
    return [
        (entry.serial_number, entry.extensions.get_extension_for_class(x509.CRLReason).value.reason)
        for entry in crl
    ]


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns", "Pacific/Kiritimati"])
def test_times_are_in_the_zone_of_whoever_looks(
    browser: Browser, platform: Platform, client: httpx.Client, site: Site, session: StorageState, zone: str
):
    ends = site.issued.certificate.not_valid_after_utc.astimezone(ZoneInfo(zone))
    with browser.new_context(
        viewport=SIZE, storage_state=session, timezone_id=zone, locale="en-GB"
    ) as context:
        page = context.new_page()
        open_certificate(page, platform, site.issued.fingerprint)
        valid = region(page, "What it says").get_by_role("definition").filter(has_text=" to ")
        expect(valid).to_contain_text(f"{ends:%H:%M:%S}")
        expect(valid).to_contain_text(f"{ends.day} {ends:%b %Y}")
        page.get_by_role("main").locator("time").first.hover()
        expect(page.get_by_role("tooltip")).to_contain_text(f"{ends:%H:%M:%S}")
