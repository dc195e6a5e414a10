"""Which changes of the provisioner are in the audit trail: targets and bindings, and what was put in place."""

from collections.abc import Mapping
from typing import Any

from services.provisioner.store.approvals import Approval, ApprovalRule, Decision
from services.provisioner.store.pulls import PullOffer, PullToken
from services.provisioner.store.rollouts import Rollout, RolloutPolicy
from services.provisioner.store.tables import Binding, Deployment, KeyRequest, Proposal, SealingKey, Target
from services.provisioner.store.windows import ChangeWindow, Freeze
from shared.audit import Audited

AUDITED: Mapping[type[Any], Audited] = {
    Target: Audited(kind="target"),
    Binding: Audited(kind="binding"),
    Deployment: Audited(
        kind="deployment",
        leave_out=frozenset({"attempt", "repairs", "undo", "served_before", "sealed_key"}),
        milestones={
            "state": frozenset(
                {"restored", "needs_attention", "deployed", "failed", "superseded", "cancelled"}
            )
        },
    ),
    KeyRequest: Audited(
        kind="key_request",
        leave_out=frozenset({"told_at", "slot"}),
        milestones={"state": frozenset({"brought", "over"})},
    ),
    RolloutPolicy: Audited(kind="rollout_policy", leave_out=frozenset({"updated_by"})),
    Rollout: Audited(
        kind="rollout",
        leave_out=frozenset({"wave", "soaked_at", "look_at"}),
        milestones={
            "state": frozenset({"awaiting_approval", "stopped", "finished", "aborted", "superseded"})
        },
    ),
    Approval: Audited(
        kind="approval",
        leave_out=frozenset({"document", "reminders", "look_at"}),
        milestones={"state": frozenset({"granted", "refused", "expired", "void", "overridden"})},
    ),
    Decision: Audited(kind="decision", leave_out=frozenset({"trace_id"})),
    ApprovalRule: Audited(kind="approval_rule", leave_out=frozenset({"updated_by"})),
    ChangeWindow: Audited(kind="change_window"),
    Freeze: Audited(kind="freeze"),
    PullToken: Audited(kind="pull_token", hidden=frozenset({"digest"})),
    PullOffer: Audited(
        kind="pull_offer",
        leave_out=frozenset({"chain"}),
        milestones=dict[str, frozenset[str]](),
        made_by_itself=False,
    ),
    SealingKey: Audited(kind="sealing_key"),
    Proposal: Audited(
        kind="proposal",
        leave_out=frozenset({"held", "observed_at", "gone_at", "products"}),
        milestones=dict[str, frozenset[str]](),
        made_by_itself=False,
    ),
}
