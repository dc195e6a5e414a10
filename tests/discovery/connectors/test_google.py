"""Google Cloud projects: what uses a certificate, which permission is missing, and where a key may be used."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from services.discovery.connectors import Check
from services.discovery.connectors.google import GoogleCertificates, lists
from services.discovery.connectors.google.options import GoogleSettings
from services.discovery.domain.holdings import Gap, Holding, Listener, Page
from shared.clouds.google import GoogleCredential
from shared.errors import Invalid, Refused, Unavailable
from tests.discovery.workshops import Workshop, access_to
from tests.discovery.workshops.google_certificate_manager import PROJECT, CloudProject, rsa_key, workshop
from tests.servers.api import Asked, Told
from tests.servers.google import PERMISSIONS

MANAGER = f"projects/{PROJECT}/locations/global"
MAP = f"{MANAGER}/certificateMaps/front"
IP = "203.0.113.20"
HOW_TO = Path(__file__).parents[3] / "docs" / "how-to" / "read-cloud-stores.md"


@pytest.fixture
async def project(tmp_path: Path) -> AsyncIterator[CloudProject]:
    async with workshop(tmp_path) as opened:
        assert isinstance(opened, CloudProject)
        yield opened


def access(project: Workshop, **settings: Any) -> Any:
    return access_to(project, settings=GoogleSettings.model_validate(dict(project.settings) | settings))


async def pages(project: Workshop, *, after: str | None = None, **settings: Any) -> list[Page]:
    async with (
        GoogleCertificates.open(access(project, **settings)) as source,
        aclosing(source.read(after=after)) as found,
    ):
        return [page async for page in found]


async def read(project: Workshop, **settings: Any) -> tuple[dict[str, Holding], list[Gap]]:
    found = await pages(project, **settings)
    holdings = {each.path: each for page in found for each in page.holdings}
    return holdings, [each for page in found for each in page.gaps]


async def checks(project: Workshop) -> dict[str, Check]:
    async with GoogleCertificates.open(access(project)) as source:
        return {each.name: each for each in await source.check()}


def put_certificate(
    project: CloudProject, name: str = "shop", *, location: str = "global", **changes: Any
) -> str:
    path = f"projects/{PROJECT}/locations/{location}/certificates/{name}"
    pem = project.authority.issue(f"{name}.test").chain_pem.decode()
    project.cloud.put(
        "certificates", **({"name": path, "managed": {"state": "ACTIVE"}, "pemCertificate": pem} | changes)
    )
    return path


def put_map(project: CloudProject, certificate: str, **entry: Any) -> None:
    target = {
        "targetHttpsProxy": f"//compute.googleapis.com/projects/{PROJECT}/global/targetHttpsProxies/edge",
        "ipConfigs": [{"ipAddress": IP, "ports": [443]}],
    }
    project.cloud.put("certificateMaps", name=MAP, gclbTargets=[target])
    project.cloud.put(
        "certificateMapEntries",
        name=f"{MAP}/certificateMapEntries/one",
        certificates=[certificate],
        state="ACTIVE",
        **(entry or {"hostname": "Shop.Example.com"}),
    )


def put_balancer(
    project: CloudProject, *certificates: str, kind: str = "targetHttpsProxies", **proxy: Any
) -> None:
    link = project.cloud.link(f"global/{kind}/edge")
    project.cloud.put(kind, name="edge", selfLink=link, sslCertificates=list(certificates), **proxy)
    rule = project.cloud.link("global/forwardingRules/edge")
    project.cloud.put(
        "forwardingRules", name="edge", selfLink=rule, IPAddress=IP, portRange="443-443", target=link
    )


def put_classic(project: CloudProject, where: str = "global", **changes: Any) -> tuple[str, str]:
    link = project.cloud.link(f"{where}/sslCertificates/old")
    pem = project.authority.issue("old.test").chain_pem.decode()
    project.cloud.put("sslCertificates", **({"name": "old", "selfLink": link, "certificate": pem} | changes))
    return f"projects/{PROJECT}/{where}/sslCertificates/old", link


async def test_a_map_says_host_name_address_and_port(project: CloudProject):
    path = put_certificate(project)
    put_map(project, path)
    holdings, gaps = await read(project)
    held = holdings[path]
    assert gaps == []
    assert (held.address, held.format, held.in_use, held.addresses) == (
        f"google:{PROJECT}",
        "google-certificate-manager",
        True,
        (IP,),
    )
    (use,) = held.uses
    assert (use.product, use.file) == ("certificate-map", f"{MAP}/certificateMapEntries/one")
    assert (use.server_names, use.listeners, use.is_default) == (
        ("shop.example.com",),
        (Listener(port=443, address=IP),),
        False,
    )


async def test_the_primary_entry_of_a_map_answers_for_every_name(project: CloudProject):
    path = put_certificate(project)
    put_map(project, path, matcher="PRIMARY")
    (use,) = (await read(project))[0][path].uses
    assert (use.server_names, use.is_default) == ((), True)


@pytest.mark.parametrize("where", ["global", "regions/europe-west1"])
@pytest.mark.parametrize("kind", ["targetHttpsProxies", "targetSslProxies"])
async def test_a_load_balancer_says_which_certificates_it_has(project: CloudProject, where: str, kind: str):
    path, link = put_classic(project, where)
    manager = put_certificate(project)
    put_balancer(project, link, f"//certificatemanager.googleapis.com/{manager}", kind=kind)
    holdings, gaps = await read(project)
    assert gaps == []
    assert [(holdings[each].uses[0].is_default, holdings[each].in_use) for each in (path, manager)] == [
        (True, True),
        (False, True),
    ]
    assert holdings[path].uses[0].listeners == (Listener(port=443, address=IP),)
    assert holdings[path].format == "google-compute"


async def test_a_proxy_with_a_map_does_not_use_its_own_certificates(project: CloudProject):
    path, link = put_classic(project)
    put_balancer(project, link, certificateMap=f"//certificatemanager.googleapis.com/{MAP}")
    held = (await read(project))[0][path]
    assert (held.uses, held.in_use) == ((), False)


async def test_unused_is_said_only_where_all_that_could_use_it_was_read(project: CloudProject):
    path, _ = put_classic(project)
    manager = put_certificate(project)
    regional = put_certificate(project, "regional", location="europe-west1")
    cache = put_certificate(project, "cache", scope="EDGE_CACHE")
    by_other = put_certificate(project, "by-other", usedBy=[{"name": "//networkservices.googleapis.com/x"}])

    async def in_use() -> dict[str, bool | None]:
        return {held: each.in_use for held, each in (await read(project))[0].items()}

    expected = {path: False, manager: False, regional: None, cache: None, by_other: True}
    assert await in_use() == expected
    project.cloud.permissions.discard("compute.targetSslProxies.list")
    assert await in_use() == expected | {path: None, manager: None}


async def test_trying_asks_for_each_permission(project: CloudProject):
    put_map(project, put_certificate(project))
    found = await checks(project)
    assert set(found) == PERMISSIONS
    assert all(each.ok for each in found.values())


@pytest.mark.parametrize("missing", sorted(PERMISSIONS))
async def test_a_missing_permission_is_named_by_the_run_and_by_trying(project: CloudProject, missing: str):
    put_map(project, put_certificate(project))
    put_balancer(project, put_classic(project)[1])
    project.cloud.permissions.discard(missing)
    _, gaps = await read(project)
    assert gaps
    assert all(gap.reason.startswith(f"{missing} is denied.") for gap in gaps)
    assert [name for name, each in (await checks(project)).items() if not each.ok] == [missing]


async def test_denied_lists_hide_what_they_have(project: CloudProject):
    path, _ = put_classic(project, "regions/europe-west1")
    manager = put_certificate(project)
    project.cloud.permissions -= {"compute.sslCertificates.list", "certificatemanager.certs.list"}
    holdings, gaps = await read(project)
    assert holdings == {}
    assert all(any(gap.hides(each) for gap in gaps) for each in (path, manager))


async def test_a_location_that_did_not_answer_is_a_gap(project: CloudProject):
    put_certificate(project)
    project.cloud.unreachable = [f"projects/{PROJECT}/locations/us-east1"]
    _, (gap,) = await read(project)
    assert gap.scope == f"projects/{PROJECT}/locations/us-east1"


@pytest.mark.parametrize(
    "managed",
    [{"state": "PROVISIONING", "provisioningIssue": {"reason": "AUTHORIZATION_ISSUE"}}, {"state": "FAILED"}],
)
async def test_what_google_has_not_issued_is_told_and_hides_nothing(
    project: CloudProject, managed: dict[str, Any]
):
    path = put_certificate(project, pemCertificate="", managed=managed)
    classic, _ = put_classic(project, certificate=None, managed={"status": "PROVISIONING"})
    holdings, gaps = await read(project)
    assert holdings == {}
    assert {gap.scope: gap.is_absent for gap in gaps} == {path: True, classic: True}
    assert managed["state"] in gaps[0].reason


async def test_long_lists_are_read_page_by_page_and_go_on_after_any(project: CloudProject):
    pem = project.authority.issue("x.test").chain_pem.decode()
    for number in range(230):
        project.cloud.put("certificates", name=f"{MANAGER}/certificates/c{number}", pemCertificate=pem)
    whole = await pages(project)
    assert [len(page.holdings) for page in whole] == [100, 100, 30, 0]
    rest = await pages(project, after=whole[0].position)
    assert [page.holdings for page in rest] == [page.holdings for page in whole[1:]]


async def test_without_compute_nothing_of_it_is_asked(project: CloudProject):
    put_classic(project)
    path = put_certificate(project)
    holdings, _ = await read(project, compute=False)
    assert {each: held.in_use for each, held in holdings.items()} == {path: None}
    assert not [each for each in project.cloud.api.asked if each.path.startswith("/compute/")]


async def test_tokens_that_end_in_the_middle_are_made_anew_once(project: CloudProject):
    put = project.put(240)
    done: list[Asked] = []

    def expire(asked: Asked, told: Told) -> Told:
        if "pageToken" in asked.query and not done:
            done.append(asked)
            project.cloud.expire()
        return told

    project.cloud.api.twist = expire
    holdings, gaps = await read(project)
    assert (holdings.keys(), gaps) == (put.keys(), [])
    # One for each of the two APIs, and again for each.
    assert len([each for each in project.cloud.api.asked if each.path == "/token"]) <= 4


async def test_a_key_is_used_only_where_the_settings_allow_it(project: CloudProject):
    file = project.cloud.key_file(token_uri="https://evil.test/token")
    given = access_to(project, credential=GoogleCredential.model_validate({"service_account_key": file}))
    with pytest.raises(Invalid, match="another token_uri"):
        async with GoogleCertificates.open(given):
            pass
    assert project.cloud.api.asked == []
    assert GoogleSettings.model_fields["token_uri"].default == "https://oauth2.googleapis.com/token"


async def test_another_key_is_refused_and_asked_with_once(project: CloudProject):
    file = project.cloud.key_file(rsa_key("somebody else"))
    given = access_to(project, credential=GoogleCredential.model_validate({"service_account_key": file}))
    with pytest.raises(Refused, match=r"invalid_grant Invalid JWT Signature"):
        async with GoogleCertificates.open(given) as source:
            [page async for page in source.read(after=None)]
    assert len(project.cloud.api.asked) == 1


@pytest.mark.parametrize(
    "changes", [{"type": "authorized_user"}, {"private_key": "hunter2"}, {"client_email": "nobody"}]
)
async def test_what_is_no_key_file_is_refused_without_being_quoted(
    project: CloudProject, changes: dict[str, str]
):
    with pytest.raises(ValueError, match="key") as refused:
        GoogleCredential.model_validate({"service_account_key": project.cloud.key_file(None, **changes)})
    said = json.dumps([each["msg"] for each in refused.value.errors()])  # type: ignore[attr-defined]  # pydantic's
    assert "hunter2" not in said
    assert "PRIVATE" not in said


@pytest.mark.parametrize(
    "item", [7, {}, {"name": "elsewhere"}, {"name": f"{MANAGER}/certificates/x", "pemCertificate": 7}]
)
async def test_a_certificate_that_is_not_as_the_api_defines_it_is_a_gap(project: CloudProject, item: object):
    path = put_certificate(project)

    def odd(asked: Asked, told: Told) -> Told:
        if asked.path.endswith("/certificates"):
            return Told(document={"certificates": [*told.document["certificates"], item]})
        return told

    project.cloud.api.twist = odd
    holdings, (gap,) = await read(project)
    assert set(holdings) == {path}
    assert gap.hides(path)


async def test_pem_that_makes_no_sense_is_a_gap_of_its_own(project: CloudProject):
    path = put_certificate(project, pemCertificate="hello")
    _, (gap,) = await read(project)
    assert gap.scope == path


@pytest.mark.parametrize(
    "document", [[], {"nextPageToken": 7}, {"nextPageToken": 'a"b'}, {"nextPageToken": "x" * 3000}]
)
async def test_a_list_that_makes_no_sense_ends_the_run(project: CloudProject, document: object):
    project.cloud.api.twist = lambda asked, told: (
        Told(document=document) if asked.path.endswith("/certificates") else told
    )
    with pytest.raises(Unavailable):
        await pages(project)


async def test_a_list_without_end_ends_the_run(project: CloudProject, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lists, "MOST_PAGES", 5)
    project.cloud.api.twist = lambda asked, told: (
        Told(document={"nextPageToken": "again"}) if asked.path.endswith("/certificateMaps") else told
    )
    with pytest.raises(Unavailable, match="no end"):
        await pages(project)


async def test_the_permissions_of_the_how_to_are_exactly_those_that_are_needed():
    table = HOW_TO.read_text().partition("A role of your own")[2].partition("```")[0]
    named = set(re.findall(r"`((?:certificatemanager|compute)\.[A-Za-z.]+)`", table))
    assert named == PERMISSIONS
    assert named == {each.permission for each in vars(lists).values() if isinstance(each, lists.List)}
