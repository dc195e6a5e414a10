"""Which addresses a scenario has, and what is at each of them; the same every time."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.scan.profiles import CLOSED, EXPECTED, FILTERED, HTTP, MIX, SILENT, SSH

PORT = 17443
"""Below the range that the kernel hands out by itself."""
PER_NET = 250


@dataclass(frozen=True)
class Plan:
    """What is at each address, in the order in which it is asked."""

    kinds: Mapping[str, str]
    """By address: the name of a profile, or one of `closed`, `http`, `ssh`, `silent`, `filtered`."""

    @property
    def live(self) -> int:
        """How many of them speak TLS."""
        return sum(kind not in EXPECTED for kind in self.kinds.values())

    @property
    def listening(self) -> int:
        """How many of them listen at all."""
        return sum(kind != CLOSED for kind in self.kinds.values())


def make(name: str, *, scale: float) -> Plan:
    """Return the plan of a scenario; `scale` 1 is the size that the goals speak of."""
    # Not a secret: the same farm every time.
    source = random.Random(name)
    kinds = PLANS[name](source, scale)
    block = list(PLANS).index(name) + 10
    addresses = [f"127.{block}.{i // PER_NET}.{i % PER_NET + 1}" for i in range(len(kinds))]
    source.shuffle(addresses)
    return Plan(dict(zip(addresses, kinds, strict=True)))


def _size(full: int, scale: float) -> int:
    return max(int(full * scale), 20)


def _mixed(source: random.Random, number: int) -> list[str]:
    # One of each first: the rare kinds are there in a small farm as well.
    drawn = source.choices(list(MIX), list(MIX.values()), k=number)
    return [*MIX, *drawn][:number]


def _cheap(_: random.Random, scale: float) -> list[str]:
    return ["ecdsa"] * _size(5_000, scale)


def _mix(source: random.Random, scale: float) -> list[str]:
    return _mixed(source, _size(5_000, scale))


def _sparse(source: random.Random, scale: float) -> list[str]:
    size = _size(20_000, scale)
    return [*_mixed(source, size // 20), *[CLOSED] * (size - size // 20)]


def _dirty(source: random.Random, scale: float) -> list[str]:
    size = _size(2_000, scale)
    odd = [*[CLOSED] * (size // 5), *[HTTP] * (size // 10), *[SSH] * (size // 10), *[SILENT] * (size // 5)]
    return [*odd, *_mixed(source, size - len(odd))]


def _filtered(source: random.Random, scale: float) -> list[str]:
    size = _size(2_105, scale)
    return [*_mixed(source, size // 20), *[FILTERED] * (size - size // 20)]


def _deep(_: random.Random, _scale: float) -> list[str]:
    return ["deep"]


def _sixty(source: random.Random, scale: float) -> list[str]:
    return _mixed(source, _size(60, scale))


PLANS: dict[str, Callable[[random.Random, float], list[str]]] = {
    "cheap": _cheap,
    "mix": _mix,
    "sparse": _sparse,
    "dirty": _dirty,
    "filtered": _filtered,
    "full_one": _deep,
    "full_60": _sixty,
}
