"""Private CAs: their own certificates, and what they issued as far as it can be known without writing.

AWS has no call that lists what a private CA issued. An audit report does, and to have one written is a write; so
those are read that already lie in a bucket, the newest of each CA, and the certificates that it names are fetched.
"""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import anyio.to_thread

from services.discovery.connectors.aws.account import MOST_LISTED, Account
from services.discovery.connectors.aws.join import Using
from services.discovery.connectors.aws.settings import AuditReports
from services.discovery.connectors.aws.shelves import Shelf, chain_of, unreadable
from services.discovery.domain.holdings import Gap, Holding
from shared.aws.errors import Declined
from shared.errors import Invalid, NotFound

_WITHOUT_CERTIFICATE = ("CREATING", "PENDING_CERTIFICATE", "FAILED")
MOST_REPORT_BYTES = 32 * 1024 * 1024


class PcaShelf(Shelf):
    """The private CAs of one region."""

    service: ClassVar[str] = "acm-pca"
    resource: ClassVar[str] = "certificate-authority"

    def __init__(
        self, account: Account, region: str, using: Using, *, reports: tuple[AuditReports, ...]
    ) -> None:
        super().__init__(account, region, using)
        self._reports = reports

    async def listed(self) -> AsyncIterator[tuple[str, Any] | Gap]:
        """Yield each CA, and the certificates that its newest audit report names."""
        found = self.account.listed(
            "acm-pca", "list_certificate_authorities", region=self.region, under="CertificateAuthorities"
        )
        async for authority in found:
            arn = authority["Arn"]
            if authority.get("Status") in _WITHOUT_CERTIFICATE:
                continue
            yield arn, None
            try:
                async for each in self._issued(arn):
                    yield each
            except (Declined, NotFound, Invalid) as error:
                yield Gap(scope=f"{arn}/certificate", reason=error.detail, next_step=error.next_step)

    async def fetch(self, path: str, listed: Any) -> Holding | Gap:
        """Return the certificate of a CA, or one that it issued; `listed` is the CA of the latter."""
        call = "get_certificate" if listed else "get_certificate_authority_certificate"
        named = (
            {"CertificateAuthorityArn": listed, "CertificateArn": path}
            if listed
            else {"CertificateAuthorityArn": path}
        )
        answer = await self.account.call("acm-pca", call, region=self.region, **named)
        try:
            chain = chain_of(answer.get("Certificate"), answer.get("CertificateChain"))
        except Invalid as error:
            return unreadable(path, error.detail)
        # Where an issued certificate went, the CA does not know.
        return Holding(address=self.account.address, path=path, chain=chain, format="acm-pca")

    async def _issued(self, authority: str) -> AsyncIterator[tuple[str, Any] | Gap]:
        if not self._reports:
            yield _unknown(authority)
            return
        newest = await self._newest(authority)
        if newest is None:
            raise Invalid(
                f"There is no audit report of {authority} in JSON in the buckets that the source names.",
                next_step="Have one written: aws acm-pca create-certificate-authority-audit-report.",
            )
        reports, report = newest
        if report["Size"] > MOST_REPORT_BYTES:
            raise Invalid(
                f"{report['Key']} is larger than {MOST_REPORT_BYTES} bytes.", next_step="It is not read."
            )
        answer = await self.account.call(
            "s3", "get_object", region=reports.region, Bucket=reports.bucket, Key=report["Key"]
        )
        body = answer["Body"].read()
        names = await anyio.to_thread.run_sync(_valid, body, authority, report["LastModified"])
        for name in names[:MOST_LISTED]:
            yield name, authority
        if len(names) > MOST_LISTED:
            raise Invalid(
                f"{authority} issued more than {MOST_LISTED} certificates.", next_step="The rest is not read."
            )

    async def _newest(self, authority: str) -> tuple[AuditReports, Mapping[str, Any]] | None:
        found = [
            (reports, each)
            for reports in self._reports
            async for each in self.account.listed(
                "s3",
                "list_objects_v2",
                region=reports.region,
                under="Contents",
                Bucket=reports.bucket,
                Prefix=f"audit-report/{authority.rpartition('/')[2]}/",
            )
            if each["Key"].endswith(".json")
        ]
        return max(found, key=lambda item: item[1]["LastModified"], default=None)


def _unknown(authority: str) -> Gap:
    return Gap(
        scope=f"{authority}/certificate",
        reason="AWS lists what a private CA issued in audit reports only, and the source names no bucket of them.",
        next_step="Have audit reports written into a bucket, and name it in `audit_reports`.",
        is_absent=True,  # what was never read cannot be missed
    )


def _valid(report: bytes, authority: str, written: datetime) -> list[str]:
    """Return the certificates that were neither revoked nor expired when the report was written."""
    try:
        rows = json.loads(report)
        found = {
            str(row["certificateArn"])
            for row in rows
            if not row.get("revokedAt") and _time(row["notAfter"]) > written
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Invalid(
            f"The audit report of {authority} cannot be read ({type(error).__name__}).",
            next_step="Have a new one written.",
        ) from error
    if any(not name.startswith(f"{authority}/certificate/") for name in found):
        raise Invalid(
            f"The audit report of {authority} names other CAs' certificates.", next_step="Look at the bucket."
        )
    return sorted(found)


def _time(text: str) -> datetime:
    """Read `2018-02-26T18:39:57+0000`, as the reports write times."""
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)
