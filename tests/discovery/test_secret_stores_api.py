"""Sources whose credential lies in a secret store only: fetched at each opening, kept nowhere, and never told."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from services.discovery.connectors.aws.actions import ALWAYS_PERMITTED, STORE_CALLS
from services.discovery.connectors.registry import SECRET_STORES
from shared.service import Service
from shared.store import Database
from tests.builders import bearer
from tests.discovery.test_sources_api import body, made, run_of, said
from tests.servers.aws import REPOSITORY, Aws, shared_aws
from tests.servers.nginx import Nginx, StartNginx
from tests.servers.ssh import Sshd
from tests.servers.tls import LOOPBACK, CertificateAuthority
from tests.servers.vault import Vault
from tests.servers.vault.kv import KeyValue

PATH = "everleaf/web-1"
RULE = {f"secret/data/{PATH}": ("read",)}
REFERENCE: dict[str, Any] = {"secret_store": "keeper", "path": PATH, "fields": {"private_key": "ssh_key"}}


class Keeper:
    """A Vault with a KV engine, and the settings of a store that reads it."""

    def __init__(self, directory: Path) -> None:
        authority = CertificateAuthority("Vault's own TLS")
        self.vault = Vault(context=authority.issue(*LOOPBACK).server_context(directory))
        self.engine = KeyValue()
        self.vault.mounts["secret"] = self.engine
        self.vault.policies["everleaf"] = RULE
        self.role, self.secret = self.vault.new_role("everleaf")
        self.body: dict[str, Any] = {
            "name": "keeper",
            "kind": "vault-kv",
            "settings": {"url": self.vault.url, "trusted_ca": authority.pem.decode()},
            "credential": {"role_id": self.role, "secret_id": self.secret},
        }


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    made = Keeper(tmp_path / "keeper")
    made.vault.start()
    yield made
    made.vault.stop()


@pytest.fixture
def nginx(start_nginx: StartNginx) -> Nginx:
    return start_nginx("a.test")


async def known(client: httpx.AsyncClient, asked: dict[str, Any]) -> str:
    answer = await client.post("/v1/secret-stores", json=asked)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def everything(database: Database) -> bytes:
    """Return all that the database holds, the outbox too."""
    async with database.read() as session:
        connection = await session.connection()
        tables = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
        rows = [
            row
            for table in tables
            for row in (await session.execute(sa.text(f'SELECT * FROM "{table}"'))).all()
        ]
    return b"\n".join(
        value if isinstance(value, bytes) else str(value).encode()
        for row in rows
        for value in (bytes(each) if isinstance(each, memoryview) else each for each in row)
    )


async def test_a_host_is_read_with_a_key_that_lies_in_vault_only_and_rotation_needs_nothing_here(
    client: httpx.AsyncClient,
    service: Service,
    database: Database,
    keeper: Keeper,
    sshd: Sshd,
    nginx: Nginx,
):
    keeper.engine.put(PATH, {"ssh_key": sshd.client_key, "owner": "ops"})
    await known(client, keeper.body)
    source = await made(client, body(sshd, nginx, credential=REFERENCE))
    shown = (await client.get(f"/v1/sources/{source}")).json()
    assert shown["credential_from"] == REFERENCE
    first = await run_of(client, service, source)
    assert (first["state"], first["holdings"]) == ("finished", 1), first
    old, fresh = sshd.client_key, sshd.rotate_client_key()
    refused = await run_of(client, service, source)
    assert (refused["state"], "refused the login" in refused["error"]) == ("failed", True)
    keeper.engine.put(PATH, {"ssh_key": fresh})
    second = await run_of(client, service, source)
    assert second["state"] == "finished"
    tried = (await client.post(f"/v1/sources/{source}/check")).json()
    assert tried["ok"] is True, tried
    kept = await everything(database)
    assert b"keeper" in kept
    # A line of each key: were one written anywhere, as PEM or in JSON, that line would be there.
    for secret in (*(key.splitlines()[2] for key in (old, fresh)), keeper.secret, keeper.role):
        assert secret.encode() not in kept
        assert secret not in json.dumps([tried, first, refused, second, shown, await said(database)])
    assert [request.path for request in keeper.vault.requests if "revoke-self" in request.path]
    assert keeper.vault.tokens == {}


@pytest.fixture
def aws() -> Iterator[Aws]:
    opened = shared_aws()
    opened.reset()
    yield opened
    opened.reset()


def everleaf_user(aws: Aws, *actions: str) -> dict[str, str]:
    """Return the key of a user that may do this only."""
    iam = aws.client("iam")
    iam.create_user(UserName="everleaf")
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}],
    }
    iam.put_user_policy(UserName="everleaf", PolicyName="read", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="everleaf")["AccessKey"]
    return {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_host_is_read_with_a_key_that_lies_in_aws_only_and_what_aws_denies_is_named(
    client: httpx.AsyncClient,
    service: Service,
    database: Database,
    aws: Aws,
    sshd: Sshd,
    nginx: Nginx,
):
    with aws.unlocked():
        credential = everleaf_user(aws, "secretsmanager:GetSecretValue")
        manager = aws.client("secretsmanager")
        manager.create_secret(Name="web-1", SecretString=json.dumps({"private_key": sshd.client_key}))
        manager.create_secret(Name="plain", SecretString=sshd.client_key)
        manager.create_secret(Name="binary", SecretBinary=b"\0\1")
    settings = {"region": "eu-west-1", "endpoint_url": aws.url}
    store = {"name": "aws", "kind": "aws-secrets-manager", "settings": settings, "credential": credential}
    store_id = await known(client, store)
    source = await made(client, body(sshd, nginx, credential={"secret_store": "aws", "path": "web-1"}))
    before = len(aws.calls())
    run = await run_of(client, service, source)
    assert (run["state"], run["holdings"]) == ("finished", 1), run
    assert aws.calls()[before:] == ["sts:GetCallerIdentity", "secretsmanager:GetSecretValue"]
    fresh = sshd.rotate_client_key()
    with aws.unlocked():
        manager.put_secret_value(SecretId="web-1", SecretString=json.dumps({"private_key": fresh}))
        manager.put_secret_value(SecretId="plain", SecretString=fresh)
    assert (await run_of(client, service, source))["state"] == "finished"
    checked = (await client.post(f"/v1/secret-stores/{store_id}/check")).json()
    assert [(each["name"], each["ok"]) for each in checked["checks"]] == [
        ("reached", True),
        ("account", True),
        ("web-1", True),
    ]
    plain = {"secret_store": "aws", "path": "plain", "fields": {"private_key": "SecretString"}}
    assert await tried_with(client, source, plain) is None
    for path, words in (("gone", "No secret has this name"), ("binary", "binary")):
        text = await tried_with(client, source, {"secret_store": "aws", "path": path})
        assert text is not None
        assert (f"'aws', {path}" in text, words in text) == (True, True), text
    with aws.unlocked():
        aws.client("iam").delete_user_policy(UserName="everleaf", PolicyName="read")
    denied = await tried_with(client, source, plain)
    assert denied is not None
    assert "secretsmanager:GetSecretValue in eu-west-1 of 123456789012 is denied" in denied
    kept = await everything(database)
    assert fresh.splitlines()[2].encode() not in kept
    assert credential["secret_access_key"].encode() not in kept


def test_the_policy_of_the_how_to_is_what_a_store_may_call():
    text = (REPOSITORY / "docs" / "how-to" / "keep-credentials-elsewhere.md").read_text()
    policy = json.loads(text.partition("```json\n")[2].partition("```")[0])
    may = {action for calls in STORE_CALLS.values() for action in calls.values()}
    assert {each["Action"] for each in policy["Statement"]} == may - ALWAYS_PERMITTED - {"sts:AssumeRole"}


async def tried_with(client: httpx.AsyncClient, source: str, credential: dict[str, Any]) -> str | None:
    """Give a source a credential, and return what its check says is wrong."""
    answer = await client.put(f"/v1/sources/{source}/credential", json={"credential": credential})
    assert answer.status_code == 200, answer.text
    tried = (await client.post(f"/v1/sources/{source}/check")).json()
    return None if tried["ok"] else str(tried["checks"][0]["text"])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_is_wrong_at_the_store_is_said_with_store_and_path_and_never_with_the_secret(
    client: httpx.AsyncClient, service: Service, keeper: Keeper, sshd: Sshd, nginx: Nginx
):
    keeper.engine.put(PATH, {"ssh_key": "hunter2, no key at all", "pw": 7})
    await known(client, keeper.body)
    source = await made(client, body(sshd, nginx, credential=REFERENCE))
    texts = {
        "no key": await tried_with(client, source, REFERENCE),
        "no member": await tried_with(client, source, {**REFERENCE, "fields": {"password": "secret"}}),
        "no same name": await tried_with(client, source, {"secret_store": "keeper", "path": PATH}),
        "no text": await tried_with(client, source, {**REFERENCE, "fields": {"password": "pw"}}),
        "denied": await tried_with(client, source, {"secret_store": "keeper", "path": "everleaf/web-2"}),
    }
    keeper.engine.put(PATH, None)
    texts["deleted"] = await tried_with(client, source, REFERENCE)
    del keeper.engine.secrets[PATH]
    texts["nothing"] = await tried_with(client, source, REFERENCE)
    keeper.vault.roles.clear()
    texts["login"] = await tried_with(client, source, REFERENCE)
    for name, words in {
        "no key": "the secret is no credential of linux-ssh",
        "no member": "no member secret",
        "no same name": "no member any of private_key",
        "no text": "password: Input should be a valid string",
        "denied": 'path "secret/data/everleaf/web-2" { capabilities = ["read"] }',
        "deleted": "its newest version was deleted",
        "nothing": "Nothing lies at secret/data/everleaf/web-1",
        "login": "invalid role or secret ID",
    }.items():
        text = texts[name] or ""
        assert (words in text, "Secret store 'keeper', everleaf/web-" in text) == (True, True), (name, text)
        assert "Next step: " in text
        assert "hunter2" not in text
    run = await run_of(client, service, source)
    assert (run["state"], run["attempts"]) == ("failed", 1)
    assert ("'keeper', everleaf/web-1" in run["error"], run["next_step"] != "") == (True, True)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_store_that_does_not_answer_is_asked_again_later_as_a_source_is(
    client: httpx.AsyncClient, service: Service, keeper: Keeper, sshd: Sshd, nginx: Nginx
):
    keeper.engine.put(PATH, {"ssh_key": sshd.client_key})
    store_id = await known(client, keeper.body)
    source = await made(client, body(sshd, nginx, credential=REFERENCE))
    keeper.vault.is_sealed = True
    checked = (await client.post(f"/v1/secret-stores/{store_id}/check")).json()
    assert (checked["ok"], "Vault is sealed" in checked["checks"][0]["text"]) == (False, True)
    run = await run_of(client, service, source)
    assert (run["state"], run["attempts"], "Vault is sealed" in run["error"]) == ("running", 1, True)
    assert run["next_attempt_at"] > run["created_at"]
    keeper.vault.stop()
    text = (await client.post(f"/v1/sources/{source}/check")).json()["checks"][0]["text"]
    assert "Secret store 'keeper', everleaf/web-1" in text


async def test_a_store_is_kept_as_long_as_a_source_refers_to_it(
    client: httpx.AsyncClient, keeper: Keeper, sshd: Sshd, nginx: Nginx
):
    store_id = await known(client, keeper.body)
    source = await made(client, body(sshd, nginx, credential=REFERENCE))
    refused = await client.delete(f"/v1/secret-stores/{store_id}")
    assert (refused.status_code, "web-1" in refused.json()["detail"]) == (409, True)
    renewed = await client.put(
        f"/v1/sources/{source}/credential", json={"credential": {"private_key": sshd.client_key}}
    )
    assert renewed.json()["credential_from"] is None
    assert (await client.post(f"/v1/sources/{source}/check")).json()["ok"] is True
    assert (await client.delete(f"/v1/secret-stores/{store_id}")).status_code == 204
    assert (await client.get(f"/v1/secret-stores/{store_id}")).status_code == 404


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_login_of_a_store_is_sealed_never_shown_and_may_be_renewed(
    client: httpx.AsyncClient, database: Database, keeper: Keeper
):
    keeper.engine.put(PATH, {"ssh_key": "x"})
    store_id = await known(client, keeper.body)
    for shown in (
        (await client.get(f"/v1/secret-stores/{store_id}")).json(),
        (await client.get("/v1/secret-stores")).json()["items"][0],
    ):
        assert shown["name"] == "keeper"
        assert "credential" not in shown
    token = keeper.vault.new_token("everleaf", lifetime=timedelta(minutes=5))
    renewed = await client.put(
        f"/v1/secret-stores/{store_id}/credential", json={"credential": {"token": token}}
    )
    assert (renewed.status_code, renewed.json()["version"]) == (200, 2)
    checked = (await client.post(f"/v1/secret-stores/{store_id}/check")).json()
    assert (checked["ok"], "everleaf" in checked["checks"][1]["text"]) == (True, True)
    kept = await everything(database)
    assert (token.encode() in kept, keeper.secret.encode() in kept) == (False, False)
    again = await client.post("/v1/secret-stores", json=keeper.body)
    assert again.status_code == 409


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_sources_of_a_group_may_share_one_secret(
    client: httpx.AsyncClient, service: Service, keeper: Keeper, sshd: Sshd, nginx: Nginx
):
    keeper.engine.put(PATH, {"ssh_key": sshd.client_key})
    store_id = await known(client, keeper.body)
    asked = body(sshd, nginx, credential=REFERENCE)
    members: list[dict[str, Any]] = [{"name": name, "settings": {}} for name in ("web-1", "web-2")]
    group = {name: asked[name] for name in ("kind", "settings", "credential")} | {"sources": members}
    answer = await client.put("/v1/source-groups/web", json=group)
    assert answer.json() == {"created": 2, "changed": 0}
    listed = (await client.get("/v1/sources", params={"group": "web"})).json()["items"]
    assert [each["credential_from"] for each in listed] == [REFERENCE, REFERENCE]
    assert (await run_of(client, service, listed[0]["id"]))["state"] == "finished"
    checked = (await client.post(f"/v1/secret-stores/{store_id}/check")).json()
    assert [each["name"] for each in checked["checks"]] == ["reached", "token", PATH]


@pytest.mark.parametrize(
    ("credential", "pointer"),
    [
        ({"secret_store": "other", "path": "x"}, "/body/credential/secret_store"),
        ({"secret_store": "keeper"}, "/body/credential/path"),
        ({"secret_store": "keeper", "path": "x/../../sys/seal"}, "/body/credential/path"),
        ({"secret_store": "keeper", "path": "x", "password": "p"}, "/body/credential/password"),
        ({**REFERENCE, "fields": {"pass": "pw"}}, "/body/credential/fields/pass"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_is_wrong_with_a_reference_is_pointed_at(
    client: httpx.AsyncClient, keeper: Keeper, sshd: Sshd, credential: dict[str, Any], pointer: str
):
    await known(client, keeper.body)
    settings = {"host": sshd.host, "username": "u", "host_key": sshd.host_key}
    asked = {"name": "a", "kind": "linux-ssh", "settings": settings, "credential": credential}
    answer = await client.post("/v1/sources", json=asked)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), answer.text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_viewer_may_look_at_stores_and_not_touch_them(client: httpx.AsyncClient):
    for path in ("/v1/secret-stores", "/v1/secret-store-kinds"):
        assert (await client.get(path, headers=bearer("viewer"))).status_code == 200
    assert (await client.post("/v1/secret-stores", json={}, headers=bearer("viewer"))).status_code == 403
    nobody = bearer(permissions=frozenset({"sources:write", "sources:read"}))
    assert (await client.get("/v1/secret-stores", headers=nobody)).status_code == 403
    kinds = (await client.get("/v1/secret-store-kinds")).json()["items"]
    assert [kind["kind"] for kind in kinds] == [kind.kind for kind in SECRET_STORES]
