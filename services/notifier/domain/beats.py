"""When something that repeats comes next."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from shared.errors import Fault, Invalid


def next_occurrence(cron: str, *, zone: str, after: datetime) -> datetime:
    """Return the first occurrence after an instant, by the clocks of a zone. Raises `Invalid` for a time that is none."""
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise _invalid("/body/zone", "no time zone of the IANA database") from error
    try:
        return next(CronSim(cron, after.astimezone(place))).astimezone(UTC)
    except (CronSimError, StopIteration) as error:
        raise _invalid("/body/cron", "not five fields of cron, or a time that never comes") from error


def _invalid(pointer: str, message: str) -> Invalid:
    return Invalid(
        f"{pointer}: {message}.",
        next_step="Write cron as `0 7 * * 1` and a zone as `Europe/Berlin`.",
        faults=[Fault(pointer=pointer, message=message)],
    )
