"""A platform with a few certificates, and a browser that looks at it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    StorageState,
    ViewportSize,
    expect,
    sync_playwright,
)

from services.portal import BUILT
from tests.journeys.platforms import Embedded, Platform, accepted, until
from tests.portal.visits import sign_in, upload
from tests.servers.processes import MissingServer
from tests.servers.tls import CertificateAuthority

SIZE = ViewportSize(width=1280, height=900)
HOSTILE = "<img src=x onerror=document.title=1>"


# Of the package, not of the session: its event loop must not be there when others run theirs.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium, headless."""
    program = shutil.which("chromium")
    if program is None:
        raise MissingServer("chromium is missing: apt-get install chromium")
    assert (BUILT / "index.html").is_file(), "The portal is not built: run `make portal`."
    expect.set_options(timeout=30_000)  # a machine may have much else to do
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield started
        started.close()


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory, lab_ca: CertificateAuthority) -> Iterator[Platform]:
    """The embedded platform, with certificates that were sent to it; one has a name that is markup."""
    started = Embedded(tmp_path_factory.mktemp("portal"), environ={})
    started.start()
    try:
        _fill(started, lab_ca)
        yield started
    finally:
        started.stop()


def _fill(platform: Platform, ca: CertificateAuthority) -> None:
    pems = [ca.issue(*names).chain_pem for names in (("shop.test",), ("mail.test", "imap.test"), (HOSTILE,))]
    with platform.client() as client:
        me = accepted(client.get("/inventory/v1/principals"))["items"][0]["id"]
        accepted(
            client.post(
                "/discovery/v1/sources",
                json={"name": "mainframe", "kind": "upload", "settings": {"uploaders": [me]}},
            )
        )
        for number, pem in enumerate(pems):
            upload(client, f"ring/{number}", pem)
        until(
            lambda: accepted(client.get("/inventory/v1/certificates/count"))["count"] >= len(pems),
            what="the certificates' way into the inventory",
        )


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without any past."""
    opened = browser.new_context(viewport=SIZE, reduced_motion="reduce")
    yield opened
    opened.close()


@pytest.fixture(scope="package")
def session(browser: Browser, platform: Platform) -> StorageState:
    """What a browser keeps once the administrator has signed in."""
    with browser.new_context(viewport=SIZE, reduced_motion="reduce") as context:
        sign_in(context.new_page(), platform)
        return context.storage_state()


@pytest.fixture
def page(browser: Browser, platform: Platform, session: StorageState) -> Iterator[Page]:
    """A page on which the administrator is signed in; fails the test for what the browser complains of."""
    context = browser.new_context(viewport=SIZE, reduced_motion="reduce", storage_state=session)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None
    )
    opened.goto(platform.url)
    yield opened
    context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def axe() -> str:
    """The rules of accessibility, as a script."""
    return Path("portal/node_modules/axe-core/axe.min.js").read_text()
