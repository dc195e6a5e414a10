from datetime import timedelta

import pytest

from services.provisioner import store
from services.provisioner.domain import State
from services.provisioner.domain.drift import OnDrift
from shared.events import Event
from shared.events.discovery import CertificateFound, Place
from shared.events.inventory import CertificateStale
from shared.events.provisioner import BindingDrifted, BindingSettled, CertificateDeployed
from tests.provisioner.actions.conftest import BOTH, bound, serving
from tests.provisioner.conftest import endpoint
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import CALLER, LOOK_EVERY, Workshop
from tests.servers.tls import Issued

OTHER = "f" * 64


async def deployed(shop: Workshop, host: SshHost, new: Issued, **given: object) -> store.Binding:
    [binding] = await bound(shop, [host], **given)
    await shop.renew(new)
    await shop.work_off()
    assert serving([host], new) == [True]
    return binding


def by_hand(host: SshHost, issued: Issued) -> None:
    """Somebody puts another certificate there, without asking us."""
    host.certificate.write_bytes(issued.chain_pem)
    host.key.write_bytes(issued.key_pem)
    host.reload()


async def look(shop: Workshop) -> None:
    shop.time.passes(LOOK_EVERY)
    await shop.drifts.look(shop.time())


def on_the_wire(host: SshHost) -> Place:
    at = endpoint(host)
    return Place(address=at.address, port=at.port, server_name=at.server_name)


async def discovers(shop: Workshop, place: Place, fingerprint: str) -> None:
    found = CertificateFound(place=place, fingerprint=fingerprint, chain=[], observed_at=shop.time())
    async with shop.database.transaction() as tx:
        event = Event.of(found, source="discovery", now=shop.time())
        await shop.drifts.found(tx, event, now=shop.time())


@BOTH
async def test_a_slot_that_somebody_has_changed_is_noticed_and_told_once(
    shop: Workshop, host: SshHost, old: Issued, new: Issued
):
    binding = await deployed(shop, host, new)
    await look(shop)
    assert await shop.events(BindingDrifted) == []
    by_hand(host, old)
    for _ in range(2):
        await look(shop)
    [told] = await shop.events(BindingDrifted)
    assert (told.binding_id, told.fingerprint, told.found) == (binding.id, new.fingerprint, old.fingerprint)
    assert (told.place, told.is_put_right) == (on_the_wire(host).key, False)
    shown = await shop.bindings.get(binding.id, caller=CALLER)
    assert shown.drift == {"place": told.place, "fingerprint": old.fingerprint}
    await shop.work_off()
    assert serving([host], old) == [True]
    by_hand(host, new)
    await look(shop)
    assert [each.binding_id for each in await shop.events(BindingSettled)] == [binding.id]
    assert (await shop.bindings.get(binding.id, caller=CALLER)).drift is None


@BOTH
async def test_it_is_put_right_where_the_binding_says_so(
    shop: Workshop, host: SshHost, old: Issued, new: Issued
):
    binding = await deployed(shop, host, new, on_drift=OnDrift.RESTORE)
    by_hand(host, old)
    await look(shop)
    await shop.work_off()
    assert serving([host], new) == [True]
    [told] = await shop.events(BindingDrifted)
    assert told.is_put_right
    assert [each.binding_id for each in await shop.events(BindingSettled)] == [binding.id]
    assert len(await shop.events(CertificateDeployed)) == 2
    _, steps = await shop.only()
    assert [step.step for step in steps].count("drift") == 1


async def test_what_is_changed_again_and_again_is_told_and_not_fought(
    shop: Workshop, host: SshHost, old: Issued, new: Issued
):
    await deployed(shop, host, new, on_drift=OnDrift.RESTORE)
    for _ in range(2):
        by_hand(host, old)
        await discovers(shop, on_the_wire(host), old.fingerprint)
        await shop.work_off()
        shop.time.passes(timedelta(minutes=10))
    assert [each.is_put_right for each in await shop.events(BindingDrifted)] == [True, False]
    assert serving([host], old) == [True]
    shop.time.passes(timedelta(hours=1))
    await discovers(shop, on_the_wire(host), old.fingerprint)
    await shop.work_off()
    assert serving([host], new) == [True]


@BOTH
@pytest.mark.parametrize("kind", ["endpoint", "store"])
async def test_discovery_notices_it_too_on_the_wire_or_in_the_file(
    shop: Workshop, host: SshHost, new: Issued, kind: str
):
    await deployed(shop, host, new)
    place = on_the_wire(host)
    if kind == "store":
        place = Place(kind="store", address=host.host, path=str(host.certificate))
    shop.time.passes(timedelta(seconds=1))
    await discovers(shop, place, OTHER)
    [told] = await shop.events(BindingDrifted)
    assert (told.place, told.found) == (place.key, OTHER)
    await discovers(shop, Place(address="192.0.2.1", port=443), OTHER)
    assert len(await shop.events(BindingDrifted)) == 1
    if kind == "store":  # what is served says nothing of the file
        await look(shop)
        assert await shop.events(BindingSettled) == []
    await discovers(shop, place, new.fingerprint)
    assert len(await shop.events(BindingSettled)) == 1


async def test_an_endpoint_that_is_down_is_no_drift(shop: Workshop, host: SshHost, new: Issued):
    await deployed(shop, host, new)
    host.fail()
    await look(shop)
    assert await shop.events(BindingDrifted) == []


async def test_what_was_seen_before_the_deployment_is_no_drift(
    shop: Workshop, host: SshHost, old: Issued, new: Issued
):
    await deployed(shop, host, new)
    shop.time.passes(-timedelta(minutes=1))
    await discovers(shop, on_the_wire(host), old.fingerprint)
    assert await shop.events(BindingDrifted) == []


async def test_what_is_on_its_way_is_no_drift(shop: Workshop, host: SshHost, old: Issued, new: Issued):
    await deployed(shop, host, new)
    shop.time.passes(timedelta(minutes=1))
    await shop.renew(old)
    await discovers(shop, on_the_wire(host), old.fingerprint)
    await shop.work_off()
    assert await shop.events(BindingDrifted) == []
    assert await shop.states() == [State.DEPLOYED, State.DEPLOYED]


async def test_a_deployment_remembers_what_discovery_has_seen_of_it(
    shop: Workshop, host: SshHost, old: Issued, new: Issued
):
    await deployed(shop, host, new)
    assert (await shop.only())[0].discovery is None
    shop.time.passes(timedelta(seconds=1))
    still_old = CertificateStale(
        lineage_id="lineage",
        old_fingerprint=old.fingerprint,
        fingerprint=new.fingerprint,
        places=[on_the_wire(host)],
        observed_at=shop.time(),
    )
    async with shop.database.transaction() as tx:
        await shop.drifts.stale(tx, Event.of(still_old, source="inventory", now=shop.time()))
    assert (await shop.only())[0].discovery == "stale"
    shop.time.passes(timedelta(seconds=1))
    await discovers(shop, on_the_wire(host), new.fingerprint)
    row, _ = await shop.only()
    assert row.discovery == "seen"
    assert row.discovered_at is not None
