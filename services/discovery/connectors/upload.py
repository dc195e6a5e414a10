"""Systems that send what they hold by themselves: nothing is logged into, and nothing is read."""

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field


class UploadSettings(BaseModel):
    """Who may send."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uploaders: list[Annotated[str, Field(max_length=100)]] = Field(
        [],
        max_length=100,
        description="Ids of principals that may send to this source with the single permission `uploads:write`.",
    )


class NoCredential(BaseModel):
    """Whoever sends shows a token of ours."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Upload:
    """A source whose holdings are sent to it."""

    kind: ClassVar[str] = "upload"
    summary: ClassVar[str] = "Whatever another system sends: its certificates, and where it keeps them."
    settings_type: ClassVar[type[BaseModel]] = UploadSettings
    credential_type: ClassVar[type[BaseModel]] = NoCredential
