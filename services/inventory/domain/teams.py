"""Teams: how they are reached, and who stands in for them."""

from collections.abc import Mapping
from enum import StrEnum

MOST_STEPS = 20
"""Longer chains of deputies help nobody."""


class ContactKind(StrEnum):
    """By which way a team is reached."""

    EMAIL = "email"
    CHAT = "chat"
    PHONE = "phone"


def is_circle(team: str, deputy: str, *, deputies: Mapping[str, str | None]) -> bool:
    """Return whether a team would in the end stand in for itself; `deputies` are those of all others."""
    seen = {team}
    at: str | None = deputy
    while at is not None and len(seen) <= MOST_STEPS:
        if at in seen:
            return True
        seen.add(at)
        at = deputies.get(at)
    return at is not None
