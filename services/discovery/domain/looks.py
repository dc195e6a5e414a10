"""How thoroughly a place is looked at."""

from enum import StrEnum


class Reach(StrEnum):
    """How far a look goes."""

    FAST = "fast"
    """The chain, and what is negotiated at the highest version."""
    FULL = "full"
    """Also everything else that would be: versions, suites, groups, the other certificate."""
