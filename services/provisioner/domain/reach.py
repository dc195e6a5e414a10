"""Which addresses may be logged into: all but the denied ones, and within the operator's list where there is one."""

import ipaddress
from collections.abc import Sequence

from shared.errors import Invalid

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
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Networks:
    """The addresses of the hosts that may be logged into."""

    def __init__(self, *, allow: Sequence[str] = (), deny: Sequence[str] = ()) -> None:
        """Take networks like `10.0.0.0/8`. Raises `Invalid` where one is not a network."""
        self._allowed = [_network(text, setting="allow") for text in allow]
        self._denied = [_network(text, setting="deny") for text in (*ALWAYS_DENIED, *deny)]

    def permits(self, address: str, port: int) -> bool:  # noqa: ARG002 - every port, where the address may be
        """Return whether this address, and the IPv4 address it may stand for, may be logged into.

        Raises `ValueError` where it is a name.
        """
        own = ipaddress.ip_address(address)
        inner = _inside(own) if isinstance(own, ipaddress.IPv6Address) else None
        if _among(own, self._denied) or (inner is not None and _among(inner, self._denied)):
            return False
        return not self._allowed or _among(inner or own, self._allowed)


def _network(text: str, *, setting: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise Invalid(
            f"{setting}: {error}.", next_step="Write networks as 10.0.0.0/8, with commas between."
        ) from error


def _inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that a mapped, 6to4 or NAT64 (RFC 6052) address leads to."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _among(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)
