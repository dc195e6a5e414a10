"""Key Vaults: whose tokens are asked for, versions, denials by their inner code, and answers that make no sense."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from services.discovery.connectors.azure import AzureKeyVault, KeyVaultSettings
from services.discovery.connectors.azure.source import _skip_token
from services.discovery.domain.holdings import Gap, Holding, Page
from shared.clouds.key_vault import KeyVaultCredential, resource_of
from shared.errors import Refused, Unavailable
from tests.discovery.workshops import Workshop, access_to
from tests.discovery.workshops.azure_key_vault import Vault, workshop
from tests.servers.api import Asked, Told
from tests.servers.tls import Issued


@pytest.fixture
async def vault(tmp_path: Path) -> AsyncIterator[Vault]:
    async with workshop(tmp_path) as opened:
        assert isinstance(opened, Vault)
        yield opened


async def pages(vault: Workshop, *, credential: dict[str, Any] | None = None, **settings: Any) -> list[Page]:
    access = access_to(
        vault,
        settings=KeyVaultSettings.model_validate(dict(vault.settings) | settings),
        credential=KeyVaultCredential.model_validate(credential or dict(vault.credential)),
    )
    async with AzureKeyVault.open(access) as source, aclosing(source.read(after=None)) as found:
        return [page async for page in found]


async def read(vault: Workshop, **changes: Any) -> tuple[dict[str, Holding], list[Gap]]:
    found = await pages(vault, **changes)
    holdings = {each.path: each for page in found for each in page.holdings}
    return holdings, [each for page in found for each in page.gaps]


async def test_a_certificate_says_its_vault_and_its_key(vault: Vault):
    version = vault.vault.put("shop", vault.authority.issue("shop.test"))
    holdings, gaps = await read(vault)
    held = holdings["certificates/shop"]
    assert gaps == []
    assert (held.address, held.format, held.in_use) == ("azure-key-vault:localhost", "azure-key-vault", None)
    assert held.key is not None
    assert (held.key.path, held.key.is_match) == (f"keys/shop/{version}", True)


async def test_a_disabled_certificate_is_in_nobodys_use(vault: Vault):
    vault.vault.put("shop", vault.authority.issue("shop.test"))
    vault.vault.disable("shop")
    holdings, _ = await read(vault)
    assert holdings["certificates/shop"].in_use is False


async def test_older_versions_are_read_where_they_are_wanted_and_the_current_one_once(vault: Vault):
    issued = [vault.authority.issue("shop.test") for _ in range(30)]
    versions = [vault.vault.put("shop", each) for each in issued]
    holdings, _ = await read(vault, old_versions=True)
    assert set(holdings) == {"certificates/shop", *(f"certificates/shop/{each}" for each in versions[:-1])}
    assert set((await read(vault))[0]) == {"certificates/shop"}


async def test_an_application_is_known_by_its_certificate(vault: Vault):
    vault.vault.put("shop", vault.authority.issue("shop.test"))
    mine, other = (vault.authority.issue("app.test", kind="rsa") for _ in range(2))
    vault.entra.certificate = mine.certificate

    def by(issued: Issued) -> dict[str, str]:
        return {"certificate": issued.certificate_pem.decode(), "private_key": issued.key_pem.decode()}

    assert set((await read(vault, credential=by(mine)))[0]) == {"certificates/shop"}
    with pytest.raises(Refused, match="invalid_client"):
        await read(vault, credential=by(other))
    with pytest.raises(ValueError, match="cannot be used"):
        KeyVaultCredential.model_validate({**by(mine), "private_key": by(other)["private_key"]})


async def test_a_token_that_ends_in_the_middle_is_made_anew_once(vault: Vault):
    put = vault.put(60)

    def expire(asked: Asked, told: Told) -> Told:
        if "$skiptoken" in asked.query and len(asked_for_tokens(vault)) == 1:
            vault.entra.expire()
        return told

    vault.vault.api.twist = expire
    holdings, gaps = await read(vault)
    assert (holdings.keys(), gaps) == (put.keys(), [])
    assert len(asked_for_tokens(vault)) == 2


def asked_for_tokens(vault: Vault) -> list[Asked]:
    return vault.entra.api.asked


async def test_a_vault_that_takes_no_token_is_asked_twice_and_no_more(vault: Vault):
    vault.put(1)
    vault.entra.lifetime = 1

    def never(asked: Asked, told: Told) -> Told:
        vault.entra.expire()
        return told

    vault.entra.api.twist = never
    with pytest.raises(Refused):
        await read(vault)
    assert len(asked_for_tokens(vault)) <= 2


async def test_no_token_is_given_to_a_vault_that_asks_for_another_services(vault: Vault):
    vault.put(1)
    vault.vault.resource = "https://management.azure.com"
    with pytest.raises(Refused, match="another service"):
        await read(vault)
    assert asked_for_tokens(vault) == []


async def test_a_vault_of_another_tenant_is_told_apart_before_any_secret_is_sent(vault: Vault):
    with pytest.raises(Refused, match="another tenant"):
        await read(vault, tenant="99999999-2222-4333-8444-555555555555")
    assert asked_for_tokens(vault) == []


@pytest.mark.parametrize(
    ("resource", "host"),
    [
        ("https://vault.azure.net", "shop.vault.azure.net"),
        ("https://vault.usgovcloudapi.net/", "Shop.Vault.usgovcloudapi.net"),
        ("https://localhost", "localhost"),
    ],
)
def test_a_resource_of_the_vaults_own_domain_is_asked_for(resource: str, host: str):
    assert resource_of(resource, host=host) == resource.rstrip("/")


@pytest.mark.parametrize(
    "resource",
    [
        "",
        "https://graph.microsoft.com",
        "https://ault.azure.net",
        "https://evil.vault.azure.net",
        "http://vault.azure.net",
        "https://vault.azure.net/other",
        "https://user@vault.azure.net",
        "https://vault.azure.net:444",
    ],
)
def test_no_other_resource_is(resource: str):
    with pytest.raises(Refused):
        resource_of(resource, host="shop.vault.azure.net")


def test_the_next_page_is_the_vaults_own_with_or_without_its_port():
    link = "https://shop.vault.azure.net:443/certificates?api-version=7.4&$skiptoken=eyJO&maxresults=25"
    assert _skip_token(link, host="Shop.vault.azure.net", path="/certificates") == "eyJO"
    assert _skip_token(None, host="x", path="/certificates") is None
    for wrong in (
        link.replace("shop", "other"),
        link.replace("https", "http"),
        link.replace("/certificates", "/secrets"),
        link.replace("eyJO", "x" * 3000),
    ):
        with pytest.raises(Unavailable):
            _skip_token(wrong, host="shop.vault.azure.net", path="/certificates")


@pytest.mark.parametrize("code", ["ForbiddenByPolicy", "ForbiddenByRbac"])
async def test_a_list_that_is_denied_hides_the_whole_vault(vault: Vault, code: str):
    vault.put(2)
    vault.vault.rights.may_list = False
    vault.vault.rights.code = code
    holdings, (gap,) = await read(vault)
    assert (holdings, gap.scope) == ({}, "certificates")
    assert code in gap.reason
    assert "certificates/list" in gap.next_step


async def test_one_that_may_not_be_read_is_a_gap_of_its_own(vault: Vault):
    vault.put(3)
    vault.vault.rights.denied = {"site-0001"}
    holdings, (gap,) = await read(vault)
    assert set(holdings) == {"certificates/site-0000", "certificates/site-0002"}
    assert gap.scope == "certificates/site-0001"
    assert "certificates/get" in gap.next_step


async def test_a_firewall_refuses_the_run(vault: Vault):
    vault.put(1)
    token = (await pages(vault))[0]
    assert token.holdings
    vault.vault.rights.is_behind_firewall = True
    with pytest.raises(Refused, match="ForbiddenByFirewall") as refused:
        await pages(vault)
    assert "firewall" in refused.value.next_step


async def test_one_that_was_deleted_meanwhile_is_not_there(vault: Vault):
    vault.put(2)
    vault.vault.api.twist = lambda asked, told: (
        Told(status=404, document={"error": {"code": "CertificateNotFound"}})
        if asked.path.endswith("site-0001")
        else told
    )
    holdings, gaps = await read(vault)
    assert (set(holdings), gaps) == ({"certificates/site-0000"}, [])


@pytest.mark.parametrize(
    "document", [{"id": "x"}, {"id": "x", "cer": "%%"}, {"id": "x", "cer": "AAAA"}, [], None]
)
async def test_a_bundle_that_makes_no_sense_is_a_gap_of_its_own(vault: Vault, document: object):
    vault.put(2)
    vault.vault.api.twist = lambda asked, told: (
        Told(document=document) if asked.path.endswith("site-0001") else told
    )
    holdings, (gap,) = await read(vault)
    assert set(holdings) == {"certificates/site-0000"}
    assert gap.scope == "certificates/site-0001"


@pytest.mark.parametrize(
    "document",
    [[], {"value": 7}, {"value": [], "nextLink": "https://elsewhere.test/certificates?$skiptoken=x"}],
)
async def test_a_list_that_makes_no_sense_ends_the_run(vault: Vault, document: object):
    vault.put(1)
    vault.vault.api.twist = lambda asked, told: (
        Told(document=document) if asked.path == "/certificates" and asked.bearer else told
    )
    with pytest.raises(Unavailable):
        await pages(vault)


@pytest.mark.parametrize(
    "document",
    [{}, {"access_token": "a b", "token_type": "Bearer"}, {"access_token": "x", "token_type": "mac"}],
)
async def test_a_token_that_makes_no_sense_is_not_sent(vault: Vault, document: object):
    vault.put(1)
    vault.entra.api.twist = lambda _asked, _told: Told(document=document)
    with pytest.raises(Unavailable, match="no bearer token"):
        await pages(vault)


async def test_only_certificates_are_asked_for(vault: Vault):
    vault.put(30)
    await read(vault, old_versions=True)
    assert {each.path.split("/")[1] for each in vault.vault.api.asked} == {"certificates"}
    assert {each.method for each in vault.vault.api.asked} == {"GET"}


@pytest.mark.parametrize(
    "changes",
    [
        {"vault": "http://shop.vault.azure.net"},
        {"vault": "https://shop.vault.azure.net/secrets"},
        {"tenant": "common"},
        {"authority": "http://login.test"},
    ],
)
async def test_settings_that_make_no_sense_are_refused(vault: Vault, changes: dict[str, str]):
    with pytest.raises(ValueError, match="pattern"):
        KeyVaultSettings.model_validate(dict(vault.settings) | changes)
