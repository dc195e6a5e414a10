"""One login at AWS: as whom, where, and which calls it may need."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, ClassVar, cast

import httpx
from pydantic import BaseModel, Field

from services.provisioner.connectors import Access, Check, Part
from services.provisioner.connectors.web import failures
from shared.aws.credentials import AssumedRole, AwsCredential, Region, keys_of
from shared.outbound import guarded_client
from shared.web import trusting

if TYPE_CHECKING:  # botocore takes long to be imported, and whoever has no target at AWS need not wait for it
    from services.provisioner.connectors.aws.account import Aws

CALLS: Mapping[str, Mapping[str, str]] = {
    "sts": {"get_caller_identity": "sts:GetCallerIdentity", "assume_role": "sts:AssumeRole"},
    "acm": {
        "import_certificate": "acm:ImportCertificate",
        "describe_certificate": "acm:DescribeCertificate",
        "get_certificate": "acm:GetCertificate",
        "list_tags_for_certificate": "acm:ListTagsForCertificate",
        "list_certificates": "acm:ListCertificates",
        "delete_certificate": "acm:DeleteCertificate",
    },
    "iam": {
        "upload_server_certificate": "iam:UploadServerCertificate",
        "get_server_certificate": "iam:GetServerCertificate",
        "list_server_certificates": "iam:ListServerCertificates",
        "delete_server_certificate": "iam:DeleteServerCertificate",
    },
    "elbv2": {
        "describe_listeners": "elasticloadbalancing:DescribeListeners",
        "describe_listener_certificates": "elasticloadbalancing:DescribeListenerCertificates",
        "modify_listener": "elasticloadbalancing:ModifyListener",
        "add_listener_certificates": "elasticloadbalancing:AddListenerCertificates",
        "remove_listener_certificates": "elasticloadbalancing:RemoveListenerCertificates",
    },
    "cloudfront": {
        "get_distribution_config": "cloudfront:GetDistributionConfig",
        "update_distribution": "cloudfront:UpdateDistribution",
    },
    "secretsmanager": {
        "get_secret_value": "secretsmanager:GetSecretValue",
        "describe_secret": "secretsmanager:DescribeSecret",
        "put_secret_value": "secretsmanager:PutSecretValue",
        "update_secret_version_stage": "secretsmanager:UpdateSecretVersionStage",
    },
}
"""The IAM actions that a login may need, by service and botocore's name of the call."""


class AwsOptions(Part):
    """Which region, and as whom."""

    region: Region = Field(examples=["eu-west-1"])
    role: AssumedRole | None = Field(None, description="Assumed before anything is done.")
    endpoint_url: str | None = Field(
        None,
        max_length=500,
        pattern=r"^https?://[^\s/?#@]+$",
        description="Where AWS is asked, in place of its own addresses: a private endpoint.",
    )
    trusted_ca: str | None = Field(
        None, max_length=20_000, description="PEM of the CA of `endpoint_url`, where it is no public one."
    )


class OfAws:
    """What every kind of target at AWS has in common."""

    credential_type: ClassVar[type[BaseModel]] = AwsCredential
    secrets_go_by: ClassVar[frozenset[str]] = frozenset({"endpoint_url", "trusted_ca"})

    def __init__(self, aws: "Aws") -> None:
        self._aws = aws

    async def check(self) -> list[Check]:
        """Ask whose account it is."""
        return [await self._aws.whoami()]


@asynccontextmanager
async def aws_of(access: Access, options: AwsOptions) -> AsyncIterator["Aws"]:
    """Log into AWS for one piece of work."""
    from services.provisioner.connectors.aws.account import Aws  # noqa: PLC0415 - the AWS library is imported when there is a target at AWS

    seconds = access.limits.transfer.total_seconds()
    with failures("connect"):
        client = guarded_client(access.policy, tls=trusting(options.trusted_ca))
    client.timeout = httpx.Timeout(seconds, connect=access.limits.connect.total_seconds())
    keys = keys_of(cast("AwsCredential", access.credential))
    async with client:
        aws = Aws(options, keys=keys, client=client, seconds=seconds)
        # The private key is asked for only when AWS has let us in.
        await aws.whoami()
        if options.role is not None:
            await aws.assume(options.role)
        yield aws
