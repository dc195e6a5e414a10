"""Who asks AWS: an access key, and perhaps a role that it assumes."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Region = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$", max_length=40)]


class AssumedRole(BaseModel):
    """A role of another account, which the login may assume."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role_arn: str = Field(
        pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\x21-\x7e]+$",
        max_length=600,
        examples=["arn:aws:iam::210987654321:role/everleaf"],
    )
    external_id: str | None = Field(
        None,
        min_length=2,
        max_length=1224,
        pattern=r"^[\w+=,.@:/-]+$",
        description="Where the role asks for it.",
    )
    session_name: str = Field(
        "everleaf", min_length=2, max_length=64, pattern=r"^[\w+=,.@-]+$", description="Shown in CloudTrail."
    )

    @property
    def account_id(self) -> str:
        """Return the account that the role belongs to."""
        return self.role_arn.split(":")[4]


class AwsCredential(BaseModel):
    """An access key of AWS, or the temporary one of a session."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access_key_id: str = Field(
        repr=False, min_length=16, max_length=128, pattern=r"^\w+$", examples=["AKIAIOSFODNN7EXAMPLE"]
    )
    secret_access_key: SecretStr = Field(min_length=16, max_length=128)
    session_token: SecretStr | None = Field(None, min_length=16, max_length=8192)


def keys_of(credential: AwsCredential) -> dict[str, str | None]:
    """Return a key as botocore takes it."""
    token = credential.session_token
    return {
        "aws_access_key_id": credential.access_key_id,
        "aws_secret_access_key": credential.secret_access_key.get_secret_value(),
        "aws_session_token": token.get_secret_value() if token else None,
    }
