"""What discovery remembers: the only room that knows SQL."""

from services.discovery.store.names import list_names, names_at, names_under, remember_names
from services.discovery.store.places import fingerprints_at, list_places, places_at, see_places
from services.discovery.store.scans import (
    claim_scan,
    end_lease,
    forget_results,
    is_scan_waiting,
    keep_lease,
    list_results,
    list_scans,
    scan_to_update,
    write_results,
)
from services.discovery.store.tables import KnownName, KnownPlace, Result, Scan, Table, Watch
from services.discovery.store.transparency import (
    CtLog,
    claim_log,
    end_log_lease,
    is_log_due,
    list_logs,
    log_to_update,
)
from services.discovery.store.watches import (
    claim_watches,
    watch_places,
    watch_places_serving,
    watches_as_claimed,
)

__all__ = [
    "CtLog",
    "KnownName",
    "KnownPlace",
    "Result",
    "Scan",
    "Table",
    "Watch",
    "claim_log",
    "claim_scan",
    "claim_watches",
    "end_lease",
    "end_log_lease",
    "fingerprints_at",
    "forget_results",
    "is_log_due",
    "is_scan_waiting",
    "keep_lease",
    "list_logs",
    "list_names",
    "list_places",
    "list_results",
    "list_scans",
    "log_to_update",
    "names_at",
    "names_under",
    "places_at",
    "remember_names",
    "scan_to_update",
    "see_places",
    "watch_places",
    "watch_places_serving",
    "watches_as_claimed",
    "write_results",
]
