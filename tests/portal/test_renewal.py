"""What operators set about renewal: on which terms is ordered, who issues, and how far a campaign goes."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from subprocess import run
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.journeys.estate import found
from tests.journeys.platforms import Json, Platform, accepted, items, until
from tests.portal.visits import choose, done, in_light_and_dark, opened, section, text, upload, visit
from tests.servers.authority_hook import AuthorityHook
from tests.servers.tls import LOOPBACK, CertificateAuthority

OVER_MS = 90_000
"""How long a machine may take that has much else to do."""
CA = "house of terms"


@pytest.fixture(scope="module")
def client(platform: Platform) -> Iterator[httpx.Client]:
    """The platform's APIs; an authority of our own is known."""
    with platform.client() as opened_client:
        accepted(opened_client.post("/renewal/v1/authorities", json={"name": CA, "kind": "builtin"}))
        yield opened_client


@pytest.fixture
def hook(tmp_path: Path, lab_ca: CertificateAuthority) -> Iterator[AuthorityHook]:
    """An authority of somebody's own, which takes what is signed with its secret."""
    started = AuthorityHook(lab_ca.issue(*LOOPBACK).server_context(tmp_path / "hook"))
    started.start()
    yield started
    started.stop()


def profile(client: httpx.Client, name: str, **terms: Any) -> Json:
    """Make a profile for what is below a domain of its name."""
    body = {"name": name, "authority": CA, "allowed_names": [f"*.{name}.test"], **terms}
    return accepted(client.post("/renewal/v1/profiles", json=body))


def order(client: httpx.Client, name: str, *, by: str) -> str:
    """Order a certificate, and return the order's id."""
    return str(accepted(client.post("/renewal/v1/orders", json={"names": [name], "profile": by}))["id"])


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has_text=name)


# Profiles


def test_the_terms_of_a_profile_are_changed_and_the_next_order_is_on_the_new_ones(
    page: Page, platform: Platform, client: httpx.Client
):
    made = profile(client, "changing")
    section(page, platform, "/renewal", "Profiles")
    form = opened(row(page, "changing"), "Change")
    expect(text(form, "Lifetime")).to_have_value("P90D")
    text(form, "Lifetime").fill("P30D")
    choose(form, "Key type", "rsa-3072")
    choose(form, "Fallback authority", CA)
    form.get_by_role("button", name="Change").click()
    expect(form.get_by_role("alert")).to_contain_text("Name another, or none.")
    choose(form, "Fallback authority", CA)
    done(form, "Change")
    expect(row(page, "changing")).to_contain_text("30 days")
    expect(row(page, "changing")).to_contain_text("rsa-3072")
    id_ = order(client, "a.changing.test", by="changing")
    renewed = found(client, "/renewal/v1/orders", id=id_, state="renewed")
    certificate = until(lambda: _known(client, renewed["fingerprint"]), what="its way into the inventory")
    assert (certificate["key_type"], certificate["key_bits"]) == ("rsa", 3072)
    assert accepted(client.get(f"/renewal/v1/profiles/{made['id']}"))["lifetime"] == "P30D"


def _known(client: httpx.Client, fingerprint: str) -> Json | None:
    answer = client.get(f"/inventory/v1/certificates/{fingerprint}")
    return dict(answer.json()) if answer.is_success else None


def test_terms_that_somebody_else_has_changed_meanwhile_are_not_written_over(
    page: Page, platform: Platform, client: httpx.Client
):
    made = profile(client, "contended")
    page.clock.install()
    section(page, platform, "/renewal", "Profiles")
    form = opened(row(page, "contended"), "Change")
    text(form, "Lifetime").fill("P30D")
    theirs = {"name": "contended", "authority": CA, "allowed_names": ["theirs.test"]}
    accepted(client.put(f"/renewal/v1/profiles/{made['id']}", json=theirs))
    page.clock.fast_forward("01:00")
    expect(page.locator("tbody")).to_contain_text("theirs.test")  # the form goes by what it began with
    form.get_by_role("button", name="Change").click()
    expect(form.get_by_role("alert")).to_contain_text("It was changed since you read it.")
    now = accepted(client.get(f"/renewal/v1/profiles/{made['id']}"))
    assert (now["allowed_names"], now["lifetime"]) == (["theirs.test"], "P90D")


def test_a_profile_is_forgotten_unless_something_was_ordered_by_it(
    page: Page, platform: Platform, client: httpx.Client
):
    unused, used = (profile(client, name) for name in ("unused", "in-use"))
    order(client, "a.in-use.test", by="in-use")
    section(page, platform, "/renewal", "Profiles")
    done(opened(row(page, "unused"), "Remove"), "Remove")
    expect(row(page, "unused")).to_have_count(0)
    assert client.get(f"/renewal/v1/profiles/{unused['id']}").status_code == HTTPStatus.NOT_FOUND
    form = opened(row(page, "in-use"), "Remove")
    form.get_by_role("button", name="Remove").click()
    expect(form.get_by_role("alert")).to_contain_text("stays as the record")
    assert client.get(f"/renewal/v1/profiles/{used['id']}").status_code == HTTPStatus.OK


# Authorities


def test_no_more_is_asked_of_an_authority_than_its_budget_allows_until_that_is_changed(
    page: Page, platform: Platform, client: httpx.Client, axe: str
):
    accepted(client.post("/renewal/v1/authorities", json={"name": "sparing", "kind": "builtin"}))
    profile(client, "sparing", authority="sparing")
    section(page, platform, "/renewal", "Authorities")
    page.get_by_role("link", name="sparing").click()
    budget = page.get_by_role("region", name="What may be asked of it")
    expect(budget).to_contain_text("As it comes")
    form = opened(budget, "Change")
    orders = form.get_by_role("group", name="Orders")
    text(orders, "Most").fill("1")
    text(orders, "Window").fill("P1D")
    done(form, "Change")
    expect(budget).to_contain_text("at most 1 in 1 day")
    first = order(client, "a.sparing.test", by="sparing")
    found(client, "/renewal/v1/orders", id=first, state="renewed")
    second = order(client, "b.sparing.test", by="sparing")
    waiting = budget.get_by_role("definition").filter(has_text=re.compile("^1 order$"))
    expect(waiting).to_be_visible(timeout=OVER_MS)
    assert accepted(client.get(f"/renewal/v1/orders/{second}"))["state"] != "renewed"
    assert in_light_and_dark(page, axe) == []

    form = opened(budget, "Change")
    text(orders, "Most").fill("")
    text(orders, "Window").fill("")
    done(form, "Change")
    expect(budget.get_by_role("definition").first).to_have_text("no limit")
    accepted(client.post(f"/renewal/v1/orders/{second}/retry"))
    found(client, "/renewal/v1/orders", id=second, state="renewed")


def test_an_authority_is_given_the_secret_that_it_knows_us_by_and_other_groups(
    page: Page, platform: Platform, client: httpx.Client, hook: AuthorityHook, lab_ca: CertificateAuthority
):
    options = {"url": hook.url, "trusted_ca": lab_ca.pem.decode(), "root_pem": hook.root.pem.decode()}
    body = {
        "name": "somebody's own",
        "kind": "webhook",
        "options": options,
        "secrets": {"signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
    }
    accepted(client.post("/renewal/v1/authorities", json=body))
    profile(client, "own", authority="somebody's own", allowed_names=["*.example.test"])
    section(page, platform, "/settings", "Authorities")
    page.get_by_role("link", name="somebody's own").click()
    form = opened(page, "New secrets")
    text(form, "Signing secret").fill(hook.secret_text())
    done(form, "New secrets")
    assert hook.secret_text() not in page.content()
    found(
        client, "/renewal/v1/orders", id=order(client, "a.example.test", by="own"), state="renewed"
    )  # it takes nothing that is signed with another secret
    form = opened(page, "Groups")
    choose(form, "Groups", "everybody")
    done(form, "Groups")
    expect(page.get_by_role("region", name="What it is")).to_contain_text("everybody")
    [now] = items(client, "/renewal/v1/authorities", name="somebody's own")
    assert now["groups"] == ["*"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Roots").click()
    assert "BEGIN CERTIFICATE" in Path(download.value.path()).read_text()


def test_an_authority_of_our_own_is_signed_by_another_and_issues_from_then_on(
    page: Page, platform: Platform, client: httpx.Client, tmp_path: Path
):
    body = {"name": "below", "kind": "builtin", "options": {"signed_by_other": True}}
    accepted(client.post("/renewal/v1/authorities", json=body))
    profile(client, "below", authority="below", lifetime="P3D")
    section(page, platform, "/renewal", "Authorities")
    page.get_by_role("link", name="below").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Request to be signed").click()
    form = opened(page, "Bring its certificate")
    text(form, "Certificate").fill(signed(Path(download.value.path()), tmp_path))
    done(form, "Bring its certificate")
    found(client, "/renewal/v1/orders", id=order(client, "a.below.test", by="below"), state="renewed")


def signed(request: Path, folder: Path) -> str:
    """Have a root of its own sign the request of an authority; return the new certificate and the root."""

    def openssl(*arguments: str) -> None:
        run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "top.key")
    openssl("req", "-x509", *key, "-out", "top.pem", "-subj", "/CN=top", "-days", "9")
    by = ("-CA", "top.pem", "-CAkey", "top.key", "-days", "8", "-copy_extensions", "copyall")
    openssl("x509", "-req", "-inform", "DER", "-in", str(request), *by, "-out", "own.pem")
    return "".join((folder / name).read_text() for name in ("own.pem", "top.pem"))


# Campaigns


def test_a_campaign_is_planned_anew_as_more_is_found(
    page: Page, platform: Platform, client: httpx.Client, lab_ca: CertificateAuthority
):
    profile(client, "replan")
    query = {"query": "name under replan.test"}
    body = {"name": "planned twice", **query, "reason": "a drill"}
    path = f"/renewal/v1/campaigns/{accepted(client.post('/renewal/v1/campaigns', json=body))['id']}"
    until(lambda: _in_state(client, path, "planned"), what="the first plan")
    upload(client, "replan", lab_ca.issue("a.replan.test").chain_pem)
    until(
        lambda: accepted(client.get("/inventory/v1/certificates/count", params=query))["count"] == 1,
        what="its way into the inventory",
    )
    visit(page, platform, "/campaigns")
    page.get_by_role("link", name="planned twice").click()
    done(opened(page, "Plan anew"), "Plan anew")
    expect(page.get_by_role("region", name="Certificates of the campaign")).to_contain_text(
        "a.replan.test", timeout=OVER_MS
    )
    form = opened(page, "Abort")
    text(form, "Reason").fill("only a drill")
    done(form, "Abort")
    until(lambda: _in_state(client, path, "aborted"), what="its end")


@pytest.fixture
def campaign(client: httpx.Client, platform: Platform, lab_ca: CertificateAuthority) -> Json:
    """A campaign that runs: of two certificates one is ordered, and the other waits until that is seen in place."""
    names = [f"{each}.campaign.test" for each in "ab"]
    for name in names:
        upload(client, name, lab_ca.issue(name).chain_pem)
    query = {"query": "name under campaign.test"}
    until(
        lambda: accepted(client.get("/inventory/v1/certificates/count", params=query))["count"] == 2,
        what="their way into the inventory",
    )
    profile(client, "campaign")
    body = {"name": "away from it", **query, "reason": "a drill", "waves": {"first": 1, "size": 1}}
    path = f"/renewal/v1/campaigns/{accepted(client.post('/renewal/v1/campaigns', json=body))['id']}"
    planned = until(lambda: _in_state(client, path, "planned"), what="the plan")
    accepted(client.post(f"{path}/start", json={"plan_digest": planned["plan_digest"]}))
    _approve_campaign(client, platform)
    return dict(until(lambda: _in_state(client, path, "running"), what="the first wave"))


def _in_state(client: httpx.Client, path: str, state: str) -> Json | None:
    shown = accepted(client.get(path))
    return shown if shown["state"] == state else None


def _approve_campaign(client: httpx.Client, platform: Platform) -> None:
    """Agree as somebody who has not asked for it."""
    body = {"name": "agrees", "kind": "person", "roles": ["approver"]}
    made = accepted(client.post("/inventory/v1/principals", json=body))
    key = accepted(client.post(f"/inventory/v1/principals/{made['id']}/api-keys", json={}))["key"]
    token = accepted(
        httpx.post(f"{platform.url}/inventory/v1/tokens", json={}, headers={"Authorization": f"Bearer {key}"})
    )["access_token"]
    with httpx.Client(base_url=platform.url, headers={"Authorization": f"Bearer {token}"}) as other:
        asked = until(lambda: items(other, "/renewal/v1/approvals", kind="campaign"), what="the question")
        word = {"verdict": "grant", "digest": asked[0]["digest"], "reason": "a drill"}
        accepted(other.post(f"/renewal/v1/approvals/{asked[0]['id']}/decisions", json=word))


def test_a_campaign_is_paused_let_go_on_and_aborted_and_what_has_not_begun_never_does(
    page: Page, platform: Platform, client: httpx.Client, campaign: Json
):
    path = f"/renewal/v1/campaigns/{campaign['id']}"
    visit(page, platform, "/campaigns")
    page.get_by_role("link", name="away from it").click()
    what, rows = (
        page.get_by_role("region", name=name) for name in ("What it is", "Certificates of the campaign")
    )
    expect(rows.get_by_text("renewed", exact=True)).to_be_visible(timeout=OVER_MS)
    form = opened(page, "Pause")
    text(form, "Reason").fill("change freeze")
    done(form, "Pause")
    expect(what).to_contain_text("change freeze")
    assert accepted(client.get(path))["state"] == "paused"
    done(opened(page, "Resume"), "Resume")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert accepted(client.get(path))["state"] == "running"
    form = opened(page, "Abort")
    text(form, "Reason").fill("the drill is over")
    done(form, "Abort")
    expect(what).to_contain_text("the drill is over")
    expect(rows.get_by_text("skipped", exact=True)).to_be_visible(timeout=OVER_MS)
    expect(page.get_by_role("button", name="Signed report")).to_be_visible()
    expect(page.get_by_role("button", name="Abort")).to_have_count(0)
    states = [each["state"] for each in accepted(client.get(f"{path}/items"))["items"]]
    assert sorted(states) == ["renewed", "skipped"]
    assert accepted(client.get(path))["state"] == "aborted"
