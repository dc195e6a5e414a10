"""What the notifier can be told."""

from pathlib import Path

from pydantic import Field, SecretStr

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
    ticket_poll: float = Field(60, ge=1, le=86_400)
    """How often to look, in seconds, what people have done with an open ticket."""
    poll: float = Field(0.5, gt=0, le=60)
    """How often to look for deliveries that are due."""
    portal_url: str | None = Field(None, pattern=r"^https?://[^\s\"'<>]+$")
    """Where people find the portal; notices then link to their alert."""
    audit_checkpoint_every: float = Field(300, ge=1, le=86400)
    """How often what has been appended to the audit trail is signed, and sent to the other services to be co-signed."""
    audit_keep_days: int = Field(400, ge=1, le=36500)
    """Entries of the audit trail are let go, whole segments at a time, when they are older; a signed tombstone stays."""
    events_keep_days: int = Field(14, ge=1, le=366)
    """For so many days events are kept for consumers to have them played again."""
    subscriptions_at_once: int = Field(8, ge=1, le=100)
    """Subscriptions that are served at a time; one never waits for another."""
    broker_api_url: str | None = Field(None, pattern=r"^https?://[^\s\"'<>]+$")
    """RabbitMQ's management API, where consumers may have queues of their own; its user has the tag `administrator`."""
    broker_api_user: str | None = None
    broker_api_password: SecretStr | None = None
    broker_api_tls_ca: Path | None = None
    """A PEM file: verify the management API's certificate against this CA."""
    consumer_url: str | None = Field(None, pattern=r"^amqps?://[^\s@]+/[^\s@/]+$")
    """Where consumers reach that broker, without a login: `amqps://broker.example.com:5671/everleaf`; its path is the virtual host."""
