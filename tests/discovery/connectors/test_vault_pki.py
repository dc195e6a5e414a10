"""What PKI engines issued, as read from a Vault and from an OpenBao (a simulator of both)."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from services.discovery.connectors import Access, vault_pki
from services.discovery.connectors.registry import source_kind
from services.discovery.connectors.vault_pki import VaultPki
from services.discovery.domain.holdings import Gap, Holding, Page
from shared import x509
from shared.errors import Refused, Unavailable
from tests.discovery.workshops import access_to, credential_of
from tests.discovery.workshops.vault_pki import Vaulted, path_of, workshop
from tests.servers.vault import Asked, Fault
from tests.servers.vault.kv import KeyValue
from tests.servers.vault.pki import der, serial


def der_of(pem: bytes) -> bytes:
    return x509.from_pem(pem.decode())[0]


ALIKE = pytest.mark.parametrize("shop", ["vault", "openbao"], indirect=True)


@pytest.fixture
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Vaulted]:
    has_pages = getattr(request, "param", "vault") == "openbao"
    async with workshop(tmp_path, has_pages=has_pages) as opened:
        assert isinstance(opened, Vaulted)
        yield opened


async def pages(access: Access, *, after: str | None = None) -> list[Page]:
    async with VaultPki.open(access) as source:
        return [page async for page in source.read(after=after)]


async def read(shop: Vaulted, **changes: Any) -> tuple[dict[str, Holding], list[Gap]]:
    found = await pages(access_to(shop, **changes))
    held = {holding.path: holding for page in found for holding in page.holdings}
    return held, [gap for page in found for gap in page.gaps]


def changed(shop: Vaulted, **settings: Any) -> Mapping[str, Any]:
    kind = source_kind(shop.kind)
    return {"settings": kind.settings_type.model_validate({**shop.settings, **settings})}


def asked_for(shop: Vaulted) -> list[str]:
    return [request.path for request in shop.vault.requests]


@ALIKE
async def test_what_has_expired_or_was_revoked_is_not_told_and_the_rest_has_its_chain(shop: Vaulted):
    engine = shop.engines["pki"]
    kept, expired, revoked = (
        engine.issue("kept.test"),
        engine.issue("expired.test", ends_in=timedelta(days=-1)),
        engine.issue("revoked.test"),
    )
    engine.revoke(revoked)
    held, gaps = await read(shop)
    assert gaps == []
    [holding] = held.values()
    assert holding.path == path_of("pki", serial(kept))
    assert holding.chain == (der(kept), der_of(engine.authority.pem), der_of(engine.root.pem))
    assert (holding.address, holding.format, holding.in_use, holding.key) == (
        "localhost",
        "issued",
        None,
        None,
    )
    is_asked = f"/v1/pki/cert/{serial(expired)}" in asked_for(shop)
    assert is_asked is not engine.has_pages, "a list with dates saves asking for what has expired"


@pytest.mark.parametrize("shop", ["openbao"], indirect=True)
async def test_pages_of_a_list_are_gone_through_to_the_end_and_taken_up_at_any(
    shop: Vaulted, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(vault_pki, "PER_PAGE", 3)
    put = shop.put(14)
    whole = await pages(access_to(shop))
    assert sorted(holding.path for page in whole for holding in page.holdings) == sorted(put)
    for at, page in enumerate(whole[:-1]):
        rest = await pages(access_to(shop), after=page.position)
        assert [each.holdings for each in rest if each.holdings] == [
            each.holdings for each in whole[at + 1 :] if each.holdings
        ]


async def test_a_role_logs_in_and_gives_its_token_back(shop: Vaulted):
    put = shop.put(2)
    role, secret = shop.vault.new_role("reader")
    before = set(shop.vault.tokens)
    held, _ = await read(shop, credential=credential_of(shop, {"role_id": role, "secret_id": secret}))
    assert held.keys() == put.keys()
    assert set(shop.vault.tokens) == before
    with pytest.raises(Refused, match="invalid role or secret ID") as refused:
        await read(shop, credential=credential_of(shop, {"role_id": role, "secret_id": "not-its-secret"}))
    assert "not-its-secret" not in str(refused.value)


async def test_a_token_is_in_no_address(shop: Vaulted):
    shop.put(2)
    await read(shop)
    token = str(shop.credential["token"])
    assert [path for path in asked_for(shop) if token in path] == []
    assert {request.headers["x-vault-token"] for request in shop.vault.requests} == {token}


async def test_a_token_that_ends_while_reading_is_refused_and_no_gap(shop: Vaulted):
    shop.put(4)
    async with VaultPki.open(access_to(shop)) as source:
        reading = source.read(after=None)
        await anext(reading)
        shop.vault.tokens.clear()
        with pytest.raises(Refused, match="expired"):
            [page async for page in reading]


async def test_a_gap_and_a_check_name_the_line_that_the_policy_lacks(shop: Vaulted):
    shop.put(2)
    shop.forbid()
    _, [gap] = await read(shop)
    line = 'path "pki_int/certs" { capabilities = ["list"] }'
    assert (gap.scope, "permission denied" in gap.reason, line in gap.next_step) == (
        "pki_int/issued",
        True,
        True,
    )
    async with VaultPki.open(access_to(shop)) as source:
        [failed] = [check for check in await source.check() if not check.ok]
    assert (failed.name, line in failed.text) == ("list pki_int/certs", True)


async def test_a_sealed_vault_is_unavailable(shop: Vaulted):
    shop.vault.is_sealed = True
    with pytest.raises(Unavailable, match="Vault is sealed"):
        await read(shop)


@ALIKE
async def test_one_that_cannot_be_read_is_a_gap_of_its_own_path(shop: Vaulted):
    engine = shop.engines["pki"]
    good = engine.issue("good.test")
    if engine.has_pages:  # whose list with dates fails altogether where one cannot be parsed
        shop.vault.policies["reader"] = {"+/certs": ("list",)}
    engine.kept["0a-bc"] = "no certificate"
    engine.kept["0a-bd"] = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----"
    held, gaps = await read(shop)
    assert held.keys() == {path_of("pki", serial(good))}
    assert {gap.scope for gap in gaps} == {"pki/issued/abc", "pki/issued/abd"}


async def test_a_mount_that_is_no_pki_engine_or_not_there_is_a_gap(shop: Vaulted):
    shop.vault.mounts["kv"] = KeyValue()
    shop.vault.policies["reader"] = {"*": ("list",)}
    held, gaps = await read(shop, **changed(shop, mounts=["kv", "none", "pki"]))
    assert held == {}
    assert {gap.scope: gap.reason for gap in gaps} == {
        "kv/issued": "kv: It is no PKI engine.",
        "none/issued": "none: It is no PKI engine.",
    }


async def test_a_namespace_is_named_in_a_header_and_in_the_path(shop: Vaulted):
    engine = shop.vault.mounts["team/pki"] = shop.engines["pki"]
    made = engine.issue("team.test")
    held, gaps = await read(shop, **changed(shop, namespace="team", mounts=["pki"]))
    assert gaps == []
    assert held.keys() == {f"team/{path_of('pki', serial(made))}"}


def listing(shop: Vaulted, monkeypatch: pytest.MonkeyPatch, keys: object) -> None:
    def answer(asked: Asked) -> Mapping[str, Any]:
        if (asked.operation, asked.path.rstrip("/")) != ("list", "certs"):
            raise Fault(404, "unsupported path")
        return {"keys": keys}

    monkeypatch.setattr(shop.engines["pki"], "answer", answer)


async def test_a_list_of_what_are_no_serials_is_a_gap_and_asks_for_nothing(
    shop: Vaulted, monkeypatch: pytest.MonkeyPatch
):
    listing(shop, monkeypatch, ["../../sys/seal", "zz:zz", ""])
    held, [gap] = await read(shop)
    assert (held, gap.scope, "no serial numbers" in gap.reason) == ({}, "pki/issued", True)
    assert [path for path in asked_for(shop) if "seal" in path or "zz" in path] == []


@pytest.mark.parametrize("keys", ["everything", [1, None], [["aa"]], {"aa": 1}])
async def test_a_list_that_is_none_is_no_answer(shop: Vaulted, keys: object, monkeypatch: pytest.MonkeyPatch):
    listing(shop, monkeypatch, keys)
    with pytest.raises(Unavailable):
        await read(shop)


async def test_a_list_that_does_not_go_on_ends(shop: Vaulted, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(vault_pki, "PER_PAGE", 2)
    engine = shop.engines["pki"]
    engine.has_pages = True
    put = {path_of("pki", serial(engine.issue(f"{at}.test"))) for at in range(5)}
    real = engine.answer

    def deaf(asked: Asked) -> Mapping[str, Any] | None:
        params = {name: value for name, value in asked.params.items() if name != "after"}
        return real(Asked(operation=asked.operation, path=asked.path, params=params))

    monkeypatch.setattr(engine, "answer", deaf)
    held, _ = await read(shop)
    assert held.keys() == put


def test_a_credential_is_a_token_or_a_role_and_not_both():
    kind = VaultPki.credential_type
    for given in ({}, {"token": "a", "role_id": "b"}, {"role_id": "b"}, {"token": "a", "secret_id": "c"}):
        with pytest.raises(ValidationError):
            kind.model_validate(given)


async def test_the_simulator_keeps_secrets_with_versions_and_takes_no_write(shop: Vaulted):
    kv = shop.vault.mounts["secret"] = KeyValue()
    kv.put("apps/web", {"password": "one"})
    kv.put("apps/web", {"password": "two"})
    shop.vault.policies["app"] = {"secret/data/apps/*": ("read",), "secret/metadata/*": ("list",)}
    headers = {"X-Vault-Request": "true", "X-Vault-Token": shop.vault.new_token("app")}
    context = httpx.create_ssl_context()
    context.load_verify_locations(cadata=shop.settings["trusted_ca"])
    async with httpx.AsyncClient(
        base_url=f"{shop.vault.url}/v1/secret", headers=headers, verify=context
    ) as client:
        newest = (await client.get("/data/apps/web")).json()["data"]
        first = (await client.get("/data/apps/web", params={"version": 1})).json()["data"]
        listed = (await client.request("LIST", "/metadata/")).json()["data"]
        denied = await client.get("/data/other")
        written = await client.post("/data/apps/web", json={"data": {}})
    assert (newest["data"], newest["metadata"]["version"]) == ({"password": "two"}, 2)
    assert (first["data"], listed) == ({"password": "one"}, {"keys": ["apps/"]})
    assert (denied.status_code, written.status_code) == (403, 403)
