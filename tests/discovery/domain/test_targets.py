"""Targets as people write them, and the walk that is made of them."""

import ipaddress
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.discovery.domain.targets import (
    LAST_PORT,
    Asked,
    Segment,
    Walk,
    parse_ports,
    parse_server_name,
    parse_target,
    plan,
)
from shared.errors import Invalid, TooLarge

HTTPS = ((443, 443),)


def asked(*texts: str, ports: str = "443", names: tuple[str, ...] = (), **resolved: list[str]) -> list[Asked]:
    wishes = [parse_target(text, pointer="/t") for text in texts]
    hosts = {name.replace("_", "."): addresses for name, addresses in resolved.items()}
    segments = plan(
        wishes, resolved=hosts, ports=parse_ports(ports, pointer="/p"), server_names=names, most=10_000
    )
    walk = Walk(segments)
    return [walk.at(index) for index in range(len(walk))]


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("192.0.2.1", ["192.0.2.1"]),
        ("192.0.2.0/30", ["192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3"]),
        ("192.0.2.9-192.0.2.11", ["192.0.2.9", "192.0.2.10", "192.0.2.11"]),
        ("192.0.2.9-11", ["192.0.2.9", "192.0.2.10", "192.0.2.11"]),
        ("2001:db8::1", ["2001:db8::1"]),
        ("2001:db8::/127", ["2001:db8::", "2001:db8::1"]),
    ],
)
def test_networks_ranges_and_addresses_are_walked_in_full(text: str, addresses: list[str]) -> None:
    assert [one.address for one in asked(text)] == addresses


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("https://192.0.2.1", 443),
        ("https://192.0.2.1:8443/path?x=1", 8443),
        ("ldaps://192.0.2.1", 636),
        ("192.0.2.1:9443", 9443),
        ("https://[2001:db8::1]:8443/", 8443),
        ("[2001:db8::1]:8443", 8443),
    ],
)
def test_a_port_in_the_target_is_the_only_one_asked(text: str, port: int) -> None:
    assert [one.port for one in asked(text, ports="1-5")] == [port]


def test_a_host_name_is_asked_for_at_each_of_its_addresses() -> None:
    places = asked("https://www.example.test", www_example_test=["192.0.2.1", "2001:db8::1"])
    assert places == [
        Asked(address="192.0.2.1", port=443, server_name="www.example.test"),
        Asked(address="2001:db8::1", port=443, server_name="www.example.test"),
    ]


def test_every_address_is_asked_for_every_given_name() -> None:
    places = asked("192.0.2.0/31", names=("a.test", "b.test"))
    assert {(one.address, one.server_name) for one in places} == {
        ("192.0.2.0", "a.test"),
        ("192.0.2.1", "a.test"),
        ("192.0.2.0", "b.test"),
        ("192.0.2.1", "b.test"),
    }


@pytest.mark.parametrize(
    "text",
    ["", "192.0.2.0/33", "192.0.2.9-5", "exa mple.com", "300.1.1.1", "http://", "ftp://host", "a:b:c", "-x"],
)
def test_what_is_no_target_is_refused_with_its_pointer(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_target(text, pointer="/body/targets/3")
    assert caught.value.faults[0].pointer == "/body/targets/3"


@pytest.mark.parametrize("text", ["70000", "0", "443-80", "x", "", "-1", "4٤3"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_ports(text, pointer="/body/ports")


def test_overlapping_ports_are_asked_once() -> None:
    assert parse_ports("443,440-445,443,8443", pointer="/p") == ((440, 445), (8443, 8443))


def test_too_much_is_refused_before_anything_is_built() -> None:
    wish = parse_target("2001:db8::/32", pointer="/t")
    with pytest.raises(TooLarge, match="the limit is 1,048,576"):
        plan([wish], resolved={}, ports=HTTPS, server_names=[], most=1_048_576)


@given(
    st.lists(
        st.builds(
            Segment,
            first=st.integers(0, 2**32 - 300).map(lambda n: str(ipaddress.IPv4Address(n))),
            count=st.integers(1, 20),
            ports=st.lists(st.tuples(st.integers(45, 50), st.integers(51, 55)), min_size=1, max_size=1).map(
                tuple
            ),
            server_names=st.sampled_from([(None,), ("a.test", "b.test")]),
        ),
        max_size=4,
    ),
    st.data(),
)
def test_a_walk_visits_what_its_segments_hold_each_once(segments: list[Segment], data: st.DataObject) -> None:
    walk = Walk(segments)
    assert len(walk) == sum(len(segment) for segment in segments)
    if len(walk):
        index = data.draw(st.integers(0, len(walk) - 1))
        place = walk.at(index)
        assert 1 <= place.port <= LAST_PORT
    for segment in segments:
        places = [segment.at(index) for index in range(len(segment))]
        assert len(set(places)) == len(places)


def network(address: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(f"{address}/{64 if ':' in address else 24}", strict=False)


FIRSTS = st.one_of(
    st.integers(0, 2**32 - 1000).map(lambda number: str(ipaddress.IPv4Address(number))),
    st.integers(2**125 - 500, 2**125 + 2**64).map(lambda number: str(ipaddress.IPv6Address(number))),
)
SEGMENTS = st.builds(
    Segment,
    first=FIRSTS,
    count=st.one_of(st.just(1), st.integers(2, 300)),
    ports=st.sampled_from([HTTPS, ((80, 81), (443, 443))]),
    server_names=st.sampled_from([(None,), ("a.test", "b.test")]),
)


@settings(max_examples=30)
@given(st.lists(SEGMENTS, max_size=3), st.integers(1, 5))
def test_divided_walks_visit_the_same_places_together_and_each_network_in_one_of_them(
    segments: list[Segment], among: int
) -> None:
    whole = Walk(segments, starttls="auto")
    walks = whole.divided(among=among)
    assert list(whole.places()) == [whole.at(index) for index in range(len(whole))]
    together = [one for walk in walks for one in walk.places()]
    assert Counter(together) == Counter(whole.places())
    networks = [{network(one.address) for one in walk.places()} for walk in walks]
    assert sum(map(len, networks)) == len(set().union(*networks))


def test_networks_that_follow_each_other_are_divided_evenly() -> None:
    (segment,) = plan(
        [parse_target("10.0.0.0/16", pointer="/t")], resolved={}, ports=HTTPS, server_names=(), most=1 << 16
    )
    sizes = [sum(1 for _ in walk.places()) for walk in Walk([segment]).divided(among=4)]
    assert sum(sizes) == 1 << 16
    assert max(sizes) - min(sizes) <= 4 * 256


def test_a_name_is_asked_for_as_it_goes_over_the_wire() -> None:
    assert parse_target("https://BÜCHER.example./x", pointer="/t").host == "xn--bcher-kva.example"
    assert parse_server_name("Shop.TEST.", pointer="/n") == "shop.test"


@pytest.mark.parametrize("name", ["", "192.0.2.1", "::1", "a b", "x" * 64 + ".test", "é" * 80, "a." * 130])
def test_what_no_server_can_be_asked_for_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        parse_server_name(name, pointer="/body/server_names/0")


def test_the_same_target_written_twice_is_asked_once() -> None:
    assert len(asked("192.0.2.1", "192.0.2.1", "https://192.0.2.1")) == 1


def test_a_network_of_ipv6_is_measured_without_being_walked() -> None:
    with pytest.raises(TooLarge, match="36,893,488,147,419,103,232"):
        plan([parse_target("2001:db8::/63", pointer="/t")], resolved={}, ports=HTTPS, server_names=[], most=9)
