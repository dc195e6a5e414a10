"""On whose word something is done: said at the doors, and kept with every change that the audit trail records.

Where nobody is named it is the platform itself: a worker by the clock, or the reaction to an event.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Acting:
    """Who does something, from where, and why."""

    id: str | None = None
    """The principal's id; None is the platform itself."""
    name: str | None = None
    on_behalf_of: str | None = None
    """For whom, where that is somebody else."""
    address: str | None = None
    """The client's, as the server sees it."""
    agent: str | None = None
    """What the client calls itself."""
    operation: str | None = None
    """`METHOD /path` of the contract."""
    reason: str | None = None
    approval_id: str | None = None
    cause: str | None = None
    """Type and id of the event that it is the answer to."""


_NOBODY = Acting()
_current: ContextVar[Acting] = ContextVar("acting", default=_NOBODY)


def acting() -> Acting:
    """Return who is acting now."""
    return _current.get()


@contextmanager
def acting_as(who: Acting) -> Iterator[None]:
    """Let this one be acting, and nobody else, until the block ends."""
    kept = _current.set(who)
    try:
        yield
    finally:
        _current.reset(kept)


def also(**known: Any) -> None:
    """Add what has become known of who is acting: the caller, once the token is read; the reason, once the body is.

    It holds until the surrounding `acting_as` ends.
    """
    _current.set(replace(_current.get(), **known))
