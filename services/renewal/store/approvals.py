"""Approvals, kept in this service's own tables."""

from services.renewal.store.tables import LINEAGES, Table
from shared.approvals.store import (
    ApprovalColumns,
    ApprovalStore,
    DecisionColumns,
    approval_indexes,
    decision_indexes,
)


class Approval(Table, ApprovalColumns, table=True):
    """Something that is done only when enough people have agreed to exactly this."""

    __tablename__ = "approvals"
    __table_args__ = approval_indexes()


class Decision(Table, DecisionColumns, table=True):
    """What somebody has said, also where it did not count: the audit record."""

    __tablename__ = "decisions"
    __table_args__ = decision_indexes()


APPROVALS = ApprovalStore(Approval, Decision, LINEAGES)
