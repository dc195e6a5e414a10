"""What arguments of commands may be."""

from argparse import ArgumentTypeError
from collections.abc import Callable


def within(least: float, most: float, kind: type[float]) -> Callable[[str], float]:
    """Return a reader of numbers between two bounds, both included."""

    def read(text: str) -> float:
        number = kind(text)
        if not least <= number <= most:
            raise ArgumentTypeError(f"{text} is not from {least} to {most}")
        return number

    return read
