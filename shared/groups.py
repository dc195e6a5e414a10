"""How groups are named where an object is put into some; who sees which is decided by `shared.access.Principal`."""

from collections.abc import Collection
from typing import Annotated

from pydantic import Field

_CHARACTERS = r"[^\s\x00-\x1f\x7f-\x9f\ufeff*]+"
"""What nobody can see is no part of a name. Spelled out, since dialects of regular expressions differ in what `\\s` is."""
EVERYBODY = "*"
"""In the place of a group, where a kind of object may be for every caller, whatever its scope."""

GroupId = Annotated[str, Field(min_length=1, max_length=100, pattern=f"^{_CHARACTERS}$")]
Groups = Annotated[
    list[GroupId],
    Field(
        max_length=100,
        description="The groups it is in: a caller with groups sees and changes it who shares one with it. "
        "Left out, those of the caller; an object without any is for callers without groups only.",
        examples=[["web"]],
    ),
]
OpenGroups = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=100, pattern=rf"^({_CHARACTERS}|\*)$")]],
    Field(
        max_length=100,
        description="The groups it is in: a caller with groups sees it who shares one with it; `*` is everybody. "
        "Left out, those of the caller; an object without any is for callers without groups only.",
        examples=[["web"], ["*"]],
    ),
]


def listed(groups: Collection[str]) -> list[str]:
    """Return groups as they are kept and shown: each once, in alphabetical order."""
    return sorted(set(groups))
