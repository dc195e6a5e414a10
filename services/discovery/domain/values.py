"""Values that are made by the ten thousand: one for every address of a scan, and more."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:

    def value(*, frozen: bool, kw_only: bool = False, slots: bool) -> Callable[[type], type]:
        """Make a frozen dataclass, as far as mypy can tell: it refuses whoever would change one.

        Python itself would refuse too, at ten times the cost of every field: each is then set by a call.
        """
        return dataclass(kw_only=kw_only, slots=slots, unsafe_hash=frozen)


__all__ = ["value"]
