"""The key of our account with an authority is changed, whatever happens in between."""

from collections.abc import AsyncIterator

import anyio
import pytest

from services.renewal import store
from services.renewal.actions.account_keys import AccountKeys
from services.renewal.connectors import Challenge
from services.renewal.connectors.acme import Acme
from services.renewal.connectors.http01 import Listener
from services.renewal.domain.orders import State
from shared.access import Principal
from shared.errors import Conflict, Invalid, NotFound, Refused, Unavailable
from tests.renewal.workshop import CALLER, Workshop
from tests.servers.pebble import Pebble, StartPebble
from tests.servers.processes import free_port


class Killed(BaseException):
    """The end of a process, as far as one task can see it."""


@pytest.fixture
async def pebble(small_shop: Workshop, start_pebble: StartPebble) -> AsyncIterator[Pebble]:
    """An ACME server that is the authority `pebble`, with the profile `acme`, and our listener."""
    port = free_port()
    server = start_pebble(http01_port=port)
    options = {"directory_url": server.dir_url, "ca_pem": server.ca_pem.read_text()}
    await small_shop.authority("pebble", kind="acme", options=options)
    await small_shop.profile("acme", authority="pebble", challenge=Challenge.HTTP_01)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Listener("127.0.0.1", port, find=small_shop.challenges.find).run)
        yield server
        tasks.cancel_scope.cancel()


async def authority(shop: Workshop, name: str = "pebble") -> store.Authority:
    async with shop.database.read() as session:
        found = await store.authority_named(session, name)
    assert found is not None
    return found


async def ordered(shop: Workshop, lineage: str) -> State:
    order = await shop.order(f"{lineage}.example.test", lineage_id=lineage, profile="acme")
    await shop.work_off()
    row, _ = await shop.orders.get(order.id, caller=CALLER)
    return State(row.state)


async def key_of(shop: Workshop) -> bytes:
    return shop.authorities.open_private(await authority(shop))


async def change(shop: Workshop, *, caller: Principal = CALLER, name: str = "pebble") -> None:
    keys = AccountKeys(shop.database, shop.authorities)
    await keys.change((await authority(shop, name)).id, caller=caller, now=shop.time())


@pytest.mark.usefixtures("pebble")
async def test_the_account_goes_on_with_a_fresh_key_that_is_sealed(small_shop: Workshop) -> None:
    assert await ordered(small_shop, "before") == State.RENEWED
    old = await key_of(small_shop)
    await change(small_shop)
    assert await key_of(small_shop) != old
    assert b'next_key":null' in await key_of(small_shop)
    assert await ordered(small_shop, "after") == State.RENEWED
    assert b"next_key" not in (await authority(small_shop)).private


@pytest.mark.usefixtures("pebble")
@pytest.mark.parametrize("is_asked", [True, False], ids=["after it was asked", "before it was asked"])
async def test_a_process_killed_while_it_changed_the_key_leaves_an_account_that_works(
    small_shop: Workshop, monkeypatch: pytest.MonkeyPatch, *, is_asked: bool
) -> None:
    assert await ordered(small_shop, "before") == State.RENEWED
    true = Acme.change_key

    async def killed(self: Acme) -> bytes:
        if is_asked:
            await true(self)
        raise Killed

    monkeypatch.setattr(Acme, "change_key", killed)
    with pytest.raises(Killed):
        await change(small_shop)
    monkeypatch.undo()
    assert await ordered(small_shop, "between") == State.RENEWED
    await change(small_shop)
    assert await ordered(small_shop, "after") == State.RENEWED


async def test_an_authority_that_is_away_keeps_the_present_key(small_shop: Workshop, pebble: Pebble) -> None:
    assert await ordered(small_shop, "before") == State.RENEWED
    pebble.stop()
    with pytest.raises(Unavailable, match="cannot be reached"):
        await change(small_shop)
    assert b'next_key":null' not in await key_of(small_shop)


@pytest.mark.usefixtures("pebble")
async def test_a_key_that_somebody_else_changes_meanwhile_is_a_conflict(
    small_shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await ordered(small_shop, "before") == State.RENEWED
    true = Acme.change_key

    async def slow(self: Acme) -> bytes:
        monkeypatch.undo()
        await change(small_shop)
        return await true(self)

    monkeypatch.setattr(Acme, "change_key", slow)
    with pytest.raises(Conflict, match="by somebody else meanwhile"):
        await change(small_shop)
    assert await ordered(small_shop, "after") == State.RENEWED


async def test_who_has_no_key_with_the_authority_is_told(small_shop: Workshop) -> None:
    await small_shop.authority("plain", kind="builtin")
    with pytest.raises(Invalid, match="no key that could be changed"):
        await change(small_shop, name="plain")
    options = {"directory_url": "https://localhost:1/dir"}
    await small_shop.authority("new", kind="acme", options=options)
    with pytest.raises(Refused, match="no account of ours yet"):
        await change(small_shop, name="new")


async def test_an_authority_of_another_team_is_not_there(small_shop: Workshop) -> None:
    await small_shop.authority("theirs", groups=["team-a"])
    other = Principal(id="o", name="Other", roles=frozenset({"operator"}), groups=frozenset({"team-b"}))
    with pytest.raises(NotFound):
        await change(small_shop, caller=other, name="theirs")
