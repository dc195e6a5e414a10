"""What a scan is asked to look at: a walk over addresses, ports and names that is never written out."""

import ipaddress
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import accumulate
from typing import Any
from urllib.parse import urlsplit

from services.discovery.domain.shares import Share, network_of, share_of
from services.discovery.domain.values import value
from shared.errors import Fault, Invalid, TooLarge

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LAST_PORT = 65535
AUTO = "auto"
"""Instead of a STARTTLS protocol: the one that the port or the greeting suggests."""
_HOST = re.compile(r"(?=.{1,253}\.?$)(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_PLAIN = re.compile(r"((?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!:|$)|(?=:|$))){4})(?::(\d{1,5}))?")
"""An IPv4 address, with a port or without: what long lists are made of."""
_SCHEME_PORTS = {"https": 443, "ldaps": 636, "imaps": 993, "pop3s": 995, "smtps": 465, "ftps": 990}


@value(frozen=True, kw_only=True, slots=True)
class Asked:
    """One place to look at: an IP address and port, and the server name to ask for, if any."""

    address: str
    port: int
    server_name: str | None = None
    starttls: str | None = None
    """The protocol to speak before TLS; None for TLS from the first byte, `auto` for what the port or the
    greeting suggests."""
    key_type: str | None = None
    """Ask as a client that verifies only this kind of key, `rsa` or `ecdsa`; None for any."""


@value(frozen=True, kw_only=True, slots=True)
class Segment:
    """`count` consecutive addresses from `first`, each with every port and every server name."""

    first: str
    count: int
    ports: tuple[tuple[int, int], ...]
    """Ranges, both ends included."""
    server_names: tuple[str | None, ...] = (None,)

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> "Segment":
        """Return what `row` has written down."""
        return cls(
            first=row["first"],
            count=row["count"],
            ports=tuple((low, high) for low, high in row["ports"]),
            server_names=tuple(row["server_names"]),
        )

    def row(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @property
    def ports_count(self) -> int:
        """Return how many ports the ranges hold."""
        count = 0
        for (
            first,
            last,
        ) in self.ports:  # a loop: long lists ask for it once a line, and `sum` costs twice as much
            count += last - first + 1
        return count

    @property
    def size(self) -> int:
        """Return how many places it holds; for IPv6 that may be more than `len` can say."""
        return self.count * self.ports_count * len(self.server_names)

    def __len__(self) -> int:
        return self.size

    def holds(self, address: str, *, port: int) -> bool:
        """Return whether it leads to this address and port."""
        first, wanted = ipaddress.ip_address(self.first), ipaddress.ip_address(address)
        is_near = first.version == wanted.version and 0 <= int(wanted) - int(first) < self.count
        return is_near and any(low <= port <= high for low, high in self.ports)

    def at(self, index: int, *, starttls: str | None = None) -> Asked:
        """Return the `index`th place; neighbours in the walk are different addresses."""
        rest, offset = divmod(index, self.count)
        name_index, port_index = divmod(rest, self.ports_count)
        return Asked(
            address=str(ipaddress.ip_address(self.first) + offset) if offset else self.first,
            port=self._port(port_index),
            server_name=self.server_names[name_index],
            starttls=starttls,
        )

    def places(self, *, starttls: str | None = None, share: Share | None = None) -> Iterator[Asked]:
        """Return all places, or those of a share, in the order of `at`, for less than asking for each."""
        start = int(ipaddress.ip_address(self.first)) if self.count > 1 else 0
        for server_name in self.server_names:
            for low, high in self.ports:
                for port in range(low, high + 1):
                    for offset in self._offsets(start, share):
                        yield Asked(
                            address=_text(start + offset, self.first) if offset else self.first,
                            port=port,
                            server_name=server_name,
                            starttls=starttls,
                        )

    def _offsets(self, start: int, share: Share | None) -> Iterable[int]:
        if share is None:
            return range(self.count)
        return share.offsets(start, count=self.count, version=6 if ":" in self.first else 4)

    def number_of_share(self, *, among: int) -> int | None:
        """Return which share it is in, None where it lies in more than one network."""
        first = ipaddress.ip_address(self.first) if ":" in self.first else None
        start = ipv4_number(self.first) if first is None else int(first)
        version = 4 if first is None else 6
        network = network_of(start, version=version)
        if network_of(start + self.count - 1, version=version) != network:
            return None
        return share_of(network, among=among)

    def _port(self, index: int) -> int:
        for first, last in self.ports:
            if index <= last - first:
                return first + index
            index -= last - first + 1
        raise IndexError(index)


def _text(number: int, like: str) -> str:
    """Return an address as text, of the version of another."""
    if ":" in like:
        return str(ipaddress.IPv6Address(number))
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def ipv4_number(address: str) -> int:
    """Return an IPv4 address as a number; without `ipaddress`, for a scan asks for every address."""
    first, second, third, fourth = address.split(".")
    return int(first) << 24 | int(second) << 16 | int(third) << 8 | int(fourth)


class Walk:
    """All segments of a scan as one sequence; nothing of it is built, so a /8 costs nothing."""

    def __init__(
        self,
        segments: Sequence[Segment],
        *,
        starttls: str | None = None,
        wide: Sequence[Segment] = (),
        share: Share | None = None,
    ) -> None:
        """Take segments to visit in full, and `wide` ones of which only a share is visited."""
        self._segments, self._wide, self._share = segments, wide, share
        self._ends = list(accumulate(segment.size for segment in segments))
        self._starttls = starttls

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def places(self) -> Iterator[Asked]:
        """Return all places."""
        for segment in self._segments:
            yield from segment.places(starttls=self._starttls)
        for segment in self._wide:
            yield from segment.places(starttls=self._starttls, share=self._share)

    def divided(self, *, among: int) -> list["Walk"]:
        """Return so many walks that visit the same places together, with each network wholly in one of them."""
        parts: list[list[Segment]] = [[] for _ in range(among)]
        wide: list[Segment] = []
        for segment in self._segments:
            number = segment.number_of_share(among=among)
            (wide if number is None else parts[number]).append(segment)
        return [
            Walk(part, starttls=self._starttls, wide=wide, share=Share(number=number, among=among))
            for number, part in enumerate(parts)
        ]

    def at(self, index: int) -> Asked:
        """Return the `index`th place of the walk."""
        number = bisect_right(self._ends, index)
        within = index - (self._ends[number - 1] if number else 0)
        return self._segments[number].at(within, starttls=self._starttls)


@value(frozen=True, kw_only=True, slots=True)
class Wish:
    """One target as it was written: addresses, or a host name that is still to be resolved."""

    text: str
    pointer: str
    first: str | None = None
    """The address, or the first of them."""
    count: int = 1
    host: str | None = None
    port: int | None = None
    under: str | None = None
    """Instead of a host: all names that are known under this one."""


def parse_addresses(text: str, *, pointer: str) -> tuple[Address, Address]:
    """Read an address, a CIDR or a range as its first and its last address. Raises `Invalid`."""
    wish = _network(text, pointer) or _range(text, pointer)
    first = _address(wish.first or "" if wish is not None else text)
    if first is None:
        raise _invalid(pointer, f"{text!r} is not an address, a network or a range")
    return first, first + (wish.count - 1 if wish is not None else 0)


def parse_target(text: str, *, pointer: str) -> Wish:
    """Read an address, a CIDR, a range, a host name or a URL. Raises `Invalid` with the pointer."""
    text = text.strip()
    plain = _PLAIN.fullmatch(text)
    if plain is not None:
        port = _port(plain[2], pointer) if plain[2] else None
        return Wish(text=text, pointer=pointer, first=plain[1], port=port)
    if "://" in text:
        return _url(text, pointer)
    for read in (_network, _range, _host_and_port):
        wish = read(text, pointer)
        if wish is not None:
            return wish
    raise _invalid(pointer, f"{text!r} is not an address, a network, a range, a host name or a URL")


def _url(text: str, pointer: str) -> Wish:
    try:
        parts = urlsplit(text)
        port = parts.port or _SCHEME_PORTS.get(parts.scheme)
        host = parts.hostname
    except ValueError as error:
        raise _invalid(pointer, f"{text!r} is not a URL: {error}") from error
    if not host or port is None:
        raise _invalid(pointer, f"{text!r}: write https://host or scheme://host:port")
    return _host(host, pointer, text=text, port=port)


def _network(text: str, pointer: str) -> Wish | None:
    if "/" not in text:
        return None
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return Wish(text=text, pointer=pointer, first=str(network.network_address), count=network.num_addresses)


def _range(text: str, pointer: str) -> Wish | None:
    start, dash, end = text.partition("-")
    first = _address(start)
    if not dash or first is None:
        return None
    last = _address(end) or _address(f"{start.rpartition('.')[0]}.{end}")
    if last is None or last.version != first.version or int(last) < int(first):
        raise _invalid(pointer, f"{text!r} is not a range: write 10.0.0.1-10.0.0.20 or 10.0.0.1-20")
    return Wish(text=text, pointer=pointer, first=str(first), count=int(last) - int(first) + 1)


def _host_and_port(text: str, pointer: str) -> Wish | None:
    if _address(text) is not None:
        return _host(text, pointer, text=text)
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return _host(host, pointer, text=text, port=_port(port[1:], pointer) if port else None)
    host, colon, port = text.partition(":")
    suffix = _name(host.removeprefix("*.")) if host.startswith("*.") else None
    if suffix is not None:
        return Wish(text=text, pointer=pointer, under=suffix, port=_port(port, pointer) if colon else None)
    if _name(host) is None and _address(host) is None:
        return None
    return _host(host, pointer, text=text, port=_port(port, pointer) if colon else None)


def _host(host: str, pointer: str, *, text: str, port: int | None = None) -> Wish:
    address = _address(host)
    if address is not None:
        return Wish(text=text, pointer=pointer, first=str(address), port=port)
    name = _name(host)
    if name is None:
        raise _invalid(pointer, f"{host!r} is neither an address nor a host name")
    return Wish(text=text, pointer=pointer, host=name, port=port)


def parse_server_name(text: str, *, pointer: str) -> str:
    """Read a name to ask servers for. Raises `Invalid`: an address is none (RFC 6066 §3)."""
    name = _name(text.strip()) if _address(text) is None else None
    if name is None:
        raise _invalid(pointer, f"{text!r} is not a host name, so no server can be asked for it")
    return name


def _name(text: str) -> str | None:
    """Return a host name as it goes over the wire: lower case, and ASCII by IDNA."""
    try:
        name = text if text.isascii() else text.encode("idna").decode()
    except UnicodeError:
        return None
    if not _HOST.fullmatch(name) or re.fullmatch(r"[0-9.]+", name):
        return None
    return name.rstrip(".").lower()


def is_address(text: str) -> bool:
    """Return whether the text is an IP address, written as we write it."""
    address = _address(text)
    return address is not None and str(address) == text


def is_port(number: int | None) -> bool:
    """Return whether there is such a port."""
    return number is not None and 1 <= number <= LAST_PORT


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.strip())
    except ValueError:
        return None


def parse_ports(text: str, *, pointer: str) -> tuple[tuple[int, int], ...]:
    """Read `443,8443,9000-9010` into ranges. Raises `Invalid` with the pointer."""
    ranges = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, dash, last = part.partition("-")
        low = _port(first, pointer)
        high = _port(last, pointer) if dash else low
        if high < low:
            raise _invalid(pointer, f"{part!r} is not a range of ports")
        ranges.append((low, high))
    if not ranges:
        raise _invalid(pointer, "there is no port")
    return _merged(ranges)


def _merged(ranges: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _port(text: str, pointer: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LAST_PORT:
        raise _invalid(pointer, f"{text!r} is not a port: ports are 1 to {LAST_PORT}")
    return int(text)


def plan(
    wishes: Sequence[Wish],
    *,
    resolved: Mapping[str, Sequence[str]],
    ports: tuple[tuple[int, int], ...],
    server_names: Sequence[str],
    most: int,
) -> list[Segment]:
    """Return the segments of a scan, hosts that are not resolved left out.

    Raises `TooLarge` where they hold more than `most` places.
    """
    names = tuple(dict.fromkeys(server_names))
    distinct = {
        segment: None
        for wish in wishes
        for segment in _segments(wish, resolved=resolved, ports=ports, names=names)
    }
    refuse_too_many(sum(segment.size for segment in distinct), most=most)
    return list(distinct)


def _segments(
    wish: Wish,
    *,
    resolved: Mapping[str, Sequence[str]],
    ports: tuple[tuple[int, int], ...],
    names: tuple[str, ...],
) -> list[Segment]:
    wished = ((wish.port, wish.port),) if wish.port else ports
    if wish.first is not None:
        return [Segment(first=wish.first, count=wish.count, ports=wished, server_names=names or (None,))]
    if wish.under is not None:
        return []
    host = wish.host or ""
    with_host = tuple(dict.fromkeys((host, *names)))
    return [
        Segment(first=address, count=1, ports=wished, server_names=with_host)
        for address in resolved.get(host, ())
    ]


def refuse_too_many(total: int, *, most: int) -> None:
    """Raise `TooLarge` where a scan would look at more than `most` places."""
    if total > most:
        raise TooLarge(
            f"The scan would look at {total:,} places; the limit is {most:,}.",
            next_step="Split it into smaller scans, or name fewer ports. An operator of the platform can raise "
            "EVERLEAF_DISCOVERY_MAX_TARGETS.",
            faults=[Fault(pointer="/body/targets", message=f"{total} places, at most {most}")],
        )


def _invalid(pointer: str, message: str) -> Invalid:
    return Invalid(
        f"{message}.",
        next_step="Write 192.0.2.0/24, 192.0.2.1-20, [2001:db8::1]:443, www.example.com:8443 or a URL.",
        faults=[Fault(pointer=pointer, message=message)],
    )
