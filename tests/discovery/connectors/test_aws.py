"""AWS accounts are read whole, by nothing but reading, and what is denied is named."""

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from pydantic import SecretStr

from services.discovery.connectors import Access, Check
from services.discovery.connectors.aws.acm import AcmShelf
from services.discovery.connectors.aws.actions import ALWAYS_PERMITTED, CALLS
from services.discovery.connectors.aws.join import Using
from services.discovery.connectors.aws.settings import AwsSettings
from services.discovery.connectors.aws.source import AwsAccounts
from services.discovery.domain.holdings import Gap, Holding, Listener
from shared import x509
from shared.aws.credentials import AwsCredential
from shared.aws.transport import Sender, client_of, isolated_session
from shared.errors import Refused, Unavailable
from shared.outbound import Policy
from tests.builders import LOOPBACK
from tests.discovery.connectors.aws_estate import POLICY, Estate
from tests.discovery.workshops import access_to
from tests.discovery.workshops.aws import (
    EXTERNAL_ID,
    ROLE,
    Accounts,
    accounts,
    documented_policy,
    policy_without,
)
from tests.servers.aws import ACCOUNT, OTHER
from tests.servers.aws_writes import certificate_id
from tests.servers.webhook import Answer, Webhook

OWN_ONLY: dict[str, Any] = {"accounts": [], "regions": ["eu-west-1"]}
OTHER_ONLY: dict[str, Any] = {"own_account": False, "regions": ["eu-west-1"]}
_ELB = "elasticloadbalancing"


@pytest.fixture
async def shop() -> AsyncIterator[Accounts]:
    """Two accounts, and a login that may do what the how-to says."""
    async with accounts() as opened:
        yield opened


def access(shop: Accounts, **settings: Any) -> Any:
    given = AwsSettings.model_validate({**shop.settings, **settings})
    return access_to(shop, settings=given)


async def read(shop: Accounts, **settings: Any) -> tuple[dict[str, Holding], list[Gap]]:
    holdings: dict[str, Holding] = {}
    gaps: list[Gap] = []
    async with (
        AwsAccounts.open(access(shop, **settings)) as source,
        aclosing(source.read(after=None)) as pages,
    ):
        async for page in pages:
            holdings |= {holding.path: holding for holding in page.holdings}
            gaps += page.gaps
    return holdings, gaps


async def check(shop: Accounts, **settings: Any) -> list[Check]:
    async with AwsAccounts.open(access(shop, **settings)) as source:
        return list(await source.check())


async def test_a_listener_with_a_default_and_two_further_certificates_gives_three_uses(shop: Accounts):
    with shop.aws.unlocked():
        estate = Estate(shop.aws)
        default, first, second, idle = (
            estate.acm(*names)
            for names in (("d.test",), ("one.test", "*.one.test"), ("two.test",), ("idle.test",))
        )
        listener = estate.listener(default, first, second, default)
        address = estate.client("elbv2").describe_load_balancers()["LoadBalancers"][0]["DNSName"]
    found, gaps = await read(shop, **OWN_ONLY)
    assert gaps == []
    uses = {path: found[path].uses for path in (default, first, second)}
    assert [len(each) for each in uses.values()] == [1, 1, 1]
    for path, (use,) in uses.items():
        assert (use.product, use.file, use.certificate) == ("elbv2", listener, path)
        assert use.listeners == (Listener(port=8443, address=address),)
        assert "TLSv1.3" in use.protocols
        assert use.ciphers
        assert POLICY not in use.ciphers
        assert use.is_default == (path == default)
    assert uses[default][0].server_names == ()
    assert uses[first][0].server_names == ("*.one.test", "one.test")
    assert all(found[path].in_use is True for path in uses)
    assert (found[idle].in_use, found[idle].uses) == (False, ())
    assert found[idle].address == f"aws:{ACCOUNT}"
    assert len(found[idle].chain) > 1


async def test_classic_balancers_distributions_and_domains_are_uses_too(shop: Accounts):
    with shop.aws.unlocked():
        estate = Estate(shop.aws)
        regional, edge, server = (
            estate.acm("r.test"),
            estate.acm("e.test", region="us-east-1"),
            estate.iam("s"),
        )
        estate.classic(server)
        rest, http = estate.rest_domain("Rest.test", regional), estate.http_domain("http.test", regional)
        on = estate.distribution(["WWW.e.test", "e.test"], ACMCertificateArn=edge)
        off = estate.distribution(["s.test"], is_enabled=False, IAMCertificateId=certificate_id("s"))
    found, gaps = await read(shop, **OWN_ONLY)
    assert gaps == []
    classic, disabled = sorted(found[server].uses, key=lambda use: use.product != "elb")
    assert (classic.protocols, classic.ciphers) == (("TLSv1.2",), "ECDHE-RSA-AES128-GCM-SHA256")
    assert [each.port for each in classic.listeners] == [443]
    assert classic.listeners[0].address
    assert (disabled.file, disabled.listeners, disabled.certificate) == (off["ARN"], (), server)
    (cloudfront,) = found[edge].uses
    assert cloudfront.server_names == ("www.e.test", "e.test")
    assert cloudfront.listeners == (Listener(port=443, address=on["DomainName"]),)
    domains = {use.server_names[0]: use for use in found[regional].uses}
    assert domains.keys() == {"rest.test", "http.test"}
    assert domains["rest.test"].listeners[0].address == rest.get("regionalDomainName", "Rest.test")
    assert domains["http.test"].client_verification == "required"
    assert http["DomainName"] == "http.test"


async def test_certificates_of_cloudfront_are_read_whatever_regions_are_named(shop: Accounts):
    with shop.aws.unlocked():
        edge = Estate(shop.aws).acm("e.test", region="us-east-1")
    found, _ = await read(shop, **OWN_ONLY)
    assert edge in found
    found, _ = await read(shop, services=["acm"], **OWN_ONLY)
    assert edge not in found


async def test_acm_lists_keys_of_all_types_over_many_pages(shop: Accounts):
    with shop.aws.unlocked():
        estate = Estate(shop.aws)
        put = {estate.acm(f"c{number}.test") for number in range(101)}
        put.add(estate.acm(issued=estate.authority.issue("rsa.test", kind="rsa")))
        shop.aws.pages_of(30)
        before = len(shop.aws.calls())
    async with AwsAccounts.open(access(shop, **OWN_ONLY)) as source:
        shelf = AcmShelf(source._own, "eu-west-1", Using())
        listed = [each[0] async for each in shelf.listed() if not isinstance(each, Gap)]
    assert len(listed) == len(put)
    assert {*listed} == put
    assert shop.aws.calls()[before:].count("acm:ListCertificates") == 5


async def test_a_certificate_that_is_used_and_kept_where_nothing_is_read_is_a_gap(shop: Accounts):
    with shop.aws.unlocked():
        estate = Estate(shop.aws)
        held = estate.acm("r.test")
        estate.rest_domain("rest.test", held)
    _, (gap,) = await read(shop, services=["apigateway", "iam"], **OWN_ONLY)
    assert gap.hides(held)
    assert "domainnames/rest.test" in gap.reason


async def test_a_position_that_the_settings_do_not_know_any_more_begins_anew(shop: Accounts):
    with shop.aws.unlocked():
        held = Estate(shop.aws).acm("r.test")
    async with AwsAccounts.open(access(shop, **OWN_ONLY)) as source:
        for after, expected in (
            (f"{OTHER} acm eu-west-1|arn:z", [held]),
            (f"{ACCOUNT} acm eu-west-1|{held}", []),
        ):
            async with aclosing(source.read(after=after)) as pages:
                assert [each.path async for page in pages for each in page.holdings] == expected


async def test_reading_that_is_given_up_ends_at_once_though_nothing_answers(shop: Accounts):
    async with AwsAccounts.open(access(shop)) as source:
        shop.stall()
        start = time.monotonic()
        with anyio.move_on_after(0.3) as scope:
            await source.check()
        assert scope.cancelled_caught
        assert time.monotonic() - start < 5


async def test_what_is_no_answer_of_aws_is_unavailable(webhook: Webhook):
    webhook.default = Answer(body=b"<html>welcome</html>", headers={"Content-Type": "text/html"})
    given = AwsSettings(regions=["eu-west-1"], endpoint_url=webhook.url)
    credential = AwsCredential(access_key_id="A" * 16, secret_access_key=SecretStr("s" * 40))
    for body in (b"<html>welcome</html>", b"", b"{}"):
        webhook.default = Answer(body=body)
        with pytest.raises(Unavailable):
            async with AwsAccounts.open(
                Access(settings=given, credential=credential, policy=Policy(LOOPBACK))
            ):
                pass


async def test_what_a_private_ca_issued_is_read_from_the_newest_report_in_a_bucket(shop: Accounts):
    with shop.aws.unlocked():
        estate = Estate(shop.aws)
        authority = estate.private_ca("ca")
        good, revoked, old, later = (estate.issue(authority, f"{name}.test") for name in ("a", "b", "c", "d"))
        estate.bucket("pca-audit-reports")
        estate.report("pca-audit-reports", authority, "z-older", {"certificateArn": later})
        time.sleep(1.1)  # it tells times in seconds
        estate.report(
            "pca-audit-reports",
            authority,
            "a-newer",
            {"certificateArn": good},
            {"certificateArn": revoked, "revokedAt": "2020-01-01T00:00:00+0000"},
            {"certificateArn": old, "notAfter": "2020-01-01T00:00:00+0000"},
        )
    reports = [{"bucket": "pca-audit-reports", "region": "eu-west-1"}]
    found, gaps = await read(shop, audit_reports=reports, **OWN_ONLY)
    assert gaps == []
    assert found.keys() == {authority, good}
    assert x509.read(found[authority].chain[0]).is_ca
    assert x509.read(found[good].chain[0]).subject == "CN=a.test"
    assert found[good].in_use is None


async def test_a_private_ca_without_a_report_is_a_gap_that_says_what_to_do(shop: Accounts):
    with shop.aws.unlocked():
        estate = Estate(shop.aws)
        authority = estate.private_ca("ca")
        estate.bucket("pca-audit-reports")
    found, (gap,) = await read(shop, **OWN_ONLY)
    assert found.keys() == {authority}
    assert gap.scope == f"{authority}/certificate"
    assert "audit_reports" in gap.next_step
    assert gap.is_absent
    reports = [{"bucket": "pca-audit-reports", "region": "eu-west-1"}]
    _, (gap,) = await read(shop, audit_reports=reports, **OWN_ONLY)
    assert gap.hides(f"{authority}/certificate/1")
    with shop.aws.unlocked():
        estate.report("pca-audit-reports", authority, "1", {"certificateArn": "arn:aws:acm-pca:::other"})
    _, (gap,) = await read(shop, audit_reports=reports, **OWN_ONLY)
    assert "other CAs" in gap.reason


@pytest.mark.parametrize(
    ("action", "hides_use"),
    [
        (f"{_ELB}:DescribeListeners", True),
        (f"{_ELB}:DescribeListenerCertificates", True),
        (f"{_ELB}:DescribeSSLPolicies", False),
    ],
)
async def test_a_denied_listing_is_a_gap_that_names_it_and_nothing_is_told_unused(
    shop: Accounts, action: str, hides_use: bool
):
    with shop.aws.unlocked():
        estate = Estate(shop.aws, account=OTHER)
        idle = estate.acm("idle.test")
        estate.listener(estate.acm("d.test"))
        shop.allow(policy_without(action))
    found, gaps = await read(shop, **OTHER_ONLY)
    assert found[idle].in_use is (None if hides_use else False)
    assert [gap.reason for gap in gaps] == [f"{action} in eu-west-1 of {OTHER} is denied."] * hides_use
    denied = [each.text for each in await check(shop, **OTHER_ONLY) if not each.ok]
    assert [action in text and "eu-west-1" in text for text in denied] == [True] * hides_use


async def test_where_acm_may_not_say_what_uses_a_certificate_it_is_told_all_the_same(shop: Accounts):
    with shop.aws.unlocked():
        estate = Estate(shop.aws, account=OTHER)
        used, more = estate.acm("used.test"), estate.acm("more.test")
        estate.listener(used, more)
        shop.allow(policy_without("acm:DescribeCertificate"))
    found, (gap,) = await read(shop, **OTHER_ONLY)
    assert [found[path].in_use for path in (used, more)] == [True, True]
    assert gap.reason == f"acm:DescribeCertificate in eu-west-1 of {OTHER} is denied."
    assert not gap.hides(used)
    denied = [each.text for each in await check(shop, **OTHER_ONLY) if not each.ok]
    assert ["acm:DescribeCertificate" in text for text in denied] == [True]


async def test_certificates_that_may_be_listed_and_not_read_are_one_gap_where_they_are_many(shop: Accounts):
    with shop.aws.unlocked():
        estate = Estate(shop.aws, account=OTHER)
        put = [estate.acm(f"c{number}.test") for number in range(15)]
        shop.allow(policy_without("acm:GetCertificate"))
    found, gaps = await read(shop, **OTHER_ONLY)
    assert found == {}
    assert len(gaps) == 10
    assert all(any(gap.hides(path) for gap in gaps) for path in put)
    assert shop.aws.calls().count("acm:GetCertificate") == 10


async def test_a_role_that_may_not_be_assumed_is_a_gap_for_its_account_and_the_others_are_read(
    shop: Accounts,
):
    with shop.aws.unlocked():
        own = Estate(shop.aws).acm("own.test")
        others = Estate(shop.aws, account=OTHER).acm("other.test")
    wrong = [{"role_arn": f"{ROLE}-of-others"}]
    found, gaps = await read(shop, accounts=wrong)
    assert own in found
    assert any(gap.hides(others) for gap in gaps)
    assert not any(gap.hides(own) for gap in gaps)
    assert all("sts:AssumeRole" in gap.reason and ROLE in gap.reason for gap in gaps)
    checks = {each.name: each for each in await check(shop, accounts=wrong)}
    assert checks[f"account {ACCOUNT}"].ok
    assert not checks[f"account {OTHER}"].ok


async def test_throttling_is_tried_a_few_times_and_is_then_unavailable(
    shop: Accounts, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)
    shop.aws.fail("acm:ListCertificates", code="ThrottlingException", times=2)
    assert await read(shop, **OWN_ONLY) == ({}, [])
    shop.aws.fail("acm:ListCertificates", code="ThrottlingException", times=99)
    with pytest.raises(Unavailable):
        await read(shop, **OWN_ONLY)


async def test_a_region_that_does_not_know_the_key_is_a_gap_as_long_as_the_key_is_good(shop: Accounts):
    with shop.aws.unlocked():
        held = Estate(shop.aws).iam("s")
    shop.aws.fail("acm:ListCertificates", code="UnrecognizedClientException", times=1)
    found, (gap,) = await read(shop, **OWN_ONLY)
    assert held in found
    assert gap.scope == f"arn:aws:acm:eu-west-1:{ACCOUNT}:certificate"
    shop.aws.fail("acm:ListCertificates", code="UnrecognizedClientException", times=1)
    shop.aws.fail("sts:GetCallerIdentity", code="InvalidClientTokenId", times=99)
    with pytest.raises(Refused):
        await read(shop, **OWN_ONLY)


async def test_a_session_that_ends_while_it_reads_is_begun_anew_and_an_own_one_is_refused(shop: Accounts):
    with shop.aws.unlocked():
        held = Estate(shop.aws, account=OTHER).acm("a.test")
        Estate(shop.aws).acm("b.test")
    shop.aws.fail("acm:GetCertificate", code="ExpiredTokenException")
    found, gaps = await read(shop, **OTHER_ONLY)
    assert (list(found), gaps) == ([held], [])
    assert [session["external_id"] for session in shop.aws.sessions()] == [EXTERNAL_ID] * 2
    shop.aws.fail("acm:GetCertificate", code="ExpiredTokenException")
    with pytest.raises(Refused, match="ExpiredToken"):
        await read(shop, **OWN_ONLY)


def documented_actions() -> set[str]:
    actions: set[str] = set()
    for statement in documented_policy()["Statement"]:
        named = statement["Action"]
        actions |= {*named} if isinstance(named, list) else {named}
    return actions


def test_the_policy_of_the_how_to_is_what_may_be_called():
    known = {action for calls in CALLS.values() for action in calls.values()}
    assert documented_actions() == known - ALWAYS_PERMITTED


async def test_every_documented_action_is_used_and_nothing_else_is_called(shop: Accounts):
    with shop.aws.unlocked():
        estate = Estate(shop.aws, account=OTHER)
        used = estate.acm("used.test")
        estate.listener(used)
        estate.classic(estate.iam("s"))
        authority = estate.private_ca("ca")
        estate.bucket("pca-audit-reports")
        issued = estate.issue(authority, "i.test")
        estate.report("pca-audit-reports", authority, "1", {"certificateArn": issued})
    before = len(shop.aws.calls())
    reports = [{"bucket": "pca-audit-reports", "region": "eu-west-1"}]
    found, gaps = await read(shop, audit_reports=reports)
    assert gaps == []
    assert found.keys() >= {used, authority, issued}
    assert {_action(call) for call in shop.aws.calls()[before:]} - ALWAYS_PERMITTED == documented_actions()


def _action(call: str) -> str:
    """Return the IAM action of a call, which REST tells by method and path."""
    if call.startswith("cloudfront:GET /"):
        return "cloudfront:ListDistributions"
    if call.startswith("s3:GET /"):
        return "s3:GetObject" if call.endswith(".json") else "s3:ListBucket"
    return "apigateway:GET" if call.startswith("apigateway:GET /") else call


async def test_nothing_of_this_machine_is_used_and_nothing_passes_by_the_guard(
    shop: Accounts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    with shop.aws.unlocked():
        held = Estate(shop.aws).iam("s")
    config = tmp_path / "config"
    config.write_text(
        "[profile p]\nregion = xx-nowhere-1\nendpoint_url = http://127.0.0.1:1\n[plugins]\nx = y\n"
    )
    for name, value in {
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(config),
        "AWS_PROFILE": "not-there",
        "AWS_DEFAULT_REGION": "xx-nowhere-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "AKIANOTTHISONE000000",
        "AWS_SECRET_ACCESS_KEY": "not this one",
        "AWS_SESSION_TOKEN": "not this one",
        "AWS_DATA_PATH": str(tmp_path),
        "AWS_CA_BUNDLE": str(config),
        "AWS_DEFAULTS_MODE": "auto",
        "HTTP_PROXY": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    assert (await read(shop, **OWN_ONLY))[0].keys() == {held}
    before = len(shop.aws.calls())
    with pytest.raises(Refused, match="policy does not permit"):
        async with AwsAccounts.open(access_to(shop, policy=Policy())):
            pass
    assert len(shop.aws.calls()) == before


async def test_a_call_that_is_not_one_of_ours_is_not_sent(shop: Accounts):
    client = client_of(
        isolated_session(),
        "s3",
        region="eu-west-1",
        keys={"aws_access_key_id": "A" * 16, "aws_secret_access_key": "s", "aws_session_token": None},
        endpoint_url=shop.aws.url,
        sender=cast("Sender", None),
        calls=CALLS,
    )
    before = len(shop.aws.calls())
    with pytest.raises(Refused, match="PutObject"):
        client.put_object(Bucket="bucket", Key="key", Body=b"")
    assert len(shop.aws.calls()) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"regions": []},
        {"regions": ["Eu-West-1/../"]},
        {"own_account": False},
        {"accounts": [{"role_arn": ROLE}, {"role_arn": ROLE + "2"}]},
        {"endpoint_url": "http://user:secret@host"},
        {"endpoint_url": "file:///etc/passwd"},
        {"services": ["s3"]},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError):
        AwsSettings.model_validate({"regions": ["eu-west-1"], **wrong})
