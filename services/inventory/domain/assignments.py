"""What rules say of a certificate: the first that matches says who owns it, all of them add groups and tags."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.inventory.domain.edits import MOST_TAGS, Standing, is_by_rule, rule


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What a rule gives to the certificates that it matches."""

    id: str
    owner: str | None = None
    add_groups: frozenset[str] = frozenset()
    add_tags: frozenset[str] = frozenset()
    is_overriding: bool = False
    """Whether its owner takes the place of one that a person has set."""


def assign(before: Standing, matching: Sequence[Assignment]) -> Standing:
    """Return how a certificate is organised after the rules that match it, the first one asked first.

    The first rule with an owner decides, and it alone: where that one may not change what a person has
    set, no later one does. Tags beyond the most that a certificate has are left out.
    """
    after = before
    owning = next((each for each in matching if each.owner is not None), None)
    if owning is not None and _may_own(owning, before) and owning.owner != before.owner:
        after = replace(after, owner=owning.owner, set_by=rule(owning.id))
    groups = before.groups.union(*(each.add_groups for each in matching))
    tags = before.tags.union(*(each.add_tags for each in matching))
    if len(tags) > MOST_TAGS:
        more = sorted(tags - before.tags)[: max(0, MOST_TAGS - len(before.tags))]
        tags = before.tags.union(more)
    return replace(after, groups=groups, tags=tags)


def _may_own(owning: Assignment, before: Standing) -> bool:
    return before.owner is None or is_by_rule(before.set_by) or owning.is_overriding
