"""What others are told of a page of a source: addresses of listeners, and as many names as there is room for."""

import pytest

from services.discovery.actions import source_runs
from services.discovery.actions.source_runs import MOST_TOLD_NAMES, addressed, held
from services.discovery.domain.holdings import Holding, Listener, Page, Use


def holding(*listeners: Listener, names: tuple[str, ...] = (), addresses: tuple[str, ...] = ()) -> Holding:
    use = Use(
        product="elbv2", file="listener/1", listeners=listeners, server_names=names, certificate="arn:1"
    )
    return Holding(
        address="aws:123456789012", path="arn:1", chain=(b"",), format="acm", uses=(use,), addresses=addresses
    )


async def test_a_listener_that_is_given_by_a_name_has_the_addresses_of_the_name() -> None:
    page = await addressed(Page(holdings=(holding(Listener(port=443, address="localhost")),), position="1"))
    assert "127.0.0.1" in page.holdings[0].addresses
    assert page.position == "1"


async def test_what_the_source_tells_itself_stands() -> None:
    told = holding(Listener(port=443, address="localhost"), addresses=("192.0.2.1",))
    page = await addressed(Page(holdings=(told,)))
    assert page.holdings[0].addresses == ("192.0.2.1",)


@pytest.mark.parametrize("name", ["*", "no such name", "nowhere.invalid", "192.0.2.9"])
async def test_what_is_no_name_or_has_no_address_leaves_the_holding_as_it_was(name: str) -> None:
    page = Page(holdings=(holding(Listener(port=443, address=name)),))
    assert await addressed(page) == page


async def test_a_resolver_that_hangs_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(source_runs, "resolve", hang)
    page = Page(holdings=(holding(Listener(port=443, address="lb.example.com")),))
    assert await addressed(page) == page


async def test_all_names_of_a_certificate_are_told_as_far_as_there_is_room() -> None:
    names = tuple(f"n{number}.example.com" for number in range(MOST_TOLD_NAMES + 1))
    few = held(holding(Listener(port=443), names=names[:100]))
    assert (few.uses[0].server_names, few.is_abridged) == (list(names[:100]), False)
    many = held(holding(Listener(port=443), names=names))
    assert (len(many.uses[0].server_names), many.is_abridged) == (MOST_TOLD_NAMES, True)


async def test_a_second_use_has_what_the_first_has_left() -> None:
    one = holding(
        Listener(port=443), names=tuple(f"n{number}.example.com" for number in range(MOST_TOLD_NAMES - 1))
    )
    use = Use(
        product="elbv2",
        file="listener/2",
        listeners=(Listener(port=8443),),
        server_names=("a.test", "b.test"),
        certificate="arn:1",
    )
    told = held(
        Holding(address=one.address, path=one.path, chain=one.chain, format="acm", uses=(*one.uses, use))
    )
    assert ([each.server_names for each in told.uses][1], told.is_abridged, told.use_count) == (
        ["a.test"],
        True,
        2,
    )
