"""What the notifier can be told."""

from datetime import timedelta

from pydantic import Field, field_validator

from shared.settings import CommaList, ServiceSettings

_YEAR = 366 * 86400


class NotifierSettings(ServiceSettings):
    """The section `notifier`; durations are seconds."""

    retry_after: CommaList = Field(
        ["5", "300", "1800", "7200", "18000", "36000", "50400", "72000", "86400"], min_length=1
    )
    """Waits after failed attempts to deliver (the defaults are those of Standard Webhooks, about three days)."""
    report_after: int = Field(4, ge=1, le=100)
    """After so many failed attempts of one delivery the channel is reported through the others."""
    parallel: int = Field(4, ge=1, le=100)
    """Deliveries at a time through one channel; channels never wait for one another."""
    lease: float = Field(120, ge=90)
    """After this long a delivery whose process has died is tried again; longer than any delivery takes."""
    poll: float = Field(0.5, gt=0, le=60)
    """How often to look for deliveries that are due."""
    portal_url: str | None = Field(None, pattern=r"^https?://[^\s\"'<>]+$")
    """Where people find the portal; notices then link to their alert."""

    @field_validator("retry_after")
    @classmethod
    def _are_seconds(cls, value: list[str]) -> list[str]:
        if not all(0 < float(text) < _YEAR for text in value):
            msg = "waits are seconds, more than 0 and less than a year"
            raise ValueError(msg)
        return value

    def waits(self) -> tuple[timedelta, ...]:
        """Return the waits after failed attempts."""
        return tuple(timedelta(seconds=float(text)) for text in self.retry_after)
