"""CloudFront distributions: one use for each that has a certificate of its own."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from services.discovery.connectors.aws.account import Account
from services.discovery.domain.holdings import Listener, Use

_HTTPS = 443


async def uses(account: Account, region: str) -> AsyncGenerator[Use]:
    """Yield the certificate of every distribution: an ARN of ACM, or the id of a server certificate of IAM.

    Raises `Declined`.
    """
    found = account.listed("cloudfront", "list_distributions", region=region, under="DistributionList.Items")
    async for distribution in found:
        viewer = distribution.get("ViewerCertificate") or {}
        certificate = viewer.get("ACMCertificateArn") or viewer.get("IAMCertificateId")
        if certificate:
            yield _use(distribution, certificate=certificate, policy=viewer.get("MinimumProtocolVersion"))


def _use(distribution: Mapping[str, Any], *, certificate: str, policy: str | None) -> Use:
    names = (distribution.get("Aliases") or {}).get("Items") or ()
    listener = Listener(port=_HTTPS, address=distribution["DomainName"])
    return Use(
        product="cloudfront",
        file=distribution["ARN"],
        # One that is disabled is configured, and serves nobody.
        listeners=(listener,) if distribution.get("Enabled") else (),
        server_names=tuple(name.lower() for name in names),
        certificate=certificate,
        protocols=(policy,) if policy else (),
    )
