"""When people are at work, and when a digest is due."""

from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from shared.events.notifier import Severity
from shared.local_time import LocalTime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WEEK = 7


class Weekday(StrEnum):
    """A day of the week, in the order of `date.weekday()`."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


_DAYS = tuple(Weekday)


class Hours(BaseModel):
    """Business hours in a time zone. What is urgent does not wait for them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zone: str = Field(max_length=60, examples=["Europe/Berlin"])
    """A name of the IANA time zone database."""
    days: tuple[Weekday, ...] = Field(default=_DAYS[:5], min_length=1, max_length=7)
    opens: LocalTime = Field(time(8), examples=["08:00"])
    closes: LocalTime = Field(time(18), examples=["18:00"])
    """Later than `opens`, on the same day."""
    urgent_from: Severity = Severity.CRITICAL
    """From this severity up it is told at once, whatever the hour."""

    @field_validator("zone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            msg = "no time zone of the IANA database; write Europe/Berlin"
            raise ValueError(msg) from error
        return value

    @model_validator(mode="after")
    def _is_a_day(self) -> "Hours":
        if self.opens.tzinfo or self.closes.tzinfo or not self.opens < self.closes:
            msg = "opens and closes are local times, opens the earlier one"
            raise ValueError(msg)
        return self

    def next_open(self, at: datetime) -> datetime:
        """Return the first instant, not before `at`, at which people are at work.

        Days are counted in the zone, so 08:00 stays 08:00 when the clocks change.
        """
        zone = ZoneInfo(self.zone)
        today = at.astimezone(zone).date()
        for offset in range(_WEEK + 1):
            day = today + timedelta(days=offset)
            if _DAYS[day.weekday()] not in self.days:
                continue
            opens = datetime.combine(day, self.opens, tzinfo=zone).astimezone(UTC)
            closes = datetime.combine(day, self.closes, tzinfo=zone).astimezone(UTC)
            if at < closes:
                return max(at, opens)
        return at  # a change of clocks can take a day's only hour away; better now than never


def next_multiple(at: datetime, *, every: timedelta) -> datetime:
    """Return the next instant of a beat that all keep, so that what is gathered goes out together."""
    return _EPOCH + every * ((at - _EPOCH) // every + 1)
