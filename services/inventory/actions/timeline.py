"""Writes down what happened to a lineage."""

from dataclasses import dataclass
from datetime import datetime

from services.inventory.domain.timeline import Happening
from services.inventory.store.tables import TimelineRow
from shared.ids import new_id
from shared.store import Transaction


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that happened."""

    kind: Happening
    text: str
    at: datetime
    fingerprint: str | None
    place_key: str | None = None
    event_id: str | None = None


def note(tx: Transaction, lineage_id: str, entry: Entry) -> None:
    """Add an entry to the timeline of a lineage."""
    row = TimelineRow(
        id=new_id(),
        lineage_id=lineage_id,
        at=entry.at,
        kind=entry.kind,
        text=entry.text,
        fingerprint=entry.fingerprint,
        place_key=entry.place_key,
        event_id=entry.event_id,
    )
    tx.session.add(row)
