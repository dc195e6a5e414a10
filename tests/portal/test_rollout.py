"""A canary fails, is put back, and is mended: step by step, as the portal shows it, with real servers behind SSH."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.journeys.estate import found
from tests.journeys.platforms import Embedded, Platform, accepted
from tests.journeys.test_a_canary_that_fails_stops_the_rollout import NAME, POLICY, bound
from tests.portal.conftest import SIZE
from tests.portal.visits import sign_in, visit
from tests.servers.nginx import StartNginx
from tests.servers.ssh import Sshd
from tests.servers.tls import fingerprint

OVER_MS = 90_000


@pytest.fixture
def brisk_platform(tmp_path: Path) -> Iterator[Platform]:
    """A platform that gives up soon on what is not served."""
    started = Embedded(tmp_path / "platform", environ={"EVERLEAF_PROVISIONER_VERIFY_TIMEOUT": "1"})
    started.start()
    yield started
    started.stop()


def test_a_canary_is_followed_step_by_step_put_right_and_let_go_on(
    browser: Browser, brisk_platform: Platform, start_nginx: StartNginx, sshd: Sshd
):
    servers = [start_nginx(NAME) for _ in range(2)]
    with brisk_platform.client() as client:
        accepted(client.post("/renewal/v1/authorities", json={"name": "house-ca", "kind": "builtin"}))
        profile = {"name": "web", "authority": "house-ca", "allowed_names": ["*.example.test"]}
        accepted(client.post("/renewal/v1/profiles", json=profile))
        wanted = {"names": [NAME], "profile": "web"}
        first = accepted(client.post("/renewal/v1/orders", json=wanted))["id"]
        lineage = found(client, "/renewal/v1/orders", id=first, state="renewed")["lineage_id"]
        # The canary's reload command reaches nobody, and succeeds all the same.
        reloads = ("true", servers[1].reload_command)
        canary, _ = [
            bound(client, sshd, nginx, lineage_id=lineage, reload=reload)
            for nginx, reload in zip(servers, reloads, strict=True)
        ]
        accepted(client.put(f"/provisioner/v1/rollout-policies/{lineage}", json=POLICY))
        order = accepted(client.post("/renewal/v1/orders", json={**wanted, "lineage_id": lineage}))["id"]

        with browser.new_context(viewport=SIZE) as context:
            page = context.new_page()
            sign_in(page, brisk_platform)
            visit(page, brisk_platform, "/provisioning")
            page.get_by_role("tab", name="Rollouts").click()
            row = page.get_by_role("region", name="Rollouts").get_by_role("row").filter(has_text="stopped")
            row.get_by_role("link").click(timeout=OVER_MS)
            main = page.get_by_role("main")
            expect(page.get_by_role("region", name="Canaries")).to_contain_text("restored")
            page.get_by_role("link", name="steps").first.click()
            expect(page.get_by_role("region", name="Steps", exact=True)).to_contain_text("failed")
            expect(main).to_contain_text("As it was before")
            page.go_back()

            mended = {"test_command": servers[0].test_command, "reload_command": servers[0].reload_command}
            accepted(client.patch(f"/provisioner/v1/targets/{canary['id']}", json={"options": mended}))
            page.get_by_role("button", name="Go on").click()
            page.get_by_role("dialog").get_by_role("button", name="Go on").click()
            expect(main).to_contain_text("finished", timeout=OVER_MS)
            expect(page.get_by_role("region", name="Canaries")).to_contain_text("deployed")
        new = found(client, "/renewal/v1/orders", id=order)["fingerprint"]
    assert [fingerprint(nginx.served()) for nginx in servers] == [new, new]
