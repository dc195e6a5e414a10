"""Certificates of ACM, imported and issued: public ones, and those that a private CA issued through ACM."""

from collections.abc import AsyncIterator
from typing import Any, ClassVar

from services.discovery.connectors.aws.join import unexplained
from services.discovery.connectors.aws.shelves import Shelf, chain_of, unreadable
from services.discovery.domain.holdings import Gap, Holding
from shared.aws.errors import Declined
from shared.errors import Invalid, NotFound

# What ACM lists unasked is RSA up to 2048 bits only, and neither what ACME brought nor the N2 roots issued
# (ACM API reference, ListCertificates and Filters).
_EVERY_KEY = {
    "Includes": {
        "keyTypes": [
            "RSA_1024",
            "RSA_2048",
            "RSA_3072",
            "RSA_4096",
            "EC_prime256v1",
            "EC_secp384r1",
            "EC_secp521r1",
        ]
    },
    "CertificateKeyPairOrigins": ["AWS_MANAGED", "ACME", "CUSTOMER_PROVIDED"],
    "CertificateStatuses": ["ISSUED", "INACTIVE", "EXPIRED", "REVOKED"],
}
_FILTERS: tuple[dict[str, Any], ...] = (
    _EVERY_KEY,
    {**_EVERY_KEY, "RootHierarchyTypes": ["N2_AMAZON_MANAGED", "N2_SFG2_AMAZON_MANAGED"]},
)
_PAGE = 1000


class AcmShelf(Shelf):
    """ACM in one region."""

    service: ClassVar[str] = "acm"
    resource: ClassVar[str] = "certificate"

    _is_denied = False
    """It may not be asked what uses a certificate."""

    async def listed(self) -> AsyncIterator[tuple[str, Any] | Gap]:
        """Yield what ACM lists, and what services use beside: some they keep to themselves."""
        seen = set()
        for wanted in _FILTERS:
            found = self.account.listed(
                "acm",
                "list_certificates",
                region=self.region,
                under="CertificateSummaryList",
                PaginationConfig={"PageSize": _PAGE},
                **wanted,
            )
            async for summary in found:
                seen.add(summary["CertificateArn"])
                yield summary["CertificateArn"], summary
        for arn in self.using.names_in(self.scope + "/") - seen:
            yield arn, {"CertificateArn": arn}

    async def fetch(self, path: str, listed: Any) -> Holding | Gap:
        """Return one, with what uses it."""
        try:
            body = await self.account.call("acm", "get_certificate", region=self.region, CertificateArn=path)
            chain = chain_of(body.get("Certificate"), body.get("CertificateChain"))
        except NotFound as error:
            step = "Check the service that uses it."
            return Gap(scope=path, reason=error.detail, next_step=step, is_absent=True)
        except Invalid as error:
            return unreadable(path, error.detail)
        uses = self.using.of(path, path=path, leaf=chain[0])
        in_use_by = await self._in_use_by(path, listed)
        more = unexplained(in_use_by, path=path, account_id=self.account.id, uses=uses)
        return Holding(
            address=self.account.address,
            path=path,
            chain=chain,
            format="acm",
            uses=(*uses, *more),
            in_use=self._is_in_use(listed, is_used=bool(uses or in_use_by)),
        )

    async def _in_use_by(self, path: str, listed: Any) -> list[str]:
        """Return the resources that use it; the listing says where there are none."""
        if listed.get("InUse") is False or self._is_denied:
            return []
        try:
            answer = await self.account.call(
                "acm", "describe_certificate", region=self.region, CertificateArn=path
            )
        except Declined as error:
            self._is_denied = True
            scope = self.account.arn("acm", self.region, "in-use-by")
            self.gaps.append(Gap(scope=scope, reason=error.detail, next_step=error.next_step))
            return []
        return list(answer["Certificate"].get("InUseBy") or ())

    def _is_in_use(self, listed: Any, *, is_used: bool) -> bool | None:
        if is_used or listed.get("InUse"):
            return True
        if listed.get("Exported") or self.using.may_miss(self.region):
            return None  # of one that was exported, AWS cannot say who uses it
        return None if self._is_denied and "InUse" not in listed else False
