"""What a source of kind `f5-bigip` is told."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from services.discovery.connectors.device import device_url


class BigIpSettings(BaseModel):
    """Where the device is, and how it is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[0-9A-Za-z.:_-]+$",
        examples=["bigip-1.example.com"],
        description="Name or address of its management interface; the holdings are told under it.",
    )
    port: int = Field(443, ge=1, le=65535)
    username: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f:]+$", examples=["everleaf"])
    login: Literal["token", "basic"] = Field(
        "token", description="Log in once for a token, or send the password with every question."
    )
    login_provider: str = Field(
        "tmos",
        min_length=1,
        max_length=100,
        description="Who knows the user, for a token: tmos, or a remote one.",
    )
    contents: Literal["soap", "none"] = Field(
        "soap",
        description=(
            "How the certificates themselves are asked for: iControl REST shows only facts about them. "
            "With `none` they are reported as gaps."
        ),
    )
    all_partitions: bool = Field(
        False,
        description="The login sees all partitions, though the device cannot tell (a user of a remote directory).",
    )
    trusted_ca: str | None = Field(
        None, max_length=100_000, description="PEM of the CA that issued the device's own certificate."
    )

    @property
    def url(self) -> str:
        """Where the API is."""
        return device_url(self.host, port=self.port)


class BigIpCredential(BaseModel):
    """The user's password."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    password: SecretStr = Field(min_length=1, max_length=1000)
