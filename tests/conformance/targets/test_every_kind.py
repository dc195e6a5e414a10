"""What every kind of target must do: the new certificate is served, or the old one is, and the report says which."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import pytest

from services.provisioner import store
from services.provisioner.connectors.pull import Pull
from services.provisioner.connectors.registry import TARGETS, Kind
from services.provisioner.domain import Failure, Phase, State
from shared.events.provisioner import CertificateDeployed, DeploymentFailed
from tests.conformance.targets import ROWS, on_each
from tests.conformance.targets.bench import ENDS_DEPLOYED, USUAL, Bench, Fault, Row
from tests.provisioner.workshop import CALLER, Workshop
from tests.servers.fault_proxy import FaultProxy, StartFaultProxy
from tests.servers.tls import CertificateAuthority, Issued

MINUTE = timedelta(minutes=1)
BREAKS = tuple(fault for fault in USUAL if fault not in (Fault.AWAY, Fault.OTHER_KEY))
"""What the bench of a kind breaks by itself."""


ELSEWHERE: Mapping[Kind, str] = {
    Pull: "nothing goes out to it, and it takes its time: tests/provisioner/test_pulls.py"
}
"""Kinds that this suite does not fit."""


def test_every_kind_is_in_this_suite_and_every_fault_is_in_the_table() -> None:
    assert {row.kind for row in ROWS.values()} | ELSEWHERE.keys() == set(TARGETS)
    assert {*USUAL, *ENDS_DEPLOYED} == set(Fault)


@on_each(Fault.AGAIN)
async def test_a_new_certificate_is_seen_on_the_wire_and_again_changes_nothing(
    bench: Bench, fault: Fault, shop: Workshop, new: Issued
) -> None:
    await bench.bound(shop)
    for order in ("first", "second"):
        await shop.renew(new, order=order)
        await shop.work_off()
        await _is_deployed(bench, shop, new, order=order)
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
    bench: Bench, fault: Fault, row: Row, shop: Workshop, new: Issued, lab_ca: CertificateAuthority
) -> None:
    before = await bench.served()
    await bench.bound(shop)
    # An EC certificate beside an RSA key passes the test of nginx, and then every handshake fails.
    await shop.renew(new, key_pem=lab_ca.issue("shop.test", kind="rsa").key_pem)
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


@pytest.mark.timeout(600)  # it is many deployments
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
    assert any(failed)


async def _points(row: Row, shop: Workshop, proxy: FaultProxy, wanted: Issued) -> list[int]:
    """Return after how many packets to cut."""
    if not isinstance(row.cuts, int):
        return list(row.cuts)
    await shop.renew(wanted, order="measured")
    await shop.work_off()
    return list(range(3, proxy.packets + 1, row.cuts))


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
