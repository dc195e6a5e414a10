"""Which changes of the notifier are in the audit trail: who is told by which way, and what people do about alerts."""

from collections.abc import Mapping
from typing import Any

from services.notifier.store.hooks import ApprovalHook
from services.notifier.store.subscriptions import Subscription
from services.notifier.store.tables import Alert, Channel, Delivery, ReportSchedule, Rule
from shared.audit import Audited

_ONLY_ASKED = dict[str, frozenset[str]]()

AUDITED: Mapping[type[Any], Audited] = {
    Channel: Audited(kind="channel"),
    Rule: Audited(kind="rule"),
    ApprovalHook: Audited(kind="approval_hook"),
    Subscription: Audited(
        kind="subscription",
        leave_out=frozenset({"position", "failures"}),
        milestones={"state": frozenset({"ended"})},
    ),
    ReportSchedule: Audited(
        kind="report_schedule",
        leave_out=frozenset({"occurs_at", "told", "last_sent_at", "last_error"}),
        milestones=_ONLY_ASKED,
    ),
    # What the notifier itself does with an alert is in the alert's own history.
    Alert: Audited(
        kind="alert", leave_out=frozenset({"turns", "details"}), milestones=_ONLY_ASKED, made_by_itself=False
    ),
    Delivery: Audited(kind="delivery", milestones=_ONLY_ASKED, made_by_itself=False),
}
