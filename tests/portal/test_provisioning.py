"""What keeps a certificate from its place is said and changed in the portal, with a real server behind SSH."""

from datetime import UTC, datetime, timedelta

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.journeys.estate import found
from tests.journeys.platforms import Json, Platform, accepted, items, until
from tests.journeys.test_a_canary_that_fails_stops_the_rollout import bound
from tests.portal.visits import choose, done, opened, section, text
from tests.servers.nginx import StartNginx
from tests.servers.ssh import Sshd
from tests.servers.tls import fingerprint

OVER_MS = 90_000
"""How long a machine may take that has much else to do."""
CHANGES = "Windows and freezes"


def local(at: datetime) -> str:
    """Return an instant as the browser's field for one is filled in."""
    return f"{at.astimezone():%Y-%m-%dT%H:%M}"


def row(page: Page, label: str, name: str) -> Locator:
    """Return a row of the list of this label."""
    return page.get_by_role("region", name=label, exact=True).get_by_role("row").filter(has_text=name)


def lineage_of(client: httpx.Client, name: str) -> str:
    """Have a certificate for what is below a domain of this name, and return its lineage."""
    accepted(client.post("/renewal/v1/authorities", json={"name": f"{name}-ca", "kind": "builtin"}))
    terms = {"name": name, "authority": f"{name}-ca", "allowed_names": [f"*.{name}.test"]}
    accepted(client.post("/renewal/v1/profiles", json=terms))
    return str(found(client, "/renewal/v1/orders", id=ordered(client, name), state="renewed")["lineage_id"])


def ordered(client: httpx.Client, name: str, **more: str) -> str:
    """Order a certificate, and return the order's id."""
    body = {"names": [f"shop.{name}.test"], "profile": name, **more}
    return str(accepted(client.post("/renewal/v1/orders", json=body))["id"])


def test_a_rule_a_freeze_and_a_window_keep_a_certificate_from_its_place_until_each_is_changed(
    page: Page, platform: Platform, start_nginx: StartNginx, sshd: Sshd
):
    nginx, now = start_nginx("shop.held.test"), datetime.now(UTC)
    with platform.client() as client:
        lineage = lineage_of(client, "held")
        target = bound(client, sshd, nginx, lineage_id=lineage, reload=nginx.reload_command)["name"]

        section(page, platform, "/provisioning", "Targets")
        tried = opened(row(page, "Targets", target), "Check")
        tried.get_by_role("button", name="Check").click()
        expect(tried.get_by_text("It works")).to_be_visible(timeout=OVER_MS)
        tried.get_by_role("button", name="Close").click()

        section(page, platform, "/provisioning", CHANGES)
        form = opened(page, "New freeze")
        text(form, "Reason").fill("the books are closed")
        text(form, "Starts at").fill(local(now - timedelta(hours=2)))
        text(form, "Ends at").fill(local(now + timedelta(days=1)))
        choose(form, "Target ID", target)
        done(form, "New freeze")
        form = opened(page, "New window")
        text(form, "Name").fill("nights")
        choose(form, "Target ID", target)
        text(form, "Time zone").fill("UTC")
        form.get_by_role("button", name="Add to weekly").click()
        choose(form, "Day", f"{now + timedelta(days=3):%A}".lower())
        text(form, "Start").fill("22:00")
        text(form, "Duration").fill("PT1H")
        done(form, "New window")
        section(page, platform, "/settings", "Who must agree")
        form = opened(page, "New rule of who must agree")
        text(form, "Name").fill("four eyes")
        choose(form, "Target ID", target)
        text(form, "Approvals needed").fill("2")
        choose(form, "Approver roles", "approver")
        done(form, "New rule of who must agree")
        rule = row(page, "Rules of who must agree", "four eyes")
        expect(rule).to_contain_text("2 people")
        form = opened(rule, "Change")
        text(form, "Approvals needed").fill("1")
        done(form, "Change")
        expect(rule).to_contain_text("1 person")

        again = ordered(client, "held", lineage_id=lineage)
        path = f"/provisioner/v1/deployments/{found(client, '/provisioner/v1/deployments', order_id=again)['id']}"

        def held_by(what: str) -> None:
            until(lambda: accepted(client.get(path))["hold"] == what, what=f"its hold by {what}")

        before = fingerprint(nginx.served())
        held_by("approval")
        section(page, platform, "/settings", "Who must agree")
        done(opened(rule, "Remove"), "Remove")
        expect(rule).to_have_count(0)
        held_by("freeze")
        page.goto(f"{platform.url}/deployments/{path.rpartition('/')[2]}")
        expect(page.get_by_role("main")).to_contain_text("the books are closed")

        section(page, platform, "/provisioning", CHANGES)
        form = opened(row(page, "Freezes", "the books are closed"), "Change")
        text(form, "Ends at").fill(local(now - timedelta(hours=1)))
        done(form, "Change")
        held_by("window")
        assert fingerprint(nginx.served()) == before
        form = opened(row(page, "Change windows", "nights"), "Change")
        text(form, "Duration").fill("P7D")
        done(form, "Change")
        expect(row(page, "Change windows", "nights")).to_contain_text("7 days")
        until(lambda: accepted(client.get(path))["state"] == "deployed", what="its way into its place")
        assert fingerprint(nginx.served()) == accepted(client.get(path))["fingerprint"] != before

        section(page, platform, "/provisioning", CHANGES)
        for label, name in (("Freezes", "the books are closed"), ("Change windows", "nights")):
            done(opened(row(page, label, name), "Remove"), "Remove")
            expect(row(page, label, name)).to_have_count(0)
        assert items(client, "/provisioner/v1/change-windows", name="nights") == []
        assert items(client, "/provisioner/v1/freezes", reason="the books are closed") == []


def test_a_rollout_is_aborted_before_anything_of_it_is_in_place(
    page: Page, platform: Platform, start_nginx: StartNginx, sshd: Sshd
):
    nginx = start_nginx("shop.aborted.test")
    with platform.client() as client:
        lineage = lineage_of(client, "aborted")
        bound(client, sshd, nginx, lineage_id=lineage, reload=nginx.reload_command)
        policy = {"canaries": 1, "approvals_needed": 1}
        accepted(client.put(f"/provisioner/v1/rollout-policies/{lineage}", json=policy))
        before = fingerprint(nginx.served())
        again = ordered(client, "aborted", lineage_id=lineage)
        rollout = found(client, "/provisioner/v1/rollouts", order_id=again, state="awaiting_approval")
        page.goto(f"{platform.url}/rollouts/{rollout['id']}")
        form = opened(page, "Abort")
        text(form, "Reason").fill("not this one")
        done(form, "Abort")
        expect(page.get_by_role("region", name="How it goes out")).to_contain_text("not this one")
        expect(page.get_by_role("button", name="Abort")).to_have_count(0)
        path = f"/provisioner/v1/rollouts/{rollout['id']}"
        shown = until(lambda: _ended(client, path), what="the end of its deployments")
        assert (shown["state"], {each["state"] for each in shown["deployments"]}) == (
            "aborted",
            {"cancelled"},
        )
        assert fingerprint(nginx.served()) == before


def _ended(client: httpx.Client, path: str) -> Json | None:
    shown = accepted(client.get(path))
    return shown if all(each["state"] != "waiting" for each in shown["deployments"]) else None
