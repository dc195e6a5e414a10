"""Looks at every page of a running platform and keeps a picture of each: `python -m tests.portal.look URL TOKEN FOLDER`.

Not a test: pictures are for people to look at. What stands in the way of people with a screen reader is printed, and how
long a page took. Filled by `bench.inventory.seed`, a platform shows what it looks like with many certificates.
"""

import argparse
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

from tests.portal.visits import ROOMS, SECTIONS, violations

AXE = Path("portal/node_modules/axe-core/axe.min.js")
THINGS = {"certificates": ("Trust", "Rules", "History"), "issuers": ()}
"""The first of each list, and the sections of its page."""
_WAIT_MS = 120_000


@dataclass(frozen=True, kw_only=True)
class Look:
    """How it is looked at."""

    width: int
    colours: Literal["light", "dark"]


LOOKS = {
    "light": Look(width=1280, colours="light"),
    "dark": Look(width=1280, colours="dark"),
    "narrow": Look(width=390, colours="light"),
}


def main() -> None:
    """Look at all there is, in light and dark and on a narrow screen."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("url")
    asked.add_argument("token", type=Path)
    asked.add_argument("folder", type=Path)
    asked.add_argument("--as", dest="looks", nargs="+", choices=LOOKS, default=list(LOOKS))
    given = asked.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for name in given.looks:
            page = signed_in(browser, given.url, given.token.read_text().strip(), LOOKS[name])
            look(page, given.url, given.folder / name)
            page.close()
        browser.close()


def signed_in(browser: Browser, url: str, token: str, size: Look) -> Page:
    """Return a page on which somebody is signed in."""
    page = browser.new_page(viewport={"width": size.width, "height": 900}, color_scheme=size.colours)
    page.set_default_timeout(_WAIT_MS)
    page.goto(url)
    page.get_by_label("API key or token").fill(token)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("button", name="Sign out").wait_for()
    return page


def look(page: Page, url: str, folder: Path) -> None:
    """Go everywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in ROOMS:
        page.goto(url + path)
        _shoot(page, folder / f"{path.strip('/') or 'overview'}.png")
        for tab in SECTIONS.get(path, ()):
            page.get_by_role("tab", name=tab, exact=True).click()
            _shoot(page, folder / f"{path.strip('/')}-{tab.lower().replace(' ', '-')}.png")
    for room, sections in THINGS.items():
        page.goto(f"{url}/{room}")
        page.locator("tbody a").first.click()
        name = room.removesuffix("s")
        _shoot(page, folder / f"{name}.png")
        for section in sections:
            page.get_by_role("tab", name=section).click()
            _shoot(page, folder / f"{name}-{section.lower()}.png")


def _shoot(page: Page, at: Path) -> None:
    began = time.monotonic()
    page.get_by_role("heading", level=1).wait_for()
    page.wait_for_function(
        "() => !document.querySelector('.mantine-LoadingOverlay-root, .mantine-Loader-root')"
    )
    print(f"{at.parent.name}/{at.name}: {time.monotonic() - began:.1f} s until all of it is there")
    page.wait_for_timeout(1_500)  # what is drawn, not what is waited for
    page.screenshot(path=at, full_page=True)
    for each in violations(page, AXE.read_text()):
        print(at.name, each)


if __name__ == "__main__":
    main()
