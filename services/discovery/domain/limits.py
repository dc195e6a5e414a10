"""Which addresses may be looked at: all but the denied ones, and within the operator's list where there is one."""

import ipaddress
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence

from services.discovery.domain.targets import Address, ipv4_number, parse_addresses

ALWAYS_DENIED = (
    "0.0.0.0/8",
    "169.254.0.0/16",  # link-local, where clouds keep their metadata services
    "224.0.0.0/4",
    "255.255.255.255/32",
    "::/128",
    "fe80::/10",
    "fd00:ec2::254/128",  # the same metadata service over IPv6
    "ff00::/8",
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Limits:
    """What may be looked at; `exclude` is what one scan leaves out beside."""

    def __init__(
        self,
        *,
        allow: Sequence[str] = (),
        deny: Sequence[str] = (),
        exclude: Sequence[str] = (),
        own: Collection[tuple[str, int]] = (),
    ) -> None:
        """Take addresses, networks and ranges. Raises `Invalid` where one is none of them.

        `own` are addresses and ports that the platform itself runs on; at a loopback address it is the port that
        counts, for all of them lead to the same machine.
        """
        self._own = frozenset(own)
        self._own_ports = {port for _, port in own}
        self._own_loopback = {port for address, port in own if ipaddress.ip_address(address).is_loopback}
        denied = [parse_addresses(text, pointer="deny") for text in (*ALWAYS_DENIED, *deny)]
        left_out = [parse_addresses(text, pointer=f"/body/exclude/{n}") for n, text in enumerate(exclude)]
        self._denied = _Spans([*denied, *left_out])
        self._allowed = _Spans([parse_addresses(text, pointer="allow") for text in allow]) if allow else None

    def permits(self, address: str, port: int | None = None) -> bool:
        """Return whether this address, and the IPv4 address it may stand for, may be looked at (at this port)."""
        if port in self._own_ports and self.is_own(address, port):
            return False
        if ":" not in address:
            number = ipv4_number(address)
            if self._denied.has(number, version=4):
                return False
            return self._allowed is None or self._allowed.has(number, version=4)
        ip = ipaddress.ip_address(address)
        inner = _inside(ip) if isinstance(ip, ipaddress.IPv6Address) else None
        if ip in self._denied or (inner is not None and inner in self._denied):
            return False
        return self._allowed is None or (inner or ip) in self._allowed

    def is_own(self, address: str, port: int | None) -> bool:
        """Return whether the platform itself runs on this address and port."""
        if (address, port) in self._own:
            return True
        return port in self._own_loopback and ipaddress.ip_address(address).is_loopback


def _inside(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that a mapped, 6to4 or NAT64 (RFC 6052) address leads to."""
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour


class _Spans:
    """A set of addresses as sorted spans: asking costs the same for ten networks and for ten thousand."""

    def __init__(self, spans: Iterable[tuple[Address, Address]]) -> None:
        self._starts: dict[int, list[int]] = {4: [], 6: []}
        self._ends: dict[int, list[int]] = {4: [], 6: []}
        for version, start, end in sorted((first.version, int(first), int(last)) for first, last in spans):
            starts, ends = self._starts[version], self._ends[version]
            if ends and start <= ends[-1] + 1:
                ends[-1] = max(ends[-1], end)
            else:
                starts.append(start)
                ends.append(end)

    def has(self, number: int, *, version: int) -> bool:
        """Return whether the address of this number is in it."""
        at = bisect_right(self._starts[version], number) - 1
        return at >= 0 and number <= self._ends[version][at]

    def __contains__(self, ip: Address) -> bool:
        return self.has(int(ip), version=ip.version)
