"""What people do in the portal, again and again."""

import re
from typing import Any

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.journeys.platforms import Platform, accepted, items

ROOMS = {
    "/": "Overview",
    "/first-steps": "First steps",
    "/certificates": "Certificates",
    "/spread": "Spread",
    "/discovery": "Discovery",
    "/renewal": "Renewal",
    "/campaigns": "Campaigns",
    "/approvals": "Approvals",
    "/provisioning": "Provisioning",
    "/alerts": "Alerts",
    "/reports": "Reports",
    "/audit": "Audit",
    "/settings": "Settings",
}


def sign_in(page: Page, platform: Platform, credential: str = "") -> None:
    """Sign in, with the first token where no other credential is given."""
    page.goto(platform.url)
    page.get_by_label("API key or token").fill(credential or (platform.data / "admin.token").read_text())
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def upload(client: httpx.Client, path: str, pem: bytes) -> None:
    """Send the certificate that the mainframe holds there."""
    [source] = items(client, "/discovery/v1/sources", name="mainframe")
    holding = {"address": "mainframe", "path": path, "format": "racf", "pem": pem.decode()}
    accepted(client.post(f"/discovery/v1/sources/{source['id']}/uploads", json={"holdings": [holding]}))


def choose(within: Locator, label: str, option: str) -> None:
    """Choose in a box that has a list."""
    box = within.get_by_role("combobox", name=label)
    box.click()
    within.page.get_by_role("option", name=re.compile(f"^{re.escape(option)}")).click()


def visit(page: Page, platform: Platform, path: str) -> None:
    """Go to a room and wait until all that it asks for is there."""
    page.goto(platform.url + path)
    expect(page.get_by_role("heading", level=1)).to_have_text(ROOMS[path])
    # Not until the network is idle: what changes is listened for all the time.
    expect(page.locator(".mantine-LoadingOverlay-root, .mantine-Loader-root")).to_have_count(0)


def violations(page: Page, axe: str) -> list[str]:
    """Return what stands in the way of people with a screen reader, a keyboard or weak eyes: serious and worse."""
    page.evaluate(axe)
    found: list[dict[str, Any]] = page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{each['id']}: {each['nodes'][0]['html']}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
