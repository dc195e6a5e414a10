"""What is wrong with how a store keeps a certificate and its key."""

from collections.abc import Iterator, Sequence
from enum import StrEnum

from shared.events.discovery import Held


class Flaw(StrEnum):
    """What can be wrong with a holding."""

    KEY_EXPOSED = "key-exposed"
    """Others than its owner and group may read the private key."""
    KEY_MISMATCH = "key-mismatch"
    """The private key belongs to another certificate: the server would not start with it."""
    KEY_SHARED = "key-shared"
    """The same private key is on more than one host: lost on one, it is lost on all."""
    NOT_SERVED = "not-served"
    """Where it is configured, another certificate was seen: most often a forgotten reload."""
    UNUSED = "unused"
    """Nothing that was read there uses it: forgotten, or used by what is not known."""


def flaws(held: Held, *, shared_with: Sequence[str], is_not_served: bool) -> tuple[Flaw, ...]:
    """Return what is wrong; `shared_with` are the other hosts that hold the same private key."""
    return tuple(_flaws(held, is_shared=bool(shared_with), is_not_served=is_not_served))


def _flaws(held: Held, *, is_shared: bool, is_not_served: bool) -> Iterator[Flaw]:
    key = held.key
    if key is not None and key.is_exposed:
        yield Flaw.KEY_EXPOSED
    if key is not None and key.is_match is False:
        yield Flaw.KEY_MISMATCH
    if is_shared:
        yield Flaw.KEY_SHARED
    if is_not_served:
        yield Flaw.NOT_SERVED
    if held.in_use is False:
        yield Flaw.UNUSED
