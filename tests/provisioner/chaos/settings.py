"""How fast time passes in chaos."""

from datetime import timedelta

from services.provisioner.domain import Schedule

BRISK = 0.05
"""Seconds between two looks at what is due, and at how it stands."""
VERIFY_FOR = timedelta(seconds=3)
_SOON = timedelta(milliseconds=100)
CHAOS_SCHEDULE = Schedule(waits=(_SOON, 3 * _SOON), attempts=10_000)
