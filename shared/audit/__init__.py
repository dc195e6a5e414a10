"""The audit trail: which changes are recorded, how records are chained and signed, and how that is checked.

Changes are recorded in their own transaction (`shared.store.recording`) and travel by the outbox, so that none is lost and
none is there that did not happen. The service that keeps the trail links each entry to the one before by its SHA-256 and
signs checkpoints; the others co-sign those (`shared.audit.witness`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BOOKKEEPING = frozenset(
    {
        "version",
        "created_at",
        "created_by",
        "updated_at",
        "lease",
        "lease_until",
        "cursor",
        "due_at",
        "attempts",
        "next_attempt_at",
        "last_used_at",
    }
)
"""Columns that say nothing of what was decided."""


@dataclass(frozen=True, kw_only=True)
class Audited:
    """How the rows of a table are recorded."""

    kind: str
    """What such a row is called in the trail: `channel`."""
    leave_out: frozenset[str] = frozenset()
    """Columns that are bookkeeping, beside those that always are."""
    hidden: frozenset[str] = frozenset()
    """Columns of which only is told that they were changed, beside the sealed ones."""
    milestones: Mapping[str, frozenset[str]] | None = None
    """Of what the platform itself changes, only these values of these columns are worth an entry; None: all are."""
    made_by_itself: bool = True
    """Whether rows are recorded that the platform itself makes or takes away."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change, as it is recorded. `before` and `after` hold JSON."""

    kind: str
    verb: str
    """In the past tense: created, changed, deleted, or what else was done."""
    id: str
    name: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    groups: tuple[str, ...] = ()
    """Who is limited to groups sees it where it is about one of these."""
    lineage_id: str | None = None
    """Or where this lineage is in one of them."""
    reason: str | None = None
    approval_id: str | None = None
    on_behalf_of: str | None = None
    actor: tuple[str, str] | None = field(default=None)
    """Id and name of who did it, where no token says so."""
