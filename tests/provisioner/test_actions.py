import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import anyio
import httpx
import pytest
import sqlalchemy as sa

from services.provisioner.actions.bindings import NewBinding
from services.provisioner.actions.targets import TargetChange
from services.provisioner.actions.work import Work
from services.provisioner.connectors import wire
from services.provisioner.domain import Failure, State
from services.provisioner.service import SCHEMA
from services.provisioner.workers import deployments as deployment_lanes
from shared.errors import Conflict
from shared.events import Event
from shared.events.provisioner import CertificateDeployed, DeploymentFailed
from shared.ssh import Credential
from shared.store import Database, Transaction
from tests.provisioner.conftest import endpoint, known, slot
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import CALLER, Workshop, renewed
from tests.servers.tls import Issued

MINUTE = timedelta(minutes=1)
Act = Callable[[Transaction], Awaitable[object]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """These hosts change their certificate at once, so there is nothing to wait for."""
    monkeypatch.setattr(wire, "_PAUSE", 0.005)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database, of both makes."""
    url = f"sqlite:///{tmp_path}/provisioner.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").database().url
    opened = Database(url, source="provisioner")
    yield opened
    await opened.close()


@pytest.fixture
async def hosts(tmp_path: Path, old: Issued) -> AsyncIterator[list[SshHost]]:
    """Several hosts that serve the old certificate."""
    async with AsyncExitStack() as running:
        started = []
        for name in "abcd":
            certificate, key = old.write(tmp_path / name)
            started.append(await running.enter_async_context(SshHost(certificate, key).running()))
        yield started


async def test_the_migrations_make_the_tables(shop: Workshop):
    assert await SCHEMA.differences(shop.database) == []


async def test_a_renewal_is_deployed_wherever_its_lineage_belongs(
    shop: Workshop, hosts: list[SshHost], new: Issued
):
    for host in hosts:
        target = await known(shop, host, f"web-{host.port}")
        await shop.bind(target, slot=slot(host), endpoints=[endpoint(host)])
    await shop.renew(new)
    await shop.renew(new, lineage="another")
    await shop.work_off()
    told = await shop.events(CertificateDeployed)
    assert [event.is_last for event in told] == [False, False, False, True]
    assert all(host.certificate.read_bytes() == new.chain_pem for host in hosts)
    assert len({deployment_id for _, deployment_id in shop.vault.asked}) == 4


async def test_a_failing_target_holds_up_nobody(shop: Workshop, hosts: list[SshHost], new: Issued):
    for host in hosts:
        target = await known(shop, host, f"web-{host.port}")
        await shop.bind(target, slot=slot(host), endpoints=[endpoint(host)])
    await hosts[0].replace_host_key()
    await shop.renew(new)
    await shop.work_off()
    states = sorted(row.state for row in await shop.deployments.page(after=None, limit=10, caller=CALLER))
    assert states == ["deployed", "deployed", "deployed", "needs_attention"]
    assert not any(event.is_last for event in await shop.events(CertificateDeployed))


async def test_the_same_event_again_makes_no_second_deployment(shop: Workshop, host: SshHost, new: Issued):
    await shop.bind(await known(shop, host), slot=slot(host), endpoints=[endpoint(host)])
    for _ in "ab":
        await shop.renew(new, order="one")
    await shop.work_off()
    await shop.only()
    assert len(shop.vault.asked) == 1


@pytest.mark.parametrize("is_bound_first", [True, False])
async def test_of_a_certificate_and_its_binding_that_come_at_once_the_second_sees_the_first(
    shop: Workshop, host: SshHost, new: Issued, is_bound_first: bool
):
    target = await known(shop, host)
    binding = NewBinding(
        lineage_id="lineage",
        target_id=target.id,
        slot=slot(host),
        endpoints=[endpoint(host)],
        deploy_now=True,
    )
    event = Event.of(renewed(new, lineage="lineage", order="one"), source="renewal", now=shop.time())
    acts: list[Act] = [
        lambda tx: shop.bindings.add(tx, binding, caller=CALLER, now=shop.time()),
        lambda tx: shop.deployments.begin(tx, event, now=shop.time()),
    ]
    first, second = acts if is_bound_first else acts[::-1]
    ended = anyio.Event()
    async with anyio.create_task_group() as tasks, shop.database.transaction() as tx:
        await first(tx)
        tasks.start_soon(_done_in_a_transaction, shop.database, second, ended)
        with anyio.move_on_after(0.5):  # as far as it comes
            await ended.wait()
    deployment, _ = await shop.only()
    assert deployment.order_id == "one"


async def _done_in_a_transaction(database: Database, act: Act, ended: anyio.Event) -> None:
    async with database.transaction() as tx:
        await act(tx)
    ended.set()


async def test_a_binding_made_later_gets_its_certificate_at_once(
    shop: Workshop, host: SshHost, old: Issued, new: Issued
):
    await shop.renew(old)
    await shop.renew(new)
    await shop.bind(await known(shop, host), slot=slot(host), endpoints=[endpoint(host)])
    await shop.work_off()
    row, _ = await shop.only()
    assert (row.state, row.fingerprint) == (State.DEPLOYED, new.fingerprint)


async def test_a_newer_certificate_takes_the_place_of_one_that_waits(
    shop: Workshop, host: SshHost, old: Issued, new: Issued
):
    await shop.bind(await known(shop, host), slot=slot(host), endpoints=[endpoint(host)])
    shop.vault.answer = httpx.Response(500)
    await shop.renew(old, order="older")
    await shop.work_off()
    shop.vault.answer = None
    await shop.renew(new, order="newer")
    shop.time.passes(MINUTE)
    await shop.work_off()
    states = {
        row.order_id: row.state for row in await shop.deployments.page(after=None, limit=10, caller=CALLER)
    }
    assert states == {"older": State.SUPERSEDED, "newer": State.DEPLOYED}


async def test_renewals_that_come_in_the_wrong_order_leave_the_newer_one_in_place(
    shop: Workshop, host: SshHost, old: Issued, new: Issued
):
    await shop.bind(await known(shop, host), slot=slot(host), endpoints=[endpoint(host)])
    shop.time.passes(MINUTE)
    await shop.renew(new, order="newer")
    shop.time.passes(-MINUTE)
    await shop.renew(old, order="older")
    shop.time.passes(MINUTE)
    await shop.work_off()
    states = {
        row.order_id: row.state for row in await shop.deployments.page(after=None, limit=10, caller=CALLER)
    }
    assert states == {"older": State.SUPERSEDED, "newer": State.DEPLOYED}
    assert host.certificate.read_bytes() == new.chain_pem


async def test_a_changed_host_key_that_a_person_confirms_is_gone_on_with(
    shop: Workshop, host: SshHost, new: Issued
):
    target = await known(shop, host)
    await shop.bind(target, slot=slot(host), endpoints=[endpoint(host)])
    await host.replace_host_key()
    await shop.renew(new)
    shop.time.passes(timedelta(days=1))
    await shop.work_off()
    assert (await shop.only())[0].state == State.NEEDS_ATTENTION
    change = TargetChange(host_key=host.host_key)
    await shop.targets.change(target.id, change, if_match=None, caller=CALLER, now=shop.time())
    await shop.work_off()
    assert (await shop.only())[0].state == State.DEPLOYED


async def test_a_deployment_is_given_up_after_its_last_attempt(
    shop: Workshop, host: SshHost, old: Issued, new: Issued
):
    given = {**slot(host), "reload_command": "false"}
    await shop.bind(await known(shop, host), slot=given, endpoints=[endpoint(host)])
    await shop.renew(new)
    for _ in range(10):
        await shop.work_off()
        shop.time.passes(timedelta(hours=1))
    told = await shop.events(DeploymentFailed)
    assert [event.attempt for event in told] == list(range(1, 9))
    assert [event.next_attempt_at is None for event in told] == [False] * 7 + [True]
    row, _ = await shop.only()
    assert (row.state, row.sealed_key, row.next_attempt_at) == (State.FAILED, None, None)
    assert host.certificate.read_bytes() == old.chain_pem
    retried = await shop.deployments.retry(row.id, caller=CALLER, now=shop.time())
    assert (retried.state, retried.attempt) == (State.PENDING, 0)


@pytest.mark.parametrize("renames", [0, 1, 2])
async def test_a_way_back_that_is_barred_is_tried_until_it_is_open(
    shop: Workshop, host: SshHost, old: Issued, new: Issued, renames: int
):
    # The reload command fails, and the old files can be put back only later.
    target = await known(shop, host)
    await shop.bind(target, slot={**slot(host), "reload_command": "false"}, endpoints=[endpoint(host)])
    await shop.renew(new)
    host.refuses_renames_after = renames
    await shop.work_off()
    row, _ = await shop.only()
    [first] = await shop.events(DeploymentFailed)
    assert (first.restored, row.phase, row.restored) == (False, "restoring", False)
    assert first.next_attempt_at is not None
    host.refuses_renames_after = None
    shop.time.passes(timedelta(seconds=6))
    await shop.work_off()
    row, _ = await shop.only()
    assert (row.state, row.phase) == (State.RESTORED, "start")
    assert [event.restored for event in await shop.events(DeploymentFailed)] == [False, True]
    assert host.certificate.read_bytes() == old.chain_pem
    assert sorted(host.certificate.parent.iterdir()) == sorted([host.certificate, host.key])


async def test_a_binding_that_is_taken_back_is_not_deployed(shop: Workshop, host: SshHost, new: Issued):
    binding = await shop.bind(await known(shop, host), slot=slot(host), endpoints=[endpoint(host)])
    await shop.renew(new)
    await shop.bindings.delete(binding.id, caller=CALLER, now=shop.time())
    await shop.work_off()
    assert (await shop.only())[0].state == State.CANCELLED


async def test_a_binding_that_is_worked_on_stays(shop: Workshop, host: SshHost, new: Issued):
    binding = await shop.bind(await known(shop, host), slot=slot(host), endpoints=[endpoint(host)])
    await shop.renew(new)
    claim = await shop.work.claim(now=shop.time())
    assert claim is not None
    with pytest.raises(Conflict):
        await shop.bindings.delete(binding.id, caller=CALLER, now=shop.time())
    await shop.work.run(claim)
    assert (await shop.only())[0].state == State.DEPLOYED


async def test_a_target_is_worked_on_by_one_at_a_time(shop: Workshop, host: SshHost, new: Issued):
    target = await known(shop, host)
    for name in ("one", "two"):
        paths = {"certificate_path": f"{host.certificate}.{name}", "key_path": f"{host.key}.{name}"}
        await shop.bind(target, slot=paths, endpoints=[endpoint(host)])
    await shop.renew(new)
    first = await shop.work.claim(now=shop.time())
    assert first is not None
    assert await shop.work.claim(now=shop.time()) is None
    await shop.work.run(first)
    assert await shop.work.claim(now=shop.time()) is not None


async def test_many_at_once_take_each_target_once(shop: Workshop, hosts: list[SshHost], new: Issued):
    for host in hosts:
        target = await known(shop, host, f"web-{host.port}")
        await shop.bind(target, slot=slot(host), endpoints=[endpoint(host)])
        elsewhere = {"certificate_path": f"{host.certificate}.2", "key_path": f"{host.key}.2"}
        await shop.bind(target, slot=elsewhere, endpoints=[endpoint(host)])
    await shop.renew(new)
    taken = await asyncio.gather(*(shop.work.claim(now=shop.time()) for _ in range(12)))
    rows = await shop.deployments.page(after=None, limit=10, caller=CALLER)
    targets = {row.id: row.target_id for row in rows}
    claimed = [targets[claim.deployment_id] for claim in taken if claim is not None]
    assert len(claimed) == len(set(claimed)) > 0


async def test_a_slow_target_takes_one_lane_only(
    shop: Workshop, hosts: list[SshHost], new: Issued, monkeypatch: pytest.MonkeyPatch
):
    for host, command in zip(hosts, ("sleep 15", "true", "true", "true"), strict=True):
        target = await known(shop, host, f"web-{host.port}")
        given = {**slot(host), "test_command": command}
        await shop.bind(target, slot=given, endpoints=[endpoint(host)])
    await shop.renew(new)
    lanes = deployment_lanes(shop.work, clock=shop.time, parallel=2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lanes.run)
        with anyio.fail_after(14):
            while len(await shop.events(CertificateDeployed)) < 3:
                await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()


async def test_a_broken_off_deployment_waits_for_its_lease(
    shop: Workshop, host: SshHost, new: Issued, monkeypatch: pytest.MonkeyPatch
):
    await shop.bind(await known(shop, host), slot=slot(host), endpoints=[endpoint(host)])
    await shop.renew(new)

    async def broken(self: Work, claim: object) -> bool:
        return False

    with monkeypatch.context() as patch:
        patch.setattr(Work, "_attempt", broken)
        await shop.work_off()
    assert await shop.work.claim(now=shop.time()) is None
    shop.time.passes(timedelta(seconds=31))
    await shop.work_off()
    assert (await shop.only())[0].state == State.DEPLOYED


async def test_no_secret_is_kept_logged_or_told(
    shop: Workshop,
    host: SshHost,
    new: Issued,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.DEBUG)
    target = await shop.target(
        host=host.host,
        port=host.port,
        username=host.username,
        host_key=host.host_key,
        credential=Credential(password=host.password),
        options={"reload_command": f"cat {host.key}; false"},
    )
    await shop.bind(target, slot=slot(host), endpoints=[endpoint(host)])
    await shop.renew(new)
    await shop.work_off()
    row, steps = await shop.only()
    assert row.failure == Failure.RELOAD_FAILED
    # The first lines of PKCS#8 hold the private number; the last ones the public key, which is in the certificate.
    secrets = [host.password.encode(), *new.key_pem.splitlines()[1:3]]
    kept = await _everything_kept(shop)
    said = (caplog.text + repr(row) + repr(steps)).encode()
    for secret in secrets:
        assert secret not in kept
        assert secret not in said
    assert row.sealed_key is not None
    assert row.sealed_key in kept
    assert b"[private key]" in kept


async def _everything_kept(shop: Workshop) -> bytes:
    tables = [table for part in SCHEMA.metadata for table in part.sorted_tables]
    values: list[object] = []
    async with shop.database.read() as session:
        for table in tables:
            values.extend(value for row in await session.execute(sa.select(table)) for value in row)
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in values)
