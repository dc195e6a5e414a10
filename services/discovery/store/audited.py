"""Which changes of discovery are in the audit trail: what is configured, and the scans and runs that somebody starts or stops."""

from collections.abc import Mapping
from typing import Any

from services.discovery.store.schedules import Schedule
from services.discovery.store.secret_stores import SecretStoreRow
from services.discovery.store.sources import SourceRow, SourceRun
from services.discovery.store.tables import Scan
from services.discovery.store.transparency import CtLog
from shared.audit import Audited

_ONLY_ASKED = dict[str, frozenset[str]]()

AUDITED: Mapping[type[Any], Audited] = {
    Scan: Audited(
        kind="scan",
        leave_out=frozenset(
            {
                "segments",
                "unresolved",
                "rounds",
                "first_round",
                "total",
                "position",
                "counts",
                "active",
                "active_since",
            }
        ),
        milestones={"state": frozenset({"finished", "failed", "cancelled"})},
    ),
    Schedule: Audited(
        kind="scan_schedule",
        leave_out=frozenset(
            {"next_occurrence", "next_run_at", "last_scan_id", "last_started_at", "skipped", "is_resting"}
        ),
        milestones=_ONLY_ASKED,
    ),
    SourceRow: Audited(
        kind="source", leave_out=frozenset({"next_run_at", "last_run_id"}), milestones=_ONLY_ASKED
    ),
    SourceRun: Audited(
        kind="source_run",
        leave_out=frozenset({"position", "network", "holdings", "gaps"}),
        milestones={"state": frozenset({"failed"})},
        made_by_itself=False,
    ),
    SecretStoreRow: Audited(kind="secret_store"),
    CtLog: Audited(
        kind="ct_log",
        leave_out=frozenset(
            {
                "position",
                "origin",
                "checkpoint_size",
                "checkpoint_root",
                "signed_at",
                "entries_read",
                "unreadable",
                "last_read_at",
                "failures",
                "next_read_at",
            }
        ),
        milestones={"state": frozenset({"failed"})},
    ),
}
