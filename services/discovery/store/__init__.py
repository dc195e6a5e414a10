"""What discovery remembers: the only room that knows SQL."""

from services.discovery.store.names import names_at, names_under, remember_names
from services.discovery.store.places import list_places, missed_places, see_places
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
from services.discovery.store.watches import (
    claim_watches,
    watch_places,
    watch_places_serving,
    watches_as_claimed,
)

__all__ = [
    "KnownName",
    "KnownPlace",
    "Result",
    "Scan",
    "Table",
    "Watch",
    "claim_scan",
    "claim_watches",
    "end_lease",
    "forget_results",
    "is_scan_waiting",
    "keep_lease",
    "list_places",
    "list_results",
    "list_scans",
    "missed_places",
    "names_at",
    "names_under",
    "remember_names",
    "scan_to_update",
    "see_places",
    "watch_places",
    "watch_places_serving",
    "watches_as_claimed",
    "write_results",
]
