"""How what a consumer has subscribed to is handed over; a message may come twice, under the same id."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Item:
    """One message of a log."""

    number: int
    id: str
    type: str
    body: str
    """JSON: a CloudEvent, or an entry of the audit trail."""


class NotTaken(Exception):
    """The consumer has not taken it (yet)."""

    def __init__(
        self, reason: str, *, taken: int = 0, retry_after: timedelta | None = None, is_gone: bool = False
    ) -> None:
        """`taken` is how many of the items before it were; `is_gone`: it wants no more, for ever."""
        super().__init__(reason)
        self.reason = reason
        self.taken = taken
        self.retry_after = retry_after
        self.is_gone = is_gone


class Consumer(Protocol):
    """One way to hand over."""

    async def hand(self, items: Sequence[Item], *, now: datetime) -> None:
        """Hand items over, in their order. Raises `NotTaken`."""
