"""What happens is seen as it happens, without a reload, by those whom it concerns and by nobody else."""

from playwright.sync_api import Browser, Page, expect

from tests.journeys.platforms import Platform, accepted
from tests.portal.visits import sign_in, upload
from tests.servers.tls import CertificateAuthority

NOBODY_ASKS = "window.setInterval = () => 0;"
"""What looks again by the clock is switched off: what is new then is there because it was told."""
OVERHEAR = """() => {
    window.heard = [];
    new BroadcastChannel("everleaf-changes").onmessage = (message) => window.heard.push(JSON.stringify(message.data));
}"""


def viewer(platform: Platform, group: str) -> str:
    """Return an API key that sees the certificates below one domain."""
    with platform.client() as client:
        rule = f"name under {group}.test"
        accepted(client.post("/inventory/v1/groups", json={"id": group, "name": group, "rule": rule}))
        person = {"name": f"viewer of {group}", "kind": "machine", "roles": ["viewer"], "groups": [group]}
        made = accepted(client.post("/inventory/v1/principals", json=person))
        key = accepted(client.post(f"/inventory/v1/principals/{made['id']}/api-keys", json={}))
    return str(key["key"])


def looking_on(browser: Browser, platform: Platform, credential: str) -> Page:
    page = browser.new_context().new_page()
    page.add_init_script(NOBODY_ASKS)
    with page.expect_request("**/notifier/v1/changes*"):
        sign_in(page, platform, credential)
    page.evaluate(OVERHEAR)
    page.get_by_role("link", name="Certificates", exact=True).click()
    return page


def test_a_certificate_arrives_without_a_reload_and_only_where_it_may_be_seen(
    browser: Browser, platform: Platform, lab_ca: CertificateAuthority
):
    of_red, of_blue = (looking_on(browser, platform, viewer(platform, group)) for group in ("red", "blue"))
    expect(of_red.get_by_text("Nothing current is known yet")).to_be_visible()
    with platform.client() as client:
        upload(client, "blue", lab_ca.issue("pay.blue.test").chain_pem)
        expect(of_blue.get_by_role("link", name="pay.blue.test")).to_be_visible(timeout=60_000)
        upload(client, "red", lab_ca.issue("pay.red.test").chain_pem)
        expect(of_red.get_by_role("link", name="pay.red.test")).to_be_visible(timeout=60_000)
    expect(of_red.get_by_text("pay.blue.test")).to_have_count(0)
    heard = str(of_red.evaluate("() => window.heard"))
    assert '"red"' in heard
    assert "blue" not in heard
    assert "certificates.arrived" not in heard
    for page in (of_red, of_blue):
        page.context.close()
