"""What people do in the portal, again and again."""

import re
from typing import Any, Literal

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.journeys.platforms import Json, Platform, accepted, items, until

ROOMS = {
    "/": "Overview",
    "/first-steps": "First steps",
    "/certificates": "Certificates",
    "/saved-queries": "Saved queries",
    "/issuers": "Issuers",
    "/exceptions": "Exceptions",
    "/spread": "Spread",
    "/discovery": "Discovery",
    "/renewal": "Renewal",
    "/campaigns": "Campaigns",
    "/approvals": "Approvals",
    "/provisioning": "Provisioning",
    "/alerts": "Alerts",
    "/reports": "Reports",
    "/audit": "Audit",
    "/dead-letters": "Dead letters",
    "/settings": "Settings",
}

SECTIONS = {
    "/discovery": ("Schedules", "Sources", "Transparency logs", "Names"),
    "/renewal": ("Orders", "Profiles", "Authorities"),
    "/provisioning": ("Rollouts", "Windows and freezes", "Targets", "Bindings", "Proposals"),
    "/spread": ("Shared keys", "Wildcards", "Places"),
    "/settings": (
        "Teams",
        "Who owns what",
        "Groups",
        "Policies",
        "Who must agree",
        "Authorities",
        "Secret stores",
        "Channels",
        "Who is told",
        "Machines that listen",
    ),
}
"""What a room has beside the section that is shown first."""
_COLOURS: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def sign_in(page: Page, platform: Platform, credential: str = "") -> None:
    """Sign in, with the first token where no other credential is given."""
    page.goto(platform.url)
    page.get_by_label("API key or token").fill(credential or (platform.data / "admin.token").read_text())
    page.get_by_role("button", name="Sign in", exact=True).click()
    # Who sees no certificate is welcomed, as soon as that is known.
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("^(Overview|Welcome)$"))


def person(client: httpx.Client, name: str, role: str) -> str:
    """Return what somebody signs in with."""
    body = {"name": name, "kind": "person", "roles": [role]}
    made = accepted(client.post("/inventory/v1/principals", json=body))
    key = accepted(client.post(f"/inventory/v1/principals/{made['id']}/api-keys", json={}))
    return str(key["key"])


def upload(client: httpx.Client, path: str, pem: bytes) -> None:
    """Send the certificate that the mainframe holds there."""
    [source] = items(client, "/discovery/v1/sources", name="mainframe")
    holding = {"address": "mainframe", "path": path, "format": "racf", "pem": pem.decode()}
    accepted(client.post(f"/discovery/v1/sources/{source['id']}/uploads", json={"holdings": [holding]}))


def arrived(client: httpx.Client, fingerprint: str) -> Json:
    """Return what inventory knows of a certificate, as soon as it does."""
    path = f"/inventory/v1/certificates/{fingerprint}"
    until(lambda: client.get(path).is_success, what=f"the way of {fingerprint} into the inventory")
    return accepted(client.get(path))


def choose(within: Locator, label: str, option: str) -> None:
    """Choose in a box that has a list, which is closed then; what was chosen already is chosen no more."""
    box = within.get_by_role("combobox", name=re.compile(rf"^{re.escape(label)}\b"))
    box.click()
    within.page.get_by_role("option", name=re.compile(f"^{re.escape(option)}")).click()
    box.press("Tab")


def text(within: Locator, label: str) -> Locator:
    """Return the box whose label begins so."""
    return within.locator("input, textarea").and_(
        within.page.get_by_label(re.compile(rf"^{re.escape(label)}\b"))
    )


def add(within: Locator, label: str, word: str) -> None:
    """Add a word to a box that takes several."""
    text(within, label).fill(word)
    text(within, label).press("Enter")


def opened(within: Page | Locator, name: str) -> Locator:
    """Open a form, and return it."""
    within.get_by_role("button", name=name).click()
    return (within if isinstance(within, Page) else within.page).get_by_role("dialog")


def done(form: Locator, name: str) -> None:
    """Send a form; it closes when it was taken."""
    form.get_by_role("button", name=name).click()
    expect(form).to_have_count(0)


def section(page: Page, platform: Platform, path: str, name: str) -> None:
    """Go to a section of a room, and wait until all that it asks for is there."""
    visit(page, platform, path)
    page.get_by_role("tab", name=name, exact=True).click()
    settled(page)


def visit(page: Page, platform: Platform, path: str) -> None:
    """Go to a room and wait until all that it asks for is there."""
    page.goto(platform.url + path)
    expect(page.get_by_role("heading", level=1)).to_have_text(ROOMS[path])
    settled(page)


def settled(page: Page) -> None:
    """Wait until nothing is shown as being loaded.

    Not until the network is idle: what changes is listened for all the time.
    """
    expect(page.locator(".mantine-LoadingOverlay-root, .mantine-Loader-root")).to_have_count(0)


def open_certificate(page: Page, platform: Platform, fingerprint: str, *, section: str = "Overview") -> None:
    """Go to a section of a certificate's page, and wait until all that it asks for is there."""
    page.goto(f"{platform.url}/certificates/{fingerprint}")
    page.get_by_role("tab", name=re.compile(f"^{section}")).click()
    settled(page)


def in_light_and_dark(page: Page, axe: str) -> list[str]:
    """Return what stands in the way of people in either of the colour schemes."""
    found: list[str] = []
    for colours in _COLOURS:
        page.emulate_media(color_scheme=colours)
        found += [f"{colours}: {each}" for each in violations(page, axe)]
    return found


def violations(page: Page, axe: str) -> list[str]:
    """Return what stands in the way of people with a screen reader, a keyboard or weak eyes: serious and worse."""
    page.evaluate(axe)
    found: list[dict[str, Any]] = page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{each['id']}: {each['nodes'][0]['html']}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
