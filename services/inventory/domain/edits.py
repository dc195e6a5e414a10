"""What an edit makes of a certificate: who owns it, its tags, fields and groups, before and after."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from services.inventory.domain.fields import Value

MOST_TAGS = 100
"""On one certificate."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a certificate is organised; `groups` are those by hand."""

    owner: str | None = None
    set_by: str | None = None
    tags: frozenset[str] = frozenset()
    fields: Mapping[str, Value] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is to be another; what is empty stays."""

    sets_owner: bool = False
    owner: str | None = None
    """The id of a team, or none; counts where `sets_owner`."""
    add_tags: frozenset[str] = frozenset()
    remove_tags: frozenset[str] = frozenset()
    set_fields: Mapping[str, Value | None] = field(default_factory=dict)
    """None takes a value away."""
    add_to_groups: frozenset[str] = frozenset()
    remove_from_groups: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is asked for."""
        return self == Changes()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What comes of an edit of one certificate: another standing, the same one, or a reason against it."""

    standing: Standing
    is_changed: bool = False
    reason: str | None = None


def person(name: str) -> str:
    """Return how it is written that a person, or a program in its own name, has set something."""
    return f"person:{name}"


def rule(rule_id: str) -> str:
    """Return how it is written that a rule has set something."""
    return f"rule:{rule_id}"


def is_by_rule(set_by: str | None) -> bool:
    """Return whether a rule has set something, so that a rule may change it again."""
    return set_by is not None and set_by.startswith("rule:")


def edit(before: Standing, changes: Changes, *, by: str) -> Outcome:
    """Apply changes to one certificate; `by` is written down where the owner is another then.

    An owner who is confirmed by a person is that person's choice from then on, so that no rule changes it.
    """
    after = replace(
        before,
        tags=(before.tags | changes.add_tags) - changes.remove_tags,
        fields=_fields(before.fields, changes.set_fields),
        groups=(before.groups | changes.add_to_groups) - changes.remove_from_groups,
    )
    if changes.sets_owner and (changes.owner != before.owner or is_by_rule(before.set_by)):
        after = replace(after, owner=changes.owner, set_by=by if changes.owner is not None else None)
    if len(after.tags) > max(MOST_TAGS, len(before.tags)):
        return Outcome(standing=before, reason=f"it would have more than {MOST_TAGS} tags")
    return Outcome(standing=after, is_changed=after != before)


def _fields(before: Mapping[str, Value], wanted: Mapping[str, Value | None]) -> Mapping[str, Value]:
    merged = {**before, **wanted}
    return {name: value for name, value in merged.items() if value is not None}
