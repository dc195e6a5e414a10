"""Puts what comes in any order back into the order of the walk, so that one number says how far it has come."""

from typing import Generic, TypeVar

T = TypeVar("T")


class InOrder(Generic[T]):
    """Takes numbered values as they come and gives out those that have no gap before them."""

    def __init__(self, first: int) -> None:
        self._next = first
        self._ready: list[T] = []
        self._ahead: dict[int, T] = {}

    def __len__(self) -> int:
        """Return how many values can be taken."""
        return len(self._ready)

    def add(self, number: int, value: T) -> None:
        """Take the value of a number; each number comes once."""
        self._ahead[number] = value
        while self._next in self._ahead:
            self._ready.append(self._ahead.pop(self._next))
            self._next += 1

    def take(self, most: int) -> list[T]:
        """Give out up to `most` values, the next of the walk first."""
        taken, self._ready = self._ready[:most], self._ready[most:]
        return taken
