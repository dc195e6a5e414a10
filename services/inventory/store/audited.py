"""Which changes of inventory are in the audit trail: who may do what, how certificates are organised, and what is let pass."""

from collections.abc import Mapping
from typing import Any

from services.inventory.store.assessment_tables import ExceptionRow, PolicyRow
from services.inventory.store.organised import AssignmentRule, EditRow, FieldRow, GroupRow, TeamRow
from services.inventory.store.tables import (
    ApiKeyRow,
    ArrangementRow,
    PrincipalRow,
    SavedQueryRow,
    SessionRow,
    SigningKeyRow,
    TokenRow,
)
from shared.audit import Audited

AUDITED: Mapping[type[Any], Audited] = {
    PrincipalRow: Audited(kind="principal", leave_out=frozenset({"void_until"})),
    ApiKeyRow: Audited(kind="api_key", hidden=frozenset({"digest"})),
    TokenRow: Audited(kind="token"),
    SessionRow: Audited(kind="session"),
    SigningKeyRow: Audited(kind="signing_key"),
    TeamRow: Audited(kind="team"),
    GroupRow: Audited(
        kind="group",
        leave_out=frozenset({"reevaluate_at", "evaluated_at"}),
        milestones=dict[str, frozenset[str]](),
    ),
    FieldRow: Audited(kind="field"),
    AssignmentRule: Audited(kind="assignment_rule"),
    EditRow: Audited(
        kind="edit",
        leave_out=frozenset({"matched", "unchanged", "reasons"}),
        milestones={"state": frozenset({"done", "failed"})},
    ),
    SavedQueryRow: Audited(kind="saved_query"),
    ArrangementRow: Audited(kind="arrangement"),
    PolicyRow: Audited(kind="policy"),
    ExceptionRow: Audited(kind="exception"),
}
