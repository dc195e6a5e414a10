"""What an AWS source is told: which accounts, regions and services are read, and as whom."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Service = Literal["acm", "iam", "elbv2", "elb", "cloudfront", "apigateway", "acm-pca"]
SERVICES: tuple[Service, ...] = ("acm", "iam", "elbv2", "elb", "cloudfront", "apigateway", "acm-pca")
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


class AuditReports(BaseModel):
    """Where the audit reports of private CAs are kept; they alone tell what a CA issued."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", examples=["pca-audit-reports"])
    region: Region = Field(description="That of the bucket.")


class AwsSettings(BaseModel):
    """Which accounts, regions and services are read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    regions: list[Region] = Field(min_length=1, max_length=40, examples=[["eu-west-1", "us-east-1"]])
    accounts: list[AssumedRole] = Field(
        [], max_length=200, description="Further accounts, each by a role in it."
    )
    own_account: bool = Field(True, description="Read the account that the login belongs to.")
    services: list[Service] = Field(list(SERVICES), min_length=1, max_length=len(SERVICES))
    audit_reports: list[AuditReports] = Field(
        [], max_length=20, description="Buckets that hold audit reports of private CAs, in JSON."
    )
    endpoint_url: str | None = Field(
        None,
        max_length=500,
        pattern=r"^https?://[^\s/?#@]+$",
        description="Where all services are asked, in place of AWS's own addresses: a private endpoint.",
    )
    trusted_ca: str | None = Field(
        None, max_length=20_000, description="PEM of the CA of `endpoint_url`, where it is no public one."
    )

    @model_validator(mode="after")
    def _reads_each_account_once(self) -> Self:
        if not self.own_account and not self.accounts:
            raise ValueError("name accounts, or read the login's own")
        ids = [account.account_id for account in self.accounts]
        if len({*ids}) < len(ids):
            raise ValueError("an account is named twice")
        return self


class AwsCredential(BaseModel):
    """An access key of AWS, or the temporary one of a session."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access_key_id: str = Field(
        repr=False, min_length=16, max_length=128, pattern=r"^\w+$", examples=["AKIAIOSFODNN7EXAMPLE"]
    )
    secret_access_key: SecretStr = Field(min_length=16, max_length=128)
    session_token: SecretStr | None = Field(None, min_length=16, max_length=8192)
