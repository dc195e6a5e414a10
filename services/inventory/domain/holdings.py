"""What is wrong with how a store keeps a certificate and its key, and what a certificate in a store shows."""

from collections.abc import Iterator

from shared.events.discovery import Held
from shared.events.inventory import Flaw

ISSUED = "issued"
"""The format of an authority's list of what it has issued: nothing is put in place there."""


def flaws(held: Held, *, is_key_shared: bool, is_not_served: bool, is_served: bool) -> Iterator[Flaw]:
    """Yield what is wrong; `is_served` says whether an address of the host was seen to serve the certificate."""
    key = held.key
    if key is not None and key.is_exposed:
        yield Flaw.KEY_EXPOSED
    if key is not None and key.is_match is False:
        yield Flaw.KEY_MISMATCH
    if key is not None and key.is_replaceable:
        yield Flaw.KEY_REPLACEABLE
    if is_key_shared:
        yield Flaw.KEY_SHARED
    if is_not_served:
        yield Flaw.NOT_SERVED
    if held.in_use is False and not is_served and held.format != ISSUED:
        yield Flaw.UNUSED


def is_named(held: Held) -> bool:
    """Return whether a configuration there names it."""
    return held.in_use is True or held.use_count > 0


def is_proof(held: Held | None) -> bool:
    """Return whether a certificate in a store is evidence that it is in use, or about to be.

    A copy that nothing uses, a backup, an authority's list and a store whose source cannot tell are none: the old
    certificate stays there for ever, and a new one there is not in place. Where it matters, the endpoints show it.
    """
    return held is not None and held.format != ISSUED and is_named(held)
