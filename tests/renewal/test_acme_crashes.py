"""An order at a real ACME authority, its process killed at every point; what is in the database is all that is left."""

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from services.renewal import store
from services.renewal.actions.attempt import Attempt
from services.renewal.connectors import Challenge, Pending
from services.renewal.connectors.http01 import Listener
from services.renewal.domain.orders import State
from shared.events.renewal import CertificateRenewed
from tests.renewal.workshop import Workshop
from tests.servers.pebble import StartPebble
from tests.servers.processes import free_port


class Killed(BaseException):
    """The end of a process, as far as one task can see it."""


@pytest.fixture
async def acme_shop(shop: Workshop, start_pebble: StartPebble) -> AsyncIterator[Workshop]:
    """Renewal with an ACME authority, and the listener."""
    port = free_port()
    pebble = start_pebble(http01_port=port)
    options = {"directory_url": pebble.dir_url, "ca_pem": pebble.ca_pem.read_text()}
    await shop.authority("pebble", kind="acme", options=options)
    await shop.profile("acme", authority="pebble", challenge=Challenge.HTTP_01)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Listener("127.0.0.1", port, find=shop.challenges.find).run)
        yield shop
        tasks.cancel_scope.cancel()


async def orders_at_the_authority(shop: Workshop, order: store.Order) -> list[str]:
    async with shop.database.read() as session:
        row = await session.get_one(store.Authority, order.authority_id)
    async with shop.authorities.open(row) as opened:
        session_: Any = opened._steps._session  # type: ignore[attr-defined] # looks behind the protocol
        account = json.loads((await session_.get(session_.kid)).content)
        listed = json.loads((await session_.get(account["orders"])).content)["orders"]
        return [json.loads((await session_.get(url)).content)["status"] for url in listed]


@pytest.mark.parametrize("is_kept", [True, False], ids=["after a step was kept", "before a step was kept"])
async def test_an_order_killed_at_every_step_ends_in_one_certificate(
    acme_shop: Workshop, monkeypatch: pytest.MonkeyPatch, *, is_kept: bool
) -> None:
    shop, kills, keep = acme_shop, [], Attempt._keep

    async def killed(attempt: Attempt, told: Pending) -> None:
        doomed = told.step not in kills and told.retry_after.total_seconds() == 0
        if is_kept or not doomed:
            await keep(attempt, told)
        if doomed:
            kills.append(told.step)
            raise Killed

    monkeypatch.setattr(Attempt, "_keep", killed)
    order = await shop.order(profile="acme")
    while (await shop.only()).state != State.RENEWED:
        claim = await shop.work.claim(now=shop.time())
        assert claim is not None
        try:
            await Attempt(
                shop.database, order.id, lease=claim.lease, means=shop.work._means, clock=shop.time
            ).run()
        except Killed:
            shop.time.passes(shop.lease * 2)
    assert {"account", "place", "authorize", "show", "answer", "validate", "clean"} <= set(kills)
    assert len(await shop.events(CertificateRenewed)) == 1
    assert await orders_at_the_authority(shop, order) == ["valid"]
    assert (await shop.only()).attempts == 0
