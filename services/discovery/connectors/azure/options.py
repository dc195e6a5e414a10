"""Which vault is read, and which application asks."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from services.discovery.connectors.entra import read_certificate
from shared.errors import Invalid

_GUID = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"


class KeyVaultSettings(BaseModel):
    """Which vault, and which application asks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vault: str = Field(
        pattern=r"^https://[0-9A-Za-z][0-9A-Za-z.-]*(:[0-9]{1,5})?/?$",
        max_length=253,
        examples=["https://shop.vault.azure.net"],
    )
    tenant: str = Field(pattern=_GUID, description="Id of the tenant that the vault belongs to.")
    client_id: str = Field(pattern=_GUID, description="Id of the application.")
    authority: str = Field(
        "https://login.microsoftonline.com",
        pattern=r"^https://[0-9A-Za-z][0-9A-Za-z.-]*(:[0-9]{1,5})?$",
        max_length=253,
        description="Where tokens are given; the sovereign clouds have their own.",
        examples=["https://login.microsoftonline.us"],
    )
    old_versions: bool = Field(
        False, description="Read also the versions that are not current any more: one question for each."
    )
    trusted_ca: str | None = Field(
        None, max_length=100_000, description="PEM that is trusted beside the public roots."
    )


class KeyVaultCredential(BaseModel):
    """A client secret of the application, or its certificate with the key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_secret: Annotated[SecretStr | None, Field(min_length=1, max_length=1000)] = None
    certificate: str | None = Field(None, max_length=100_000, description="PEM.")
    private_key: Annotated[SecretStr | None, Field(max_length=100_000)] = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.certificate is None) != (self.private_key is None):
            msg = "certificate and private_key belong together"
            raise ValueError(msg)
        if (self.client_secret is None) == (self.private_key is None):
            msg = "give either client_secret, or certificate with private_key"
            raise ValueError(msg)
        if self.certificate is not None and self.private_key is not None:
            try:
                read_certificate(self.certificate, self.private_key.get_secret_value())
            except Invalid as error:
                raise ValueError(str(error)) from None
        return self
