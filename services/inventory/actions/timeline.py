"""Writes down what happened to a lineage."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.inventory.domain.timeline import Happening
from services.inventory.store.tables import TimelineRow
from shared.ids import new_id
from shared.store import Transaction
from shared.store.bulk import copy_rows


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
    tx.session.add(TimelineRow(**_row(lineage_id, entry)))


async def note_all(tx: Transaction, entries: Iterable[tuple[str, Entry]]) -> None:
    """Add entries to the timelines of lineages, each with the lineage's id."""
    await copy_rows(tx, TimelineRow, [_row(lineage_id, entry) for lineage_id, entry in entries])


def _row(lineage_id: str, entry: Entry) -> dict[str, Any]:
    return {"id": new_id(), "lineage_id": lineage_id, **vars(entry)}
