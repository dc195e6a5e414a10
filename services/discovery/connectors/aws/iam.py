"""Server certificates of IAM, which belong to no region."""

from collections.abc import AsyncIterator
from typing import Any, ClassVar

from services.discovery.connectors.aws.shelves import Shelf, chain_of, unreadable
from services.discovery.domain.holdings import Gap, Holding
from shared.errors import Invalid

_PAGE = 1000


class IamShelf(Shelf):
    """The server certificates of an account."""

    service: ClassVar[str] = "iam"
    resource: ClassVar[str] = "server-certificate"

    async def listed(self) -> AsyncIterator[tuple[str, Any] | Gap]:
        """Yield every server certificate."""
        found = self.account.listed(
            "iam",
            "list_server_certificates",
            region=self.account.home,
            under="ServerCertificateMetadataList",
            PaginationConfig={"PageSize": _PAGE},
        )
        async for metadata in found:
            yield metadata["Arn"], metadata

    async def fetch(self, path: str, listed: Any) -> Holding | Gap:
        """Return one; CloudFront calls it by its id, everything else by its ARN."""
        answer = await self.account.call(
            "iam",
            "get_server_certificate",
            region=self.account.home,
            ServerCertificateName=listed["ServerCertificateName"],
        )
        body = answer["ServerCertificate"]
        try:
            chain = chain_of(body.get("CertificateBody"), body.get("CertificateChain"))
        except Invalid as error:
            return unreadable(path, error.detail)
        uses = self.using.of(path, listed["ServerCertificateId"], path=path, leaf=chain[0])
        return Holding(
            address=self.account.address,
            path=path,
            chain=chain,
            format="iam",
            uses=uses,
            # A balancer in a region that is not read may use it, too.
            in_use=True if uses else None,
        )
