"""Targets that are APIs: what is said of them and of hosts, whose credential goes where, and ways back that are secret."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from services.provisioner import store
from services.provisioner.domain import Failure, State
from services.provisioner.domain.reach import Networks
from shared.errors import Invalid
from tests.conformance.targets.bench import Bench
from tests.conformance.targets.clouds import ROWS
from tests.conformance.targets.receivers import ROWS as RECEIVERS
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.test_api import api, described, service, siblings  # noqa: F401 - fixtures
from tests.provisioner.workshop import Workshop
from tests.servers.aws import REPOSITORY
from tests.servers.receiver import Receiver
from tests.servers.tls import Issued

VAULT = {
    "name": "vault",
    "kind": "vault-kv",
    "credential": {"token": "hvs.something"},
    "options": {"url": "https://vault.example.com:8200"},
}


@pytest.mark.parametrize(
    ("change", "pointer", "word"),
    [
        ({"host": "vault.example.com"}, "/body/host", "API"),
        ({"username": "root", "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"}, "/body/username", "API"),
        ({"options": {}}, "/body/options/url", "required"),
        ({"credential": {"password": "x"}}, "/body/credential/password", "not permitted"),
        ({"credential": {}}, "/body/credential", "token"),
    ],
)
async def test_an_api_has_no_host_and_a_credential_of_its_kind(
    api: httpx.AsyncClient,  # noqa: F811 - the fixture
    change: dict[str, Any],
    pointer: str,
    word: str,
) -> None:
    refused = await api.post("/v1/targets", json=VAULT | change)
    assert refused.status_code == 422
    [fault] = [each for each in refused.json()["errors"] if each["pointer"] == pointer]
    assert word in fault["message"]
    assert "GET /v1/target-kinds" in refused.json()["next_step"]


@pytest.mark.parametrize("name", ["host", "username", "host_key"])
async def test_a_host_says_where_it_is_and_how_it_is_known(
    api: httpx.AsyncClient,  # noqa: F811 - the fixture
    host: SshHost,
    name: str,
) -> None:
    body = described(host)
    del body[name]
    refused = await api.post("/v1/targets", json=body)
    assert refused.status_code == 422
    assert [each["pointer"] for each in refused.json()["errors"]] == [f"/body/{name}"]


async def test_kinds_say_what_their_credential_is(
    api: httpx.AsyncClient,  # noqa: F811 - the fixture
) -> None:
    kinds = {each["kind"]: each for each in (await api.get("/v1/target-kinds")).json()["items"]}
    assert (kinds["nginx"]["is_host"], kinds["vault-kv"]["is_host"]) == (True, False)
    assert "private_key" in kinds["nginx"]["credential"]["properties"]
    assert "role_id" in kinds["vault-kv"]["credential"]["properties"]


async def test_a_credential_is_given_again_where_somebody_else_would_get_it(
    api: httpx.AsyncClient,  # noqa: F811 - the fixture
    host: SshHost,
) -> None:
    vault = (await api.post("/v1/targets", json=VAULT)).json()["id"]
    web = (
        await api.post("/v1/targets", json=described(host, credential={"password": host.password}))
    ).json()["id"]
    elsewhere = {"options": {"url": "https://vault.example.org:8200"}}
    for path, change in ((f"/v1/targets/{vault}", elsewhere), (f"/v1/targets/{web}", {"host": "192.0.2.1"})):
        refused = await api.patch(path, json=change)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/body/credential")
    harmless = {"options": {**VAULT["options"], "mount": "kv"}}  # type: ignore[dict-item]  # a mapping, as it stands there
    assert (await api.patch(f"/v1/targets/{vault}", json=harmless)).status_code == 200
    assert (await api.patch(f"/v1/targets/{web}", json={"username": "other"})).status_code == 200
    again = {**elsewhere, "credential": {"token": "hvs.another"}}
    assert (await api.patch(f"/v1/targets/{vault}", json=again)).status_code == 200


@pytest.mark.parametrize(
    ("address", "permitted"),
    [
        ("10.1.2.3", True),
        ("10.9.2.3", False),
        ("192.0.2.1", False),
        ("169.254.169.254", False),
        ("::ffff:10.1.2.3", True),
        ("64:ff9b::a9fe:a9fe", False),
        ("fe80::1", False),
    ],
)
def test_hosts_are_where_the_operator_lets_us_log_in(address: str, permitted: bool) -> None:
    networks = Networks(allow=["10.0.0.0/8", "fe80::/10"], deny=["10.9.0.0/16"])
    assert networks.permits(address, 22) is permitted


def test_a_network_that_is_none_is_refused_by_the_name_of_its_setting() -> None:
    with pytest.raises(Invalid, match="deny"):
        Networks(deny=["10.0.0.0/99"])


@asynccontextmanager
async def bench_of(request: pytest.FixtureRequest, name: str) -> AsyncIterator[Bench]:
    """Open a line of the table."""
    async with {**ROWS, **RECEIVERS}[name].open(request.getfixturevalue) as opened:
        yield opened


async def test_a_secret_way_back_is_sealed_and_dropped_at_the_end(
    request: pytest.FixtureRequest, shop: Workshop, new: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, bytes | None]] = []
    verify: Callable[..., Any] = ROWS["kubernetes-secret"].kind.verify

    async def looking(self: Any, slot: Any, **given: Any) -> None:
        async with shop.database.read() as session:
            query = sa.select(store.Deployment.undo, store.Deployment.sealed_undo)  # type: ignore[call-overload]  # columns, though typed as values
            seen.append((await session.execute(query)).one())
        await verify(self, slot, **given)

    monkeypatch.setattr(ROWS["kubernetes-secret"].kind, "verify", looking)
    async with bench_of(request, "kubernetes-secret") as bench:
        await bench.bound(shop)
        await shop.renew(new)
        await shop.work_off()
    [(undo, sealed)] = seen
    assert undo is None
    assert sealed is not None
    assert b"PRIVATE KEY" not in sealed
    row, steps = await shop.only()
    assert (row.state, row.undo, row.sealed_undo) == (State.DEPLOYED, None, None)
    assert not any("PRIVATE KEY" in step.text for step in steps)


async def test_what_could_not_be_put_back_is_not_replaced_unless_that_is_said(
    request: pytest.FixtureRequest, shop: Workshop, new: Issued
) -> None:
    async with bench_of(request, "azure-key-vault") as bench:
        bench.ours_before = None
        before = await bench.served()
        await bench.bound(shop)
        await shop.renew(new)
        await shop.work_off()
        row, _ = await shop.only()
        assert (row.state, row.failure) == (State.WAITING, Failure.NO_WAY_BACK)
        assert await bench.served() == before
    async with bench_of(request, "azure-key-vault") as bench:
        bench.slot["without_way_back"] = True
        target = await shop.target("another vault", **bench.target)
        await shop.bind(target, slot=bench.slot, endpoints=[bench.endpoint], lineage="other")
        order = await shop.renew(new, lineage="other")
        await shop.work_off()
        assert await bench.served() == new.fingerprint
        assert [row.state for row in await _of_order(shop, order)] == [State.DEPLOYED]


async def _of_order(shop: Workshop, order: str) -> list[store.Deployment]:
    async with shop.database.read() as session:
        query = sa.select(store.Deployment).filter_by(order_id=order)
        return list((await session.scalars(query)).all())


async def test_a_receiver_that_takes_its_time_is_asked_again(
    request: pytest.FixtureRequest, shop: Workshop, new: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    receivers: list[Receiver] = []
    begin = Receiver.__init__

    def kept(self: Receiver, **given: Any) -> None:
        begin(self, **given)
        receivers.append(self)

    monkeypatch.setattr(Receiver, "__init__", kept)
    async with bench_of(request, "webhook") as bench:
        [receiver] = receivers
        receiver.is_slow = 2
        await bench.bound(shop)
        await shop.renew(new)
        for _ in range(2):
            await shop.work_off()
            row, _ = await shop.only()
            assert (row.state, row.reason) == (State.RUNNING, "The receiver takes its time (bind).")
            shop.time.passes(timedelta(seconds=6))
        await shop.work_off()
        row, steps = await shop.only()
        assert row.state == State.DEPLOYED
        assert receiver.told == ["certificate.deploy", "certificate.settle"]
        assert [step.step for step in steps].count("connect") < 4


def test_the_policy_of_the_how_to_is_what_may_be_asked() -> None:
    from tests.conformance.targets.aws import ACTIONS

    text = (REPOSITORY / "docs" / "how-to" / "deploy-to-clouds.md").read_text()
    policy = json.loads(text.partition("```json\n")[2].partition("```")[0])
    # ACM asks for the right to tag where a certificate is imported with tags.
    assert set(policy["Statement"][0]["Action"]) == {*ACTIONS, "acm:AddTagsToCertificate"}
