"""Which changes of renewal are in the audit trail: terms and authorities, and every order, approval and revocation."""

from collections.abc import Mapping
from typing import Any

from services.renewal.store.approvals import Approval, Decision
from services.renewal.store.campaign_tables import Campaign, EvidenceKey
from services.renewal.store.revocations import Revocation
from services.renewal.store.schedules import Distrust, Schedule
from services.renewal.store.tables import Authority, Enrolment, Order, Profile
from shared.audit import Audited

_ONLY_ASKED = dict[str, frozenset[str]]()

AUDITED: Mapping[type[Any], Audited] = {
    Authority: Audited(kind="authority"),
    Profile: Audited(kind="profile"),
    Enrolment: Audited(kind="enrolment", leave_out=frozenset({"updated_by"})),
    Schedule: Audited(
        kind="renewal_schedule",
        leave_out=frozenset({"ari_failures", "look_at", "ask_at", "is_to_be_timed"}),
        milestones=_ONLY_ASKED,
        made_by_itself=False,
    ),
    Order: Audited(
        kind="order",
        # The chain is in the certificate's own record; its fingerprint says which it is.
        leave_out=frozenset({"chain", "csr", "given_csr", "terms", "progress", "placed_at"}),
        milestones={"state": frozenset({"awaiting_approval", "awaiting_request", "renewed", "failed"})},
    ),
    Approval: Audited(
        kind="approval",
        leave_out=frozenset({"document", "reminders", "look_at"}),
        milestones={"state": frozenset({"granted", "refused", "expired", "void", "overridden"})},
    ),
    Decision: Audited(kind="decision", leave_out=frozenset({"trace_id"})),
    Revocation: Audited(
        kind="revocation",
        milestones={
            "state": frozenset(
                {"awaiting_approval", "pending", "revoked", "confirmed", "unconfirmed", "failed"}
            )
        },
    ),
    Distrust: Audited(kind="distrust"),
    Campaign: Audited(
        kind="campaign",
        leave_out=frozenset({"plan_step", "plan_cursor", "wave", "forgiven", "is_told_late"}),
        milestones={
            "state": frozenset({"planned", "awaiting_approval", "running", "paused", "aborted", "finished"})
        },
    ),
    EvidenceKey: Audited(kind="evidence_key"),
}
