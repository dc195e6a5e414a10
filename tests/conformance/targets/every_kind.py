"""What every kind of target must do: the new certificate is served, or the old one is, and the report says which.

The tests are collected twice, over hosts and over APIs: two workers share them.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import pytest
from cryptography import x509

from services.provisioner import store
from services.provisioner.connectors.ssh import Session
from services.provisioner.domain import Failure, Phase, State
from shared.events.provisioner import CertificateDeployed, DeploymentFailed
from tests.conformance.targets import on_each
from tests.conformance.targets.asked import must_be_as_planned, recorded
from tests.conformance.targets.bench import EVERY_CUT, USUAL, Bench, Fault, Row
from tests.provisioner.workshop import CALLER, Workshop
from tests.servers.fault_proxy import FaultProxy, StartFaultProxy
from tests.servers.tls import CertificateAuthority, Issued, new_key

MINUTE = timedelta(minutes=1)
FIRST_CUT = 3
"""Packets: a connection that is cut any earlier was refused."""
BREAKS = tuple(fault for fault in USUAL if fault not in (Fault.AWAY, Fault.OTHER_KEY))
"""What the bench of a kind breaks by itself."""


@on_each(Fault.AGAIN)
async def test_a_new_certificate_is_seen_on_the_wire_as_was_planned_and_again_changes_nothing(
    bench: Bench, fault: Fault, shop: Workshop, new: Issued
) -> None:
    binding = await bench.bound(shop)
    for order in ("first", "second"):
        await shop.renew(new, order=order)
        plan = await shop.plans.of_binding(binding.id, caller=CALLER, now=shop.time())
        with recorded() as asked:
            await shop.work_off()
        await _is_deployed(bench, shop, new, order=order)
        if order == "first":
            must_be_as_planned(asked, plan.slots[0].steps)
    [event, _] = await shop.events(CertificateDeployed)
    assert (event.fingerprint, event.is_last, event.target) == (new.fingerprint, True, "web-1")
    assert event.places[0].port == bench.endpoint.port


@on_each(*BREAKS)
async def test_what_goes_wrong_leaves_the_old_certificate_and_is_told(
    bench: Bench, fault: Fault, row: Row, shop: Workshop, new: Issued
) -> None:
    before = await bench.served()
    async with bench.breaks[fault](bench):
        await bench.bound(shop)
        await shop.renew(new)
        await shop.work_off()
    await _is_as_before(bench, row, fault, shop=shop, before=before)


@on_each(Fault.OTHER_KEY)
async def test_the_key_of_another_certificate_never_reaches_the_target(
    bench: Bench, fault: Fault, row: Row, shop: Workshop, new: Issued, rsa_key: bytes
) -> None:
    before = await bench.served()
    await bench.bound(shop)
    # An EC certificate beside an RSA key passes the test of nginx, and then every handshake fails.
    await shop.renew(new, key_pem=rsa_key)
    await shop.work_off()
    await _is_as_before(bench, row, fault, shop=shop, before=before)
    _, steps = await shop.only()
    assert "stage" not in [step.step for step in steps]


@on_each(Fault.AWAY)
async def test_a_target_that_is_away_is_tried_again(
    bench: Bench, fault: Fault, row: Row, shop: Workshop, new: Issued, fault_proxy: StartFaultProxy
) -> None:
    before = await bench.served()
    async with fault_proxy(*bench.upstream) as proxy:
        bench.through(bench, proxy.port)
        await bench.bound(shop)
        proxy.refuse = True
        order = await shop.renew(new)
        await shop.work_off()
        await _is_as_before(bench, row, fault, shop=shop, before=before)
        proxy.refuse = False
        shop.time.passes(MINUTE)
        await shop.work_off()
    await _is_deployed(bench, shop, new, order=order)


@on_each(Fault.TWO_AT_ONCE)
async def test_of_two_deployments_at_once_the_newer_one_stays(
    bench: Bench, fault: Fault, shop: Workshop, new: Issued, lab_ca: CertificateAuthority
) -> None:
    newer = lab_ca.intermediate().issue("shop.test")
    await bench.bound(shop)
    first = await shop.renew(new)
    working = asyncio.create_task(shop.work_off())
    while (await shop.only())[0].state == State.PENDING:
        await asyncio.sleep(0)
    second = await shop.renew(newer)
    await asyncio.gather(working, shop.work_off(), shop.work_off())
    await shop.work_off()
    await _is_deployed(bench, shop, newer, order=second)
    [row] = await shop.deployments.page(after=None, limit=10, caller=CALLER, order_id=first)
    assert row.state in (State.DEPLOYED, State.SUPERSEDED)


@on_each(Fault.MADE_THERE)
async def test_a_key_that_is_made_there_is_never_read_and_one_of_a_failed_order_is_removed(
    bench: Bench, fault: Fault, shop: Workshop, lab_ca: CertificateAuthority
) -> None:
    before = bench.present()
    await bench.bound(shop)
    with files_read() as read:
        await shop.want_key("an-order-that-fails")
        await shop.work_off()
        assert [order for order, _ in shop.vault.brought] == ["an-order-that-fails"], shop.vault.refusals
        async with shop.database.transaction() as tx:
            await shop.key_requests.withdrawn(tx, "an-order-that-fails", at=shop.time(), now=shop.time())
        await shop.work_off()
        assert (await bench.served(), bench.present()) == (before, before)
        await shop.want_key("an-order")
        await shop.work_off()
        [_, (order, pem)] = shop.vault.brought
        csr = x509.load_pem_x509_csr(pem.encode())
        issuer = lab_ca.intermediate()  # some servers take no empty file of a chain
        new = Issued(certificate=issuer.sign(csr), key=new_key("ec"), issuers=issuer.chain)
        await shop.renew(new, order=order, key_is_on_target=True)
        await shop.work_off()
    await _is_deployed(bench, shop, new, order=order)
    assert shop.vault.asked == []
    assert not read & {bench.slot.get("key_path", bench.slot["certificate_path"])}


@contextmanager
def files_read() -> Iterator[set[str]]:
    """Keep the paths of files that are read over SSH."""
    paths: set[str] = set()
    read = Session.read

    async def reading(session: Session, path: str) -> bytes:
        paths.add(path)
        return await read(session, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "read", reading)
        yield paths


@pytest.mark.timeout(600)  # it is many deployments, where every cut is asked for
@on_each(Fault.CUT)
async def test_a_connection_that_is_cut_leaves_one_or_the_other(
    bench: Bench, fault: Fault, row: Row, shop: Workshop, new: Issued, lab_ca: CertificateAuthority,
    fault_proxy: StartFaultProxy,
) -> None:  # fmt: skip
    other = lab_ca.intermediate().issue("shop.test")
    async with fault_proxy(*bench.upstream) as proxy:
        bench.through(bench, proxy.port)
        await bench.bound(shop)
        points = await _points(row, shop, proxy, other)
        failed = [
            await _cut_once(bench, shop, proxy, wanted=(new, other)[number % 2], cut=cut)
            for number, cut in enumerate(points)
        ]
        # How many packets there are differs a little: a cut may have come when all was over.
        for cut in (points[-1] // 2, FIRST_CUT):
            if not any(failed):
                wanted = (new, other)[len(failed) % 2]
                failed.append(await _cut_once(bench, shop, proxy, wanted=wanted, cut=cut))
    assert any(failed)


async def _points(row: Row, shop: Workshop, proxy: FaultProxy, wanted: Issued) -> Sequence[int]:
    """Return after how many packets to cut."""
    if EVERY_CUT not in os.environ:
        return [row.seeded_cut()]
    await shop.renew(wanted, order="measured")
    await shop.work_off()
    return range(FIRST_CUT, proxy.packets + 1)


async def _cut_once(bench: Bench, shop: Workshop, proxy: FaultProxy, *, wanted: Issued, cut: int) -> bool:
    """Deploy over a connection that is cut once; return whether the attempt failed."""
    before = await bench.served()
    proxy.cut_after = cut
    order = await shop.renew(wanted)
    await shop.work_off()
    proxy.cut_after = None
    [row] = await shop.deployments.page(after=None, limit=10, caller=CALLER, order_id=order)
    first_failed = row.state != State.DEPLOYED
    if first_failed:
        assert (row.failure, row.restored) == (Failure.UNREACHABLE, True), (cut, row)
        assert await bench.served() == before == bench.present(), cut
    shop.time.passes(5 * MINUTE)
    await shop.work_off()
    await _is_deployed(bench, shop, wanted, order=order)
    return first_failed


async def _is_deployed(bench: Bench, shop: Workshop, new: Issued, *, order: str) -> None:
    [row] = await shop.deployments.page(after=None, limit=10, caller=CALLER, order_id=order)
    assert (row.state, row.phase) == (State.DEPLOYED, Phase.OVER), row.reason
    assert row.sealed_key is None
    assert (await bench.served(), bench.present()) == (new.fingerprint, new.fingerprint)


async def _is_as_before(
    bench: Bench, row: Row, fault: Fault, *, shop: Workshop, before: str | None
) -> store.Deployment:
    deployment, steps = await shop.only()
    outcome = row.outcome(fault)
    assert (deployment.failure, deployment.state) == (outcome.failure, outcome.state), deployment.reason
    assert deployment.restored
    assert (await bench.served(), bench.present()) == (before, before)
    [event] = await shop.events(DeploymentFailed)
    assert (event.restored, event.step, event.attempt) == (True, deployment.failed_step, 1)
    assert event.next_step
    assert any(step.step == deployment.failed_step and not step.ok for step in steps)
    return deployment
