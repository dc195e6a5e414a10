"""Which addresses may be looked at."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.discovery.domain.limits import Limits
from shared.errors import Invalid

NEVER = [
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "fe80::1",
    "224.0.0.1",
    "0.0.0.0",
    "fd00:ec2::254",
    "::",
]


@pytest.mark.parametrize("address", NEVER)
def test_metadata_link_local_and_multicast_are_never_looked_at(address: str) -> None:
    assert not Limits().permits(address)
    assert not Limits(allow=["0.0.0.0/0", "::/0"]).permits(address)


def test_the_operators_lists_bound_what_is_looked_at() -> None:
    limits = Limits(allow=["10.0.0.0/8"], deny=["10.1.0.0/16"], exclude=["10.2.0.1", "10.3.0.5-10.3.0.7"])
    assert limits.permits("10.0.0.1")
    assert not limits.permits("10.1.0.1")
    assert not limits.permits("10.2.0.1")
    assert [limits.permits(f"10.3.0.{last}") for last in (4, 5, 7, 8)] == [True, False, False, True]
    assert not limits.permits("192.0.2.1")
    assert not limits.permits("2001:db8::1")
    assert Limits().permits("127.0.0.1")


def test_what_is_no_address_is_refused_with_its_pointer() -> None:
    with pytest.raises(Invalid) as caught:
        Limits(exclude=["10.0.0.1", "www.example.com"])
    assert caught.value.faults[0].pointer == "/body/exclude/1"


networks = st.lists(
    st.tuples(st.integers(0x0A000000, 0x0A0000FF), st.integers(24, 32)).map(
        lambda it: ipaddress.ip_network(it, strict=False)
    ),
    max_size=8,
)


@given(networks, st.integers(0x0A000000, 0x0A0000FF).map(ipaddress.IPv4Address))
def test_an_address_is_denied_exactly_where_a_network_holds_it(
    denied: list[ipaddress.IPv4Network], address: ipaddress.IPv4Address
) -> None:
    limits = Limits(deny=[str(network) for network in denied])
    assert limits.permits(str(address)) == (not any(address in network for network in denied))


def test_what_the_platform_runs_on_is_not_looked_at():
    limits = Limits(own={("192.0.2.5", 5432), ("127.0.0.1", 8400)})
    assert not limits.permits("192.0.2.5", 5432)
    assert limits.permits("192.0.2.5", 443)
    assert limits.permits("192.0.2.6", 5432)
    assert not limits.permits("127.0.0.99", 8400), "every loopback address leads to the same server"
    assert not limits.permits("::1", 8400)
    assert limits.permits("127.0.0.1", 443)
