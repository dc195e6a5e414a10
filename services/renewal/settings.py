"""What renewal can be told."""

from pydantic import Field, field_validator

from shared.settings import ServiceSettings, Waits


class RenewalSettings(ServiceSettings):
    """The section `renewal`; durations are seconds."""

    http01_listen: str | None = Field(None, pattern=r"^(\[[0-9a-fA-F:]+\]|[^\s:]+):[0-9]{1,5}$")
    """`host:port` where http-01 challenges are answered; an authority comes by port 80. By default off."""
    parallel: int = Field(10, ge=1, le=1000)
    """Orders at a time."""
    retry_after: Waits = Field(["60", "600", "6000", "86400"])
    """Waits after failed attempts; the last one repeats."""
    lease: float = Field(60, gt=0)
    """After this long without a sign of life another process goes on with an order."""
    key_retention: float = Field(30 * 86400, ge=0)
    """How long a private key is kept when a newer certificate was seen in every place of its own."""

    @field_validator("http01_listen")
    @classmethod
    def _is_a_port(cls, value: str | None) -> str | None:
        if value is not None and not 0 < int(value.rpartition(":")[2]) <= 65535:  # noqa: PLR2004 - a port (RFC 9293)
            msg = "the port is 1 to 65535"
            raise ValueError(msg)
        return value

    def http01_address(self) -> tuple[str, int] | None:
        """Return host and port of the http-01 listener, where there is to be one."""
        if self.http01_listen is None:
            return None
        host, _, port = self.http01_listen.rpartition(":")
        return host.strip("[]"), int(port)
