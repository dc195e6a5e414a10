"""What renewal can be told."""

from pathlib import Path

from pydantic import Field, field_validator

from shared.settings import ServiceSettings, Waits


class RenewalSettings(ServiceSettings):
    """The section `renewal`; durations are seconds."""

    http01_listen: str | None = Field(None, pattern=r"^(\[[0-9a-fA-F:]+\]|[^\s:]+):[0-9]{1,5}$")
    """`host:port` where http-01 challenges are answered; an authority comes by port 80. By default off."""
    tls_alpn01_listen: str | None = Field(None, pattern=r"^(\[[0-9a-fA-F:]+\]|[^\s:]+):[0-9]{1,5}$")
    """`host:port` where tls-alpn-01 challenges are answered; an authority comes by port 443. By default off."""
    commands: Path | None = None
    """The folder with the programs that authorities of the kind `command`, and dns-01 by a program, may run. By default none."""
    ct_log_list: Path | None = None
    """The CT logs that browsers take, as their makers publish them (`log_list.json`, version 3), read again when it changes.

    By default timestamps of logs are counted, and not verified.
    """
    public_url: str | None = Field(None, pattern=r"^https?://[^\s?#]+$")
    """Where everybody reaches this service: our own authorities' certificates then say where their CRL and OCSP are.

    Best by `http://` (RFC 5280 §8): what is there is signed, and whoever verifies TLS by it cannot do so by TLS.
    """
    parallel: int = Field(10, ge=1, le=1000)
    """Orders at a time."""
    retry_after: Waits = Field(["60", "600", "6000", "86400"])
    """Waits after failed attempts; the last one repeats."""
    lease: float = Field(60, gt=0)
    """After this long without a sign of life another process goes on with an order."""
    key_retention: float = Field(30 * 86400, ge=0)
    """How long a private key is kept when a newer certificate was seen in every place of its own."""
    request_timeout: float = Field(86400, gt=0)
    """How long a request may take to come from the target that its key is made on; after that the order has failed."""
    approval_timeout: float = Field(7 * 86400, gt=0)
    """After this long without enough decisions what waits for an approval has failed."""
    approval_reminder: float = Field(86400, gt=0)
    """How often is reminded of what waits for an approval."""
    revocation_approvals: int = Field(0, ge=0, le=10)
    """How many people, none of them who asks, have to agree before a certificate is revoked."""
    campaign_approvals: int = Field(1, ge=0, le=10)
    """How many people, none of them who plans or starts it, have to agree before a campaign begins."""
    revoke_replaced_after: float = Field(7 * 86400, ge=0)
    """How long after it was seen to be replaced a certificate is revoked whose profile says so."""

    @field_validator("http01_listen", "tls_alpn01_listen")
    @classmethod
    def _is_a_port(cls, value: str | None) -> str | None:
        if value is not None and not 0 < int(value.rpartition(":")[2]) <= 65535:  # noqa: PLR2004 - a port (RFC 9293)
            msg = "the port is 1 to 65535"
            raise ValueError(msg)
        return value

    def http01_address(self) -> tuple[str, int] | None:
        """Return host and port of the http-01 listener, where there is to be one."""
        return _address(self.http01_listen)

    def tls_alpn01_address(self) -> tuple[str, int] | None:
        """Return host and port of the tls-alpn-01 listener, where there is to be one."""
        return _address(self.tls_alpn01_listen)


def _address(text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
