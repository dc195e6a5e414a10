"""How stores keep certificates: told by discovery, asked for with what is wrong."""

from typing import Any

import pytest

from shared.events.discovery import ConfiguredUse, Held, HeldKey, Listening
from shared.events.inventory import Flaw
from tests.inventory.ledger import HOUR, NOON, Ledger, found, lost, place, stored
from tests.servers.tls import CertificateAuthority, Issued

KEY, OTHER = "1" * 64, "2" * 64
USE = ConfiguredUse(
    product="nginx",
    file="/etc/nginx/nginx.conf",
    line=3,
    listeners=[Listening(port=443)],
    server_names=["a.test"],
)


def held(key: str | None = KEY, **changes: Any) -> Held:
    of_key = {
        name: changes.pop(name) for name in ("is_exposed", "is_replaceable", "is_match") if name in changes
    }
    return Held(
        format="pem",
        key=HeldKey(path="/etc/tls/a.key", fingerprint=key, **of_key) if key else None,
        **{"in_use": True, "uses": [USE], "use_count": 1, **changes},
    )


async def flawed(ledger: Ledger, flaw: Flaw | None = None) -> dict[str, list[str]]:
    rows = await ledger.reading.holdings(
        after=None, limit=10, address=None, fingerprint=None, flaw=flaw, scope=None
    )
    return {each.place.address: list(each.flaws) for each in rows}


@pytest.mark.parametrize(
    ("told", "flaw"),
    [
        (held(is_exposed=True), Flaw.KEY_EXPOSED),
        (held(is_replaceable=True), Flaw.KEY_REPLACEABLE),
        (held(is_match=False), Flaw.KEY_MISMATCH),
        (held(in_use=False, uses=[], use_count=0), Flaw.UNUSED),
    ],
)
async def test_what_is_wrong_with_a_holding_is_said_and_can_be_asked_for(
    ledger: Ledger, old: Issued, told: Held, flaw: Flaw
) -> None:
    await ledger.hear(
        stored(old, "a", NOON, held=told), stored(old, "b", NOON, held=held(OTHER, is_match=True))
    )
    assert await flawed(ledger) == {"a": [flaw], "b": []}
    assert {each: await flawed(ledger, each) for each in Flaw} == {
        each: ({"a": [flaw]} if each is flaw else {}) for each in Flaw
    }


async def test_a_key_on_two_hosts_is_shared_and_each_names_the_other(ledger: Ledger, old: Issued) -> None:
    await ledger.hear(
        stored(old, "a", NOON, held=held()),
        stored(old, "a", NOON, held=held(), path="/etc/tls/copy.pem"),
        stored(old, "b", NOON, held=held()),
        stored(old, "c", NOON, held=held(OTHER)),
    )
    rows = await ledger.reading.holdings(
        scope=None, after=None, limit=10, address=None, fingerprint=None, flaw=Flaw.KEY_SHARED
    )
    assert sorted((each.place.address, tuple(each.key_shared_with)) for each in rows) == [
        ("a", ("b",)),
        ("a", ("b",)),
        ("b", ("a",)),
    ]


async def test_a_key_that_is_twice_on_one_host_is_not_shared(ledger: Ledger, old: Issued) -> None:
    copy = stored(old, "a", NOON, held=held(), path="/etc/tls/copy.pem")
    await ledger.hear(stored(old, "a", NOON, held=held()), copy)
    assert await flawed(ledger, Flaw.KEY_SHARED) == {}


async def test_what_was_told_last_holds_whatever_came_first(ledger: Ledger, old: Issued) -> None:
    await ledger.hear(
        stored(old, "a", NOON + HOUR, held=held()), stored(old, "a", NOON, held=held(is_exposed=True))
    )
    assert await flawed(ledger) == {"a": []}
    await ledger.hear(stored(old, "a", NOON + 2 * HOUR, held=held(is_exposed=True)))
    assert await flawed(ledger) == {"a": ["key-exposed"]}


async def test_a_store_that_is_gone_holds_nothing(ledger: Ledger, old: Issued) -> None:
    told = stored(old, "a", NOON, held=held())
    await ledger.hear(told, lost(old, told.data.place, NOON + HOUR), stored(old, "b", NOON, held=held()))
    assert await flawed(ledger) == {"b": []}


async def test_what_uses_it_is_kept(ledger: Ledger, old: Issued) -> None:
    await ledger.hear(stored(old, "a", NOON, held=held()))
    [row] = await ledger.reading.holdings(
        after=None, limit=10, address="a", fingerprint=None, flaw=None, scope=None
    )
    assert (row.fingerprint, row.held.uses) == (old.fingerprint, [USE])


def configured(name: str | None = "a.test", **listening: Any) -> Held:
    use = USE.model_copy(
        update={
            "server_names": [name] if name else [],
            "listeners": [Listening(**{"port": 443, **listening})],
        }
    )
    return held(uses=[use], addresses=["192.0.2.1", "192.0.2.2"])


async def served(ledger: Ledger, of: Issued) -> list[tuple[str | None, bool | None]]:
    rows = await ledger.reading.holdings(
        scope=None, after=None, limit=10, address=None, fingerprint=of.fingerprint, flaw=None
    )
    return [(slot.server_name, slot.is_served) for each in rows for slot in each.slots]


async def test_configured_and_served_are_side_by_side(ledger: Ledger, old: Issued, new: Issued) -> None:
    await ledger.hear(stored(new, "web-1", NOON, held=configured()))
    assert await served(ledger, new) == [("a.test", None)]
    await ledger.hear(found(old, place(1, name="a.test"), NOON))
    assert await served(ledger, new) == [("a.test", False)]
    assert await flawed(ledger) == {"web-1": ["not-served"]}
    await ledger.hear(found(new, place(1, name="a.test"), NOON + HOUR))
    assert await served(ledger, new) == [("a.test", True)]
    await ledger.hear(found(old, place(2, name="a.test"), NOON + HOUR))
    assert await served(ledger, new) == [("a.test", False)], (
        "one address of the host still serves the old one"
    )


@pytest.mark.parametrize(
    ("held_", "asked", "fits"),
    [
        (configured("*.test"), "a.test", True),
        (configured("*.test"), "test", False),
        (configured(None), "a.test", False),
        (configured(port=8443), "a.test", False),
        (configured(address="192.0.2.2"), "a.test", False),
        (configured(address="192.0.2.1"), "a.test", True),
        (configured(address="0.0.0.0"), "a.test", True),
        (configured(starttls="smtp"), "a.test", False),
        (configured().model_copy(update={"addresses": []}), "a.test", False),
    ],
)
async def test_what_was_seen_counts_only_where_the_configuration_speaks_of_it(
    ledger: Ledger, old: Issued, held_: Held, asked: str, *, fits: bool
) -> None:
    await ledger.hear(stored(old, "web-1", NOON, held=held_), found(old, place(1, name=asked), NOON))
    [(_, is_served)] = await served(ledger, old)
    assert is_served is (True if fits else None)


async def test_what_one_host_serves_says_nothing_of_another(ledger: Ledger, old: Issued, new: Issued) -> None:
    other = configured().model_copy(update={"addresses": ["192.0.2.3"]})
    await ledger.hear(
        stored(old, "web-1", NOON, held=configured()),
        stored(new, "web-3", NOON, held=other),
        found(old, place(1, name="a.test"), NOON),
    )
    assert (await served(ledger, old), await served(ledger, new)) == ([("a.test", True)], [("a.test", None)])


async def test_a_certificate_for_other_clients_says_nothing(
    ledger: Ledger, old: Issued, lab_ca: CertificateAuthority
) -> None:
    rsa = lab_ca.issue("shop.test", kind="rsa")
    await ledger.hear(
        stored(rsa, "web-1", NOON, held=configured()), found(old, place(1, name="a.test"), NOON)
    )
    assert await served(ledger, rsa) == [("a.test", None)]
