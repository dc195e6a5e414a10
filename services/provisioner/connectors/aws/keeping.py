"""Where load balancers and distributions find certificates: each is an object of its own, in ACM or in IAM.

A new one lies beside the old one until it is used, and the old one stays until the deployment is over, so the way back
is the old ARN, and needs no key. Objects that were made here are known by a tag (ACM) or their path (IAM).
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Literal

from services.provisioner.connectors.aws.acm import imported
from services.provisioner.connectors.aws.session import CALLS
from services.provisioner.connectors.pairs import Pair, leaf_in
from services.provisioner.connectors.planning import PlannedCall
from services.provisioner.domain import DeploymentError, Failure

if TYPE_CHECKING:  # as in `session`
    from services.provisioner.connectors.aws.account import Aws

Keeper = Literal["acm", "iam"]
TAG = "everleaf:slot"
_PATH = "/everleaf/"
_CLOUDFRONT_PATH = "/cloudfront/everleaf/"
_PAGE = 1000


class Keeping:
    """The certificates of an account in one region, and those of IAM, that belong to one slot."""

    def __init__(self, aws: "Aws", *, region: str, label: str, is_for_cloudfront: bool = False) -> None:
        """`label` says whose objects are ours."""
        self._aws = aws
        self._region = region
        self._label = label
        # IAM Guide, "Managing server certificates": CloudFront takes those of this path only.
        self._path = (_CLOUDFRONT_PATH if is_for_cloudfront else _PATH) + f"{label}/"

    async def keep(self, pair: Pair, *, keeper: Keeper, step: str) -> str:
        """Put a pair there, or find it again; return its ARN."""
        found = [arn async for arn in self.made(keeper=keeper, step=step)]
        for arn in found:
            if await self.fingerprint(arn, step=step) == pair.fingerprint:
                return arn
        if keeper == "iam":
            return await self._upload(pair, step=step)
        told = await self._aws.call(
            "acm",
            "import_certificate",
            step=step,
            region=self._region,
            **imported(pair),
            Tags=[{"Key": TAG, "Value": self._label}],
        )
        return str(told["CertificateArn"])

    async def _upload(self, pair: Pair, *, step: str) -> str:
        chain = {"CertificateChain": pair.issuers} if pair.issuers else {}
        told = await self._aws.call(
            "iam",
            "upload_server_certificate",
            step=step,
            Path=self._path,
            ServerCertificateName=f"everleaf-{self._label}-{(pair.fingerprint or '')[:20]}",
            CertificateBody=pair.leaf,
            PrivateKey=pair.private_pem,
            **chain,
        )
        return str(told["ServerCertificateMetadata"]["Arn"])

    async def made(self, *, keeper: Keeper, step: str) -> AsyncIterator[str]:
        """Yield the ARNs of what was made here for this slot."""
        if keeper == "iam":
            told = await self._aws.call("iam", "list_server_certificates", step=step, PathPrefix=self._path)
            for each in told["ServerCertificateMetadataList"]:
                yield str(each["Arn"])
            return
        token: dict[str, str] = {}
        kinds = ["RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1"]
        while True:
            told = await self._aws.call(
                "acm",
                "list_certificates",
                step=step,
                region=self._region,
                Includes={"keyTypes": kinds},
                MaxItems=_PAGE,
                **token,
            )
            for each in told["CertificateSummaryList"]:
                if await self._is_ours(each["CertificateArn"], step=step):
                    yield str(each["CertificateArn"])
            if not told.get("NextToken"):
                return
            token = {"NextToken": told["NextToken"]}

    async def fingerprint(self, arn: str, *, step: str) -> str | None:
        """Return the fingerprint of a certificate, or None where there is none."""
        if is_of_iam(arn):
            name = arn.rpartition("/")[2]
            told = await self._aws.find(
                "iam", "get_server_certificate", step=step, ServerCertificateName=name
            )
            return leaf_in((told or {}).get("ServerCertificate", {}).get("CertificateBody"))
        told = await self._aws.find(
            "acm", "get_certificate", step=step, region=self._region, CertificateArn=arn
        )
        return leaf_in((told or {}).get("Certificate"))

    async def drop(self, arn: str, *, step: str) -> None:
        """Remove a certificate that was made here for this slot; one that is still in use stays."""
        try:
            if is_of_iam(arn):
                if self._path in arn:
                    name = arn.rpartition("/")[2]
                    await self._aws.find(
                        "iam", "delete_server_certificate", step=step, ServerCertificateName=name
                    )
            elif await self._is_ours(arn, step=step):
                await self._aws.find(
                    "acm", "delete_certificate", step=step, region=self._region, CertificateArn=arn
                )
        except DeploymentError as error:
            # AWS itself knows best who else uses it.
            if error.failure is not Failure.CONFLICT:
                raise

    async def drop_all_but(self, used: str | None, *, keeper: Keeper, step: str) -> None:
        """Remove what was made here for this slot, and is not what it uses."""
        for arn in [each async for each in self.made(keeper=keeper, step=step)]:
            if arn != used:
                await self.drop(arn, step=step)

    async def _is_ours(self, arn: str, *, step: str) -> bool:
        told = await self._aws.find(
            "acm", "list_tags_for_certificate", step=step, region=self._region, CertificateArn=arn
        )
        tags = {each["Key"]: each.get("Value") for each in (told or {}).get("Tags", [])}
        return tags.get(TAG) == self._label


def planned_keeping(keeper: Keeper, *, label: str) -> PlannedCall:
    """Return the call by which a certificate is kept."""
    service, call = ("iam", "upload_server_certificate") if keeper == "iam" else ("acm", "import_certificate")
    return PlannedCall(request=CALLS[service][call], about=f"{TAG}={label}", when="it is not kept there yet")


def planned_dropping(keeper: Keeper) -> PlannedCall:
    """Return the call by which the one before goes."""
    service, call = ("iam", "delete_server_certificate") if keeper == "iam" else ("acm", "delete_certificate")
    when = "the certificate before was kept from here, and nobody else uses it"
    return PlannedCall(request=CALLS[service][call], about="{older}", when=when)


def is_of_iam(arn: str) -> bool:
    """Return whether a certificate is kept in IAM."""
    return ":iam::" in arn
