"""How fast connections are opened: limits that the operator sets, and one that the servers' own speed sets."""

import ipaddress
import resource
import sys
from dataclasses import dataclass, field

_KEPT_FREE = 256
"""Files a process needs beside the sockets of its scans."""
FIRST_WINDOW = 256
LEAST_WINDOW = 16
CALM = 1.0
"""Seconds between two reductions: the answers that are on their way say the same thing again."""


class Sockets:
    """The sockets that all scans of a process have open at a time: never more than the system gives."""

    def __init__(self, most: int = 10_000) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.most = max(16, min(most, files - _KEPT_FREE))
        self.open = 0


def raise_limit_of_files() -> None:
    """Let this process open as many files as it may: for a process that does nothing but scan."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@dataclass(kw_only=True, slots=True)
class Window:
    """How many servers may owe us an answer at a time.

    Grows with every answer that comes in good time and halves when one is late, as TCP does with its
    packets: saturation would look like silence. Connections that nobody has answered yet are not in it,
    so a network that drops everything is walked at full width.
    """

    most: int
    late: float
    """Seconds after which an answer is late."""
    width: float = 0.0
    _reduced_at: float = field(default=float("-inf"))

    def __post_init__(self) -> None:
        self.width = float(min(FIRST_WINDOW, self.most))

    def answered(self, *, after: float, now: float) -> None:
        """Note that an answer has come, `after` seconds from the connection."""
        if after < self.late:
            if self.width < self.most:
                self.width += 1
        elif now - self._reduced_at > CALM:
            self._reduced_at = now
            self.width = max(float(LEAST_WINDOW), self.width / 2)


@dataclass(kw_only=True, slots=True)
class Bucket:
    """So many connections per second, and none saved up beyond a tenth of a second."""

    rate: float
    _tokens: float = 1.0
    _at: float | None = None

    def take(self, now: float) -> bool:
        """Take one, if there is one."""
        if self._at is not None:
            self._tokens = min(max(1.0, self.rate / 10), self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Crowd:
    """How many connections there are to each host, and to each /24 or /64, at a time."""

    __slots__ = ("_hosts", "_networks", "_per_host", "_per_network")

    def __init__(self, *, per_host: int | None, per_network: int | None) -> None:
        self._hosts: dict[str, int] = {}
        self._networks: dict[str, int] = {}
        self.limit(per_host=per_host, per_network=per_network)

    def limit(self, *, per_host: int | None, per_network: int | None) -> None:
        """Set the limits; who is there already may stay."""
        self._per_host = per_host or sys.maxsize
        self._per_network = per_network or sys.maxsize

    def has_room(self, address: str, network: str) -> bool:
        """Return whether one more is allowed."""
        return (
            self._hosts.get(address, 0) < self._per_host
            and self._networks.get(network, 0) < self._per_network
        )

    def enter(self, address: str, network: str) -> None:
        """Count one more."""
        self._hosts[address] = self._hosts.get(address, 0) + 1
        self._networks[network] = self._networks.get(network, 0) + 1

    def leave(self, address: str, network: str) -> None:
        """Count one less."""
        _count_down(self._hosts, address)
        _count_down(self._networks, network)


def _count_down(counts: dict[str, int], key: str) -> None:
    left = counts[key] - 1
    if left:
        counts[key] = left
    else:
        del counts[key]


def network_of(address: str) -> str:
    """Return the /24 of an IPv4 address or the /64 of an IPv6 address: what often belongs together."""
    if ":" not in address:
        return address.rpartition(".")[0]
    return str(ipaddress.IPv6Network((address, 64), strict=False).network_address)
