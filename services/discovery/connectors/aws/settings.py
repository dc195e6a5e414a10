"""What an AWS source is told: which accounts, regions and services are read, and as whom."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.aws.credentials import AssumedRole, Region

Service = Literal["acm", "iam", "elbv2", "elb", "cloudfront", "apigateway", "acm-pca"]
SERVICES: tuple[Service, ...] = ("acm", "iam", "elbv2", "elb", "cloudfront", "apigateway", "acm-pca")


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
