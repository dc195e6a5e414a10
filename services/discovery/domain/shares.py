"""Divides addresses: every /24 (IPv6: /64) is wholly in one share, so that whoever has it can keep its limits alone."""

from collections.abc import Iterator
from dataclasses import dataclass

_GOLDEN = 0x9E3779B1
"""2**32 over the golden ratio: whatever their stride, multiples of it are spread evenly over 32 bits."""
_BITS = {4: 8, 6: 64}


def share_of(network: int, *, among: int) -> int:
    """Return the number of the share that a network is in: the number of a /24, or of a /64."""
    return ((network ^ network >> 32) * _GOLDEN & 0xFFFFFFFF) * among >> 32


def network_of(address: int, *, version: int) -> int:
    """Return the number of the network that an address is in."""
    return address >> _BITS[version]


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """One of `among` shares, the first has number 0."""

    number: int
    among: int

    def offsets(self, first: int, *, count: int, version: int) -> Iterator[int]:
        """Return which of `count` addresses from the number `first` are in it, counted from there."""
        bits = _BITS[version]
        for network in range(first >> bits, (first + count - 1 >> bits) + 1):
            if share_of(network, among=self.among) == self.number:
                begin, end = network << bits, network + 1 << bits
                yield from range(max(begin - first, 0), min(end - first, count))
