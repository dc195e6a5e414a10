"""What the notifier can be told."""

from pydantic import Field

from shared.settings import ServiceSettings, Waits


class NotifierSettings(ServiceSettings):
    """The section `notifier`; durations are seconds."""

    retry_after: Waits = Field(["5", "300", "1800", "7200", "18000", "36000", "50400", "72000", "86400"])
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
