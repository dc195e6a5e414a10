"""What cannot be reached fetches: one token for one binding, the key once, and the deployment goes on when it is told."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from services.provisioner import store
from services.provisioner.actions.pulls import Released
from services.provisioner.connectors.wire import Endpoint
from services.provisioner.domain import Failure, Phase, State
from shared.errors import Conflict, Invalid, Unauthenticated
from shared.events.provisioner import CertificateDeployed, DeploymentFailed
from shared.sealing import open_with
from tests.conformance.targets.apis import Front, front
from tests.provisioner.test_api import api, service, siblings  # noqa: F401 - fixtures
from tests.provisioner.workshop import CALLER, Workshop
from tests.servers.tls import CertificateAuthority, Issued

NOW = timedelta(0)


class Kiosk:
    """A machine that nobody can log into: it serves a pair, and can be told to fetch another."""

    def __init__(self, shop: Workshop, issued: Issued) -> None:
        self._shop = shop
        self.pair = (issued.chain_pem, issued.key_pem)
        self._before = self.pair
        self.front: Front
        self.binding: store.Binding
        self.token = ""

    async def offer(self, *, known: str | None = None, wait: timedelta = NOW) -> store.PullOffer | None:
        """Ask what waits."""
        return await self._shop.pulls.offer(self.binding.id, token=self.token, known=known, wait=wait)

    async def fetch(self, offer: store.PullOffer, sealing_key: str | None = None) -> Released:
        """Fetch the key of an offer."""
        return await self._shop.pulls.release_key(
            self.binding.id, token=self.token, offer_id=offer.id, sealing_key=sealing_key
        )

    async def report(self, offer: store.PullOffer, outcome: Any, reason: str | None = None) -> None:
        """Say what has become of an offer."""
        await self._shop.pulls.report(
            self.binding.id, token=self.token, offer_id=offer.id, outcome=outcome, reason=reason
        )

    async def do(self) -> str:
        """Do what waits, as a machine would, and return what that was."""
        offer = await self.offer()
        assert offer is not None
        if offer.action == "restore":
            self.pair = self._before
            await self.report(offer, "restored")
            return offer.action
        released = await self.fetch(offer)
        assert released.private_key is not None
        self._before, self.pair = self.pair, (offer.chain.encode(), released.private_key.encode())
        await self.report(offer, "bound")
        return offer.action


@asynccontextmanager
async def kiosk_of(shop: Workshop, old: Issued) -> AsyncIterator[Kiosk]:
    """Make a machine known, bound, and with a token."""
    kiosk = Kiosk(shop, old)
    target = await shop.target("kiosk", kind="pull", credential={})
    with front(lambda: kiosk.pair) as kiosk.front:
        kiosk.binding = await shop.bind(target, slot={"name": "web"}, endpoints=[kiosk.front.endpoint])
        kiosk.token = await shop.pulls.new_token(kiosk.binding.id, caller=CALLER, now=shop.time())
        yield kiosk


@pytest.fixture
async def kiosk(shop: Workshop, old: Issued) -> AsyncIterator[Kiosk]:
    """A machine that serves the old certificate."""
    async with kiosk_of(shop, old) as opened:
        yield opened


async def test_what_is_fetched_and_reported_is_seen_on_the_wire_and_its_key_forgotten(
    shop: Workshop, kiosk: Kiosk, new: Issued
) -> None:
    assert await kiosk.offer() is None
    await shop.renew(new)
    await shop.work_off()
    waiting, _ = await shop.only()
    assert (waiting.state, waiting.reason) == (State.RUNNING, "Waits for somebody to fetch it.")
    assert new.key_pem not in (waiting.sealed_undo or b"")
    assert await kiosk.do() == "deploy"
    await shop.work_off()
    row, steps = await shop.only()
    assert (row.state, row.sealed_undo, row.reason) == (State.DEPLOYED, None, None)
    assert {"release key", "report", "verify"} <= {step.step for step in steps if step.ok}
    [event] = await shop.events(CertificateDeployed)
    assert event.fingerprint == new.fingerprint
    settled = await kiosk.offer()
    assert settled is not None
    assert (settled.private_key, settled.fingerprint) == (None, new.fingerprint)


async def test_what_is_said_to_be_bound_and_is_not_served_is_taken_back(
    shop: Workshop, kiosk: Kiosk, old: Issued, new: Issued
) -> None:
    await shop.renew(new)
    await shop.work_off()
    offer = await kiosk.offer()
    assert offer is not None
    await kiosk.fetch(offer)
    await kiosk.report(offer, "bound")
    await shop.work_off()
    row, _ = await shop.only()
    assert (row.phase, row.restored, row.failure) == (Phase.RESTORING, False, Failure.STILL_OLD)
    assert await kiosk.do() == "restore"
    await shop.work_off()
    row, _ = await shop.only()
    assert (row.state, row.failure, row.restored) == (State.RESTORED, Failure.STILL_OLD, True)
    assert (await kiosk.offer(), kiosk.front.held()) == (None, old.fingerprint)


async def test_the_key_of_another_certificate_is_never_offered(
    shop: Workshop, kiosk: Kiosk, old: Issued, new: Issued
) -> None:
    await shop.renew(new, key_pem=old.key_pem)
    await shop.work_off()
    row, _ = await shop.only()
    assert (row.state, row.failure, row.restored) == (State.NEEDS_ATTENTION, Failure.PAIR_MISMATCH, True)
    assert (await kiosk.offer(), kiosk.front.held()) == (None, old.fingerprint)


async def test_of_two_certificates_the_newer_one_is_offered_when_the_first_is_in_place(
    shop: Workshop, kiosk: Kiosk, new: Issued, lab_ca: CertificateAuthority
) -> None:
    newer = lab_ca.intermediate().issue("shop.test")
    await shop.renew(new)
    await shop.work_off()
    await shop.renew(newer)
    await shop.work_off()
    offered = []
    for _ in range(2):
        offer = await kiosk.offer()
        assert offer is not None
        offered.append(offer.fingerprint)
        await kiosk.do()
        await shop.work_off()
    assert offered == [new.fingerprint, newer.fingerprint]
    assert await shop.states() == [State.DEPLOYED, State.DEPLOYED]
    assert kiosk.front.held() == newer.fingerprint


async def test_the_same_certificate_again_is_put_in_place_again_and_stays_what_is_served(
    shop: Workshop, kiosk: Kiosk, new: Issued
) -> None:
    for order in ("first", "second"):
        await shop.renew(new, order=order)
        await shop.work_off()
        assert await kiosk.do() == "deploy"
        await shop.work_off()
    assert await shop.states() == [State.DEPLOYED, State.DEPLOYED]
    assert kiosk.front.held() == new.fingerprint


async def test_a_machine_that_fails_says_why_and_gets_another_offer_later(
    shop: Workshop, kiosk: Kiosk, new: Issued
) -> None:
    await shop.renew(new)
    await shop.work_off()
    first = await kiosk.offer()
    assert first is not None
    await kiosk.report(first, "failed", "no space left")
    await shop.work_off()
    assert await kiosk.do() == "restore"  # it may have fetched it: so it is asked to take it back
    await shop.work_off()
    [event] = await shop.events(DeploymentFailed)
    assert ("no space left" in event.reason, event.restored) == (True, True)
    shop.time.passes(timedelta(minutes=2))
    await shop.work_off()
    second = await kiosk.offer()
    assert second is not None
    assert second.id != first.id
    await kiosk.do()
    await shop.work_off()
    assert (await shop.only())[0].state == State.DEPLOYED


async def test_the_key_is_released_once_and_again_only_to_the_same_public_key(
    shop: Workshop, kiosk: Kiosk, new: Issued
) -> None:
    await shop.renew(new)
    await shop.work_off()
    offer = await kiosk.offer()
    assert offer is not None
    ours, others = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    public, other = (
        base64.b64encode(each.public_key().public_bytes_raw()).decode() for each in (ours, others)
    )
    with pytest.raises(Invalid, match="X25519"):
        await kiosk.fetch(offer, "AAAA")
    for _ in range(2):
        released = await kiosk.fetch(offer, public)
        sealed = base64.b64decode(released.sealed_private_key or "")
        assert open_with(ours.private_bytes_raw(), sealed, purpose=released.purpose or "") == new.key_pem
    for somebody in (None, other):
        with pytest.raises(Conflict, match="released before"):
            await kiosk.fetch(offer, somebody)
    _, steps = await shop.only()
    assert [step.step for step in steps].count("release key") == 2


async def test_an_offer_that_nobody_fetched_is_withdrawn_after_a_while(
    shop: Workshop, kiosk: Kiosk, new: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.renew(new)
    await shop.work_off()
    monkeypatch.setattr("services.provisioner.connectors.pull.utc_now", shop.time)
    shop.time.passes(timedelta(days=8))
    await shop.work_off()
    row, _ = await shop.only()
    assert (row.state, row.failure) == (State.RESTORED, Failure.NOT_FETCHED)
    assert await kiosk.offer() is None


async def test_a_token_opens_its_binding_alone_and_one_from_before_is_void(
    shop: Workshop, kiosk: Kiosk, old: Issued, new: Issued
) -> None:
    await shop.renew(new)
    await shop.work_off()
    with pytest.raises(Unauthenticated):
        await shop.pulls.offer("another binding", token=kiosk.token, known=None, wait=NOW)
    before, kiosk.token = (
        kiosk.token,
        await shop.pulls.new_token(kiosk.binding.id, caller=CALLER, now=shop.time()),
    )
    for wrong in (before, None, ""):
        with pytest.raises(Unauthenticated):
            await shop.pulls.offer(kiosk.binding.id, token=wrong, known=None, wait=NOW)
    assert await kiosk.offer() is not None


async def test_who_waits_is_answered_as_soon_as_there_is_news(
    shop: Workshop, kiosk: Kiosk, new: Issued
) -> None:
    found: list[store.PullOffer | None] = []

    async def wait() -> None:
        found.append(await kiosk.offer(wait=timedelta(seconds=30)))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.lowlevel.checkpoint()
            await shop.renew(new)
            await shop.work_off()
    assert found[0] is not None
    assert found[0].fingerprint == new.fingerprint


async def test_a_report_of_another_kind_or_of_another_offer_is_refused(
    shop: Workshop, kiosk: Kiosk, new: Issued
) -> None:
    await shop.renew(new)
    await shop.work_off()
    offer = await kiosk.offer()
    assert offer is not None
    with pytest.raises(Conflict, match="deploy"):
        await kiosk.report(offer, "restored")
    offer.id = "another"
    with pytest.raises(Conflict, match="Another certificate"):
        await kiosk.report(offer, "bound")


async def test_over_http_it_is_a_token_an_etag_and_a_key(
    api: httpx.AsyncClient,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    target = (await api.post("/v1/targets", json={"name": "kiosk", "kind": "pull"})).json()
    body = {
        "lineage_id": "lineage",
        "target_id": target["id"],
        "slot": {"name": "web"},
        "endpoints": [Endpoint(address="127.0.0.1", port=1).model_dump()],
    }
    binding = (await api.post("/v1/bindings", json=body)).json()
    made = await api.post(f"/v1/bindings/{binding['id']}/pull-tokens")
    assert made.status_code == 201, made.text
    path = f"/v1/pull/{binding['id']}"
    refused = await api.get(path)  # the operator's token is none for this
    assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")
    ours = {"Authorization": f"Bearer {made.json()['token']}"}
    assert (await api.get(path, headers=ours)).status_code == 204
    assert (await api.get(path, headers=ours, params={"wait": "1h"})).status_code == 422
    nothing = await api.post(f"{path}/key", headers=ours, json={"offer_id": "x"})
    assert nothing.status_code == 409
    assert (await api.delete(f"/v1/bindings/{binding['id']}")).status_code == 204
    assert (await api.get(path, headers=ours)).status_code == 401
