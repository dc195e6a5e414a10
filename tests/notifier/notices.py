"""A notice to send."""

from datetime import timedelta
from typing import Any

from services.notifier.domain.alerts import Details
from services.notifier.domain.notices import Notice, Turn
from shared.events.notifier import Severity
from tests.notifier.workshop import NOON, OLD


def notice(**other: Any) -> Notice:
    """Return a notice of an alert's first turn."""
    values: dict[str, Any] = {
        "id": "0191d7a2-8f4e-7c3b-9d5e-1f2a3b4c5d6e",
        "alert_id": "0191d7a2-0000-7000-8000-000000000001",
        "number": 1,
        "turn": Turn.OPENED,
        "problem": "expiring",
        "severity": Severity.CRITICAL,
        "headline": "www.example.test expires in 3 days",
        "details": Details(
            names=("www.example.test",),
            not_after=NOON + timedelta(days=3),
            places=("192.0.2.7:443 as www.example.test",),
            place_count=1,
            next_step="Renew it.",
        ),
        "lineage_id": "lineage-1",
        "fingerprint": OLD,
        "opened_at": NOON,
        "at": NOON,
        "link": "https://portal.test/alerts/1",
    }
    return Notice(**{**values, **other})
