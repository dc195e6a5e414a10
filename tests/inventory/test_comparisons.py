"""Configured and served, joined by events in any order: what is wrong is kept, told once, and told to be over."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from services.inventory.domain.configured import Front, judge
from services.inventory.domain.slots import wanted_names
from services.inventory.store import flaws, joins
from shared.events import Event
from shared.events.discovery import ConfiguredUse, Held, HeldKey, Listening
from shared.events.inventory import CertificateReplaced, CertificateStale, Flaw, PlaceFlawed, PlaceMended
from shared.store import Database
from tests.inventory.ledger import HOUR, NOON, Ledger, deployed, found, lost, place, read, renewed, stored
from tests.servers.tls import Issued

ENDPOINT = place(1, name="shop.test")
Told = list[tuple[str, str]]


def configured(*names: str, in_use: bool | None = True, key: str | None = None, **changes: Any) -> Held:
    use = ConfiguredUse(
        product="nginx",
        file="/etc/nginx/nginx.conf",
        line=3,
        listeners=[Listening(port=443)],
        server_names=list(names or ("shop.test",)),
    )
    return Held(
        format="pem",
        key=HeldKey(path="/etc/tls/a.key", fingerprint=key) if key else None,
        **{
            "in_use": in_use,
            "uses": [use] if in_use else [],
            "use_count": 1 if in_use else 0,
            "addresses": ["192.0.2.1"],
            **changes,
        },
    )


async def wrong(ledger: Ledger) -> Told:
    """Return every flaw that can be asked for, with the place that has it."""
    asked = [
        (
            flaw,
            await ledger.reading.places(
                scope=None, after=None, limit=10, address=None, port=None, fingerprint=None, flaw=flaw
            ),
        )
        for flaw in Flaw
    ]
    return sorted((str(flaw), row.place.address) for flaw, rows in asked for row in rows)


async def told(ledger: Ledger) -> Told:
    began = [(f"{each.flaw} began", each.place.address) for each in await ledger.said(PlaceFlawed)]
    return began + [(f"{each.flaw} ended", each.place.address) for each in await ledger.said(PlaceMended)]


async def test_a_forgotten_reload_is_told_once_and_told_to_be_over(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    events = [stored(new, "web-1", NOON, held=configured()), found(old, ENDPOINT, NOON + HOUR)]
    await ledger.hear(*events, *events)
    assert await wrong(ledger) == [("not-served", "web-1")]
    [said] = await ledger.said(PlaceFlawed)
    assert (said.flaw, said.fingerprint, said.beside) == (Flaw.NOT_SERVED, new.fingerprint, [ENDPOINT])
    await ledger.hear(found(new, ENDPOINT, NOON + 2 * HOUR))
    assert await wrong(ledger) == []
    assert await told(ledger) == [("not-served began", "web-1"), ("not-served ended", "web-1")]


async def test_the_order_of_events_makes_no_difference(ledger: Ledger, old: Issued, new: Issued) -> None:
    key = "1" * 64
    story = [
        stored(old, "web-1", NOON, held=configured(key=key), run="1"),
        read("1", NOON),
        stored(new, "web-1", NOON + HOUR, held=configured(key=key), run="2"),
        stored(new, "web-2", NOON + HOUR, held=configured(addresses=["192.0.2.2"], key=key)),
        found(old, ENDPOINT, NOON + 2 * HOUR),
        read("2", NOON + 3 * HOUR),
    ]
    outcomes: set[tuple[tuple[str, str], ...]] = set()
    for order in _some_orders(story):
        await ledger.hear(*order)
        await ledger.hear(found(old, ENDPOINT, NOON + 4 * HOUR))
        outcomes.add(tuple(await wrong(ledger)))
        await ledger.forget()
    assert outcomes == {
        (
            ("key-shared", "web-1"),
            ("key-shared", "web-2"),
            ("not-configured", "192.0.2.1"),
            ("not-served", "web-1"),
        )
    }


def _some_orders(story: Sequence[Event[Any]]) -> list[tuple[Event[Any], ...]]:
    every = list(itertools.permutations(story))
    return [tuple(story), tuple(reversed(story)), *every[7 :: len(every) // 10]]


async def test_a_renewal_that_the_store_has_not_shown_yet_is_no_forgotten_reload(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(stored(old, "web-1", NOON, held=configured()), found(new, ENDPOINT, NOON + HOUR))
    assert await wrong(ledger) == [], "the file may hold the new one by now"
    await ledger.hear(stored(old, "web-1", NOON + 2 * HOUR, held=configured()))
    assert await wrong(ledger) == [("not-served", "web-1")], "read again: it does not"


async def test_a_store_that_has_changed_waits_for_the_next_look(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(
        stored(old, "web-1", NOON, held=configured()),
        found(old, ENDPOINT, NOON),
        stored(new, "web-1", NOON + HOUR, held=configured()),
    )
    assert await wrong(ledger) == [], "nobody has looked since"
    await ledger.hear(found(old, ENDPOINT, NOON + 2 * HOUR))
    assert await wrong(ledger) == [("not-served", "web-1")]


async def test_what_is_served_and_named_nowhere_on_a_host_that_was_read_completely_is_told(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(
        found(old, ENDPOINT, NOON), stored(new, "web-1", NOON + HOUR, held=configured("x.test"), run="1")
    )
    assert await wrong(ledger) == [], "more pages may come"
    await ledger.hear(read("1", NOON + HOUR))
    assert await wrong(ledger) == [("not-configured", "192.0.2.1")]
    await ledger.hear(stored(old, "web-1", NOON + 2 * HOUR, held=configured(), path="/opt/app.pem", run="2"))
    assert await wrong(ledger) == []
    assert await told(ledger) == [
        ("not-configured began", "192.0.2.1"),
        ("not-configured ended", "192.0.2.1"),
    ]


async def test_nothing_is_said_of_what_was_not_read_completely_or_came_after(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(
        found(old, ENDPOINT, NOON),
        stored(new, "web-1", NOON, held=configured("x.test"), run="1"),
        read("1", NOON, is_complete=False),
        found(old, place(9), NOON),
    )
    assert await wrong(ledger) == []
    await ledger.hear(read("1", NOON), found(new, ENDPOINT, NOON + HOUR))
    assert await wrong(ledger) == []
    await ledger.hear(found(old, place(1, name="other.test"), NOON + HOUR))
    assert await wrong(ledger) == [], "it came up after the host was read"


async def test_a_host_that_is_known_no_more_says_nothing(ledger: Ledger, old: Issued, new: Issued) -> None:
    held = stored(new, "web-1", NOON, held=configured("x.test"), run="1")
    await ledger.hear(found(old, ENDPOINT, NOON), held, read("1", NOON))
    assert await wrong(ledger) == [("not-configured", "192.0.2.1")]
    await ledger.hear(lost(new, held.data.place, NOON + HOUR))
    assert await wrong(ledger) == []


async def test_a_file_that_no_configuration_names_is_used_where_it_is_served(
    ledger: Ledger, old: Issued
) -> None:
    await ledger.hear(stored(old, "web-1", NOON, held=configured(in_use=False)))
    assert await wrong(ledger) == [("unused", "web-1")]
    await ledger.hear(found(old, ENDPOINT, NOON))
    assert await wrong(ledger) == []


async def test_a_place_shows_both_views(ledger: Ledger, old: Issued, new: Issued) -> None:
    await ledger.hear(
        stored(new, "web-1", NOON, held=configured("*.test")),
        found(old, ENDPOINT, NOON + HOUR),
        found(old, place(2, name="shop.test"), NOON),
    )
    rows = await ledger.reading.places(
        after=None, limit=10, address=None, port=None, fingerprint=None, scope=None
    )
    shown = {row.place.address: row for row in rows}
    for address in ("web-1", "192.0.2.1"):
        [slot] = shown[address].configured
        assert (slot.fingerprint, slot.server_name, slot.is_served) == (new.fingerprint, "*.test", False)
        assert [seen.fingerprint for seen in slot.served] == [old.fingerprint]
    assert shown["192.0.2.2"].configured == []


@pytest.mark.parametrize(
    ("held", "is_stale"),
    [
        (configured(), True),
        (configured(in_use=False), False),
        (configured(in_use=None), False),
        (configured().model_copy(update={"format": "issued"}), False),
        (None, False),
    ],
)
async def test_only_a_store_that_something_uses_keeps_a_replacement_open(
    ledger: Ledger, old: Issued, new: Issued, held: Held | None, *, is_stale: bool
) -> None:
    await ledger.hear(
        found(old, ENDPOINT, NOON),
        stored(old, "web-1", NOON, held=held),
        renewed(old, new, NOON + HOUR),
        deployed(old, new, NOON + HOUR),
        found(new, ENDPOINT, NOON + 2 * HOUR),
        stored(old, "web-1", NOON + 3 * HOUR, held=held),
    )
    assert [len(await ledger.said(each)) for each in (CertificateStale, CertificateReplaced)] == (
        [1, 0] if is_stale else [0, 1]
    )


@pytest.mark.parametrize(
    "held", [configured(in_use=False), configured().model_copy(update={"format": "issued"})]
)
async def test_a_new_certificate_that_only_lies_somewhere_is_not_in_place(
    ledger: Ledger, old: Issued, new: Issued, held: Held
) -> None:
    await ledger.hear(
        found(old, ENDPOINT, NOON), renewed(old, new, NOON + HOUR), stored(new, "ca", NOON + HOUR, held=held)
    )
    assert await ledger.said(CertificateReplaced) == []


async def test_a_copy_that_comes_into_use_counts_from_then_on(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(
        found(old, ENDPOINT, NOON),
        stored(old, "web-1", NOON, held=configured(in_use=False)),
        renewed(old, new, NOON + HOUR),
        deployed(old, new, NOON + HOUR),
        stored(old, "web-1", NOON + 2 * HOUR, held=configured()),
    )
    assert len(await ledger.said(CertificateStale)) == 1


async def test_what_an_authority_has_issued_and_nobody_saw_expires_in_silence(
    ledger: Ledger, old: Issued
) -> None:
    issued = configured(in_use=None).model_copy(update={"format": "issued"})
    await ledger.hear(stored(old, "ca", NOON, held=issued))
    assert not (await ledger.row(old)).is_current
    await ledger.hear(stored(old, "web-1", NOON, held=configured(in_use=None)))
    assert (await ledger.row(old)).is_current


def test_a_front_that_was_not_read_since_says_nothing() -> None:
    front, unread = Front(id="1", changed_at=None, read_at=NOON), Front(id="2", changed_at=None, read_at=None)
    assert not judge([front], is_named=False, first_seen=NOON + HOUR, last_seen=NOON + HOUR).is_foreign
    assert judge([front], is_named=False, first_seen=NOON, last_seen=NOON).is_foreign
    assert not judge([front, unread], is_named=False, first_seen=NOON, last_seen=NOON).is_foreign
    changed = Front(id="1", changed_at=NOON + HOUR, read_at=NOON)
    verdict = judge([changed], is_named=False, first_seen=NOON, last_seen=NOON)
    assert (verdict.is_foreign, verdict.is_awaited) == (False, True)


def test_a_name_is_wanted_as_itself_and_by_each_wildcard_above() -> None:
    assert wanted_names("a.b.test") == ["a.b.test", "*.b.test", "*.test"]
    assert wanted_names(None) == [""]


async def test_an_address_that_every_host_has_says_nothing_and_hides_no_other(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joins, "MOST_FOUND", joins.MOST_FRONTS)
    bridge, own = "172.17.0.1", "192.0.2.1"
    async with database.transaction() as tx:
        for number in range(joins.MOST_FRONTS + 1):
            await joins.keep_front(tx, f"front-{number}", [bridge], at=NOON)
        await joins.keep_front(tx, "own", [own, bridge], at=NOON)
    async with database.read() as session:
        found_at = await joins.fronts_at(session, [bridge, own])
    assert {address: [front.id for front in fronts] for address, fronts in found_at.items()} == {own: ["own"]}


async def test_a_file_that_nothing_names_explains_nothing_that_is_served(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(
        found(old, ENDPOINT, NOON),
        stored(old, "web-1", NOON, held=configured(in_use=False), path="/root/copy.pem", run="1"),
        stored(new, "web-1", NOON, held=configured("x.test"), run="1"),
        read("1", NOON),
    )
    assert await wrong(ledger) == [("not-configured", "192.0.2.1")]


async def test_a_store_at_an_address_is_no_endpoint_of_it(ledger: Ledger, old: Issued, new: Issued) -> None:
    await ledger.hear(
        stored(old, "192.0.2.1", NOON, held=configured(in_use=False), path="/root/copy.pem", run="1"),
        stored(new, "192.0.2.1", NOON, held=configured("x.test"), run="1"),
        read("1", NOON),
    )
    assert await wrong(ledger) == [("unused", "192.0.2.1")]


async def test_a_host_is_known_as_long_as_one_of_its_stores_is(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    first = stored(new, "web-1", NOON, held=configured("x.test"), run="1")
    await ledger.hear(
        found(old, ENDPOINT, NOON),
        first,
        stored(new, "web-1", NOON, held=configured("y.test"), path="/etc/tls/b.pem", run="1"),
        read("1", NOON),
        lost(new, first.data.place, NOON + HOUR),
    )
    assert await wrong(ledger) == [("not-configured", "192.0.2.1")]


async def test_a_change_that_is_told_late_does_not_make_a_later_one_earlier(database: Database) -> None:
    async with database.transaction() as tx:
        await joins.keep_front(tx, "own", ["192.0.2.1"], at=NOON)
        for at in (NOON + HOUR, NOON):
            await joins.change_front(tx, "own", at=at)
    async with database.read() as session:
        [front] = (await joins.fronts_at(session, ["192.0.2.1"]))["192.0.2.1"]
    assert front.changed_at == NOON + HOUR


async def test_what_begins_again_does_so_after_its_end_whatever_a_replica_has_for_a_clock(
    database: Database,
) -> None:
    async with database.transaction() as tx:
        for step, at in ((flaws.begin, NOON), (flaws.end, NOON + HOUR)):
            assert await step(tx, "p", Flaw.UNUSED, now=at) == at
        again = await flaws.begin(tx, "p", Flaw.UNUSED, now=NOON)
    assert again is not None
    assert again > NOON + HOUR
