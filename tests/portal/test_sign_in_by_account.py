"""People sign in with their organisation's account: in a real browser, at a real OpenID provider."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.journeys.platforms import Embedded, Platform
from tests.portal.conftest import SIZE
from tests.servers.glewlwyd import Glewlwyd
from tests.servers.processes import free_port
from tests.servers.tls import CertificateAuthority

CLIENT, SECRET = "everleaf", "the-clients-secret"
CALLBACK = "/inventory/v1/login/callback"


class Secure(Embedded):
    """An embedded platform that serves HTTPS: a provider sends people back to nothing else."""

    def __init__(self, directory: Path, *, ca: CertificateAuthority, provider: Glewlwyd) -> None:
        certificate, key = ca.issue("localhost").write(directory / "tls")
        authority = directory / "ca.pem"
        authority.write_bytes(ca.pem)
        self._port = free_port()
        self._tls = ca.client_context()
        environ = {
            "EVERLEAF_TLS_CERTIFICATE": str(certificate),
            "EVERLEAF_TLS_KEY": str(key),
            "EVERLEAF_INVENTORY_OIDC_ISSUER": provider.issuer,
            "EVERLEAF_INVENTORY_OIDC_CLIENT_ID": CLIENT,
            "EVERLEAF_INVENTORY_OIDC_CLIENT_SECRET": SECRET,
            "EVERLEAF_INVENTORY_OIDC_REDIRECT_URI": f"https://localhost:{self._port}{CALLBACK}",
            "EVERLEAF_INVENTORY_OIDC_SCOPES": "openid",
            "EVERLEAF_INVENTORY_OIDC_RIGHTS": "pki=admin@*",
            "EVERLEAF_INVENTORY_OIDC_TLS_CA": str(authority),
        }
        super().__init__(directory, environ=environ)

    def start(self) -> None:
        """Run `everleaf up`."""
        process = self.run("up", "up", "--port", str(self._port))
        self.url = f"https://localhost:{self._port}"
        self.wait_ready(self._port, process, tls=self._tls)


@pytest.fixture
def provider(tmp_path: Path, lab_ca: CertificateAuthority) -> Iterator[Glewlwyd]:
    """Glewlwyd, which knows Ada."""
    started = Glewlwyd(tmp_path / "glewlwyd", ca=lab_ca)
    try:
        started.start()
        started.add_person("ada", groups=["pki"])
        yield started
    finally:
        started.stop()


@pytest.fixture
def secure_platform(tmp_path: Path, lab_ca: CertificateAuthority, provider: Glewlwyd) -> Iterator[Platform]:
    """The platform that is registered there."""
    started = Secure(tmp_path / "platform", ca=lab_ca, provider=provider)
    provider.register(
        CLIENT, secret=SECRET, redirect_uri=started.environ["EVERLEAF_INVENTORY_OIDC_REDIRECT_URI"]
    )
    started.start()
    yield started
    started.stop()


def test_an_account_signs_in_by_code_and_pkce_and_no_token_is_in_an_address_or_kept_for_scripts(
    browser: Browser, secure_platform: Platform, provider: Glewlwyd
):
    asked: list[str] = []
    with browser.new_context(viewport=SIZE, ignore_https_errors=True) as context:
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{secure_platform.url}/alerts?state=open")
        page.get_by_role("link", name="Sign in with your organisation").click()
        page.wait_for_url(f"{provider.url}/**")
        back = parse_qs(urlsplit(page.url).query)["callback_url"][0]
        log_in(page, "ada")

        expect(page.get_by_role("heading", level=1)).to_have_text("Alerts")
        assert page.url == f"{secure_platform.url}/alerts?state=open"
        expect(page.get_by_role("banner")).to_contain_text("Ada")
        kept = page.evaluate(
            "() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
        )
        [cookie] = [each for each in context.cookies(secure_platform.url) if "session" in each["name"]]

    sent = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
    assert sent["response_type"] == "code"
    assert sent["code_challenge_method"] == "S256"
    assert len(sent["code_challenge"]) == len(sent["state"]) == 43
    assert "code_verifier" not in " ".join(asked)
    assert [url for url in asked if "eyJ" in url or "token=" in url] == []
    assert "eyJ" not in kept
    assert cookie["value"] not in kept
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Strict")


def log_in(page: Page, name: str) -> None:
    """Log in by the provider's own form, and go on to who asked."""
    page.locator("#username").fill(name)
    page.locator("#password").fill(name * 2)
    page.get_by_role("button", name="OK", exact=True).click()
    page.get_by_role("button", name="Continue").click()
