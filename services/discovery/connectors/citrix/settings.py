"""What a source of kind `citrix-adc` is told."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from services.discovery.connectors.device import device_url


class CitrixAdcSettings(BaseModel):
    """Where the appliance is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[0-9A-Za-z.:_-]+$",
        examples=["adc-1.example.com"],
        description="Name or address (NSIP) of its management interface; the holdings are told under it.",
    )
    port: int = Field(443, ge=1, le=65535)
    username: str = Field(min_length=1, max_length=127, pattern=r"^[^\x00-\x1f]+$", examples=["everleaf"])
    trusted_ca: str | None = Field(
        None, max_length=100_000, description="PEM of the CA that issued the appliance's own certificate."
    )

    @property
    def url(self) -> str:
        """Where the API is."""
        return device_url(self.host, port=self.port)


class CitrixAdcCredential(BaseModel):
    """The user's password."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    password: SecretStr = Field(min_length=1, max_length=127)
