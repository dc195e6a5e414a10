"""Intermediates and roots: when they end, what is wrong with them, and what outlives them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from playwright.sync_api import Page, expect

from tests.journeys.platforms import Json, Platform, accepted, until
from tests.portal.conftest import HOSTILE
from tests.portal.visits import arrived, in_light_and_dark, upload, visit
from tests.servers.tls import CertificateAuthority, fingerprint

NAME = f"Old CA {HOSTILE}"
DAY = timedelta(days=1)
LASTING = 3650 * DAY
"""What an authority of the tests lasts from its `now` on."""


@pytest.fixture(scope="module")
def old(platform: Platform, lab_ca: CertificateAuthority) -> Iterator[Json]:
    """An intermediate with twenty days left; of two certificates under it one ends later. Its name is markup, and it breaks a rule."""
    now = datetime.now(UTC)
    authority = CertificateAuthority(NAME, parent=lab_ca, now=now + 20 * DAY - LASTING)
    authority.certificate = without_key_identifier(authority.certificate, parent=lab_ca)
    ends = {"soon.old.test": now + 10 * DAY, "late.old.test": now + 30 * DAY}
    with platform.client() as client:
        for name, end in ends.items():
            issued = authority.issue(name, not_before=now - DAY, not_after=end)
            upload(client, name, issued.chain_pem)
            arrived(client, issued.fingerprint)
        path = f"/inventory/v1/issuers/{fingerprint(authority.certificate)}"
        until(lambda: is_judged(client, path), what="what is known of the intermediate")
        yield accepted(client.get(path))


def without_key_identifier(
    certificate: x509.Certificate, *, parent: CertificateAuthority
) -> x509.Certificate:
    """Return an authority's certificate that breaks a rule: nothing in it says which key it is on."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(certificate.issuer)
        .public_key(certificate.public_key())
        .serial_number(certificate.serial_number)
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return builder.sign(parent.key, hashes.SHA256())


def is_judged(client: httpx.Client, path: str) -> bool:
    answer = client.get(path)
    return (
        answer.is_success and answer.json()["leaves"]["known"] == 2 and answer.json()["linted_at"] is not None
    )


def test_issuers_that_end_before_what_is_under_them_are_found(page: Page, platform: Platform, old: Json):
    visit(page, platform, "/issuers")
    row = page.get_by_role("row").filter(has_text=HOSTILE).filter(has_text="Old CA")
    expect(row).to_contain_text("intermediate")
    expect(row).to_contain_text("critical")
    page.get_by_text("end within a year").click()
    expect(row).to_be_visible()
    page.get_by_text("are outlived").click()
    expect(page.get_by_role("row")).to_have_count(2)  # the heads of the columns, and it
    assert page.locator("img[src=x]").count() == 0


def test_an_issuer_is_shown_with_its_findings_and_what_outlives_it(
    page: Page, platform: Platform, old: Json, axe: str
):
    visit(page, platform, "/issuers")
    page.get_by_role("link", name=NAME).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)
    depending = page.get_by_role("region", name="What depends on it")
    expect(depending).to_contain_text("2 certificates came with it above them")
    expect(depending).to_contain_text("1 certificate ends later than it does")
    findings = page.get_by_role("region", name="Findings")
    [first, *_] = old["findings"]
    expect(findings).to_contain_text(first["rule"])
    under = page.get_by_role("region", name="Certificates under it")
    expect(under.get_by_role("link", name="soon.old.test")).to_be_visible()
    assert in_light_and_dark(page, axe) == []
    page.get_by_text("those that outlive it").click()
    expect(under.get_by_role("link", name="soon.old.test")).to_have_count(0)
    under.get_by_role("link", name="late.old.test").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("late.old.test")
    assert page.locator("img[src=x]").count() == 0


def test_all_that_an_issuer_has_issued_is_asked_for_whatever_its_name_is(
    page: Page, platform: Platform, old: Json
):
    page.goto(f"{platform.url}/issuers/{old['fingerprint']}")
    page.get_by_role("link", name="Ask for all it has issued itself").click()
    expect(page.get_by_text("2 certificates", exact=True)).to_be_visible()


def test_the_map_of_what_hangs_on_which_ca_leads_to_the_issuer(page: Page, platform: Platform, old: Json):
    visit(page, platform, "/spread")
    page.get_by_role("region", name="What depends on which CA").get_by_role("link", name="Old CA").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)
