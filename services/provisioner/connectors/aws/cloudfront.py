"""A CloudFront distribution with alternate domain names: its viewer certificate, in ACM of us-east-1 or in IAM.

By the CloudFront API reference (`UpdateDistribution` wants the whole configuration as it was read, and its `ETag` in
`If-Match`) and "Requirements for using SSL/TLS certificates with CloudFront" (ACM's must be in US East, N. Virginia).
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, ClassVar, Self

from pydantic import Field

from services.provisioner.connectors import Access, Part, Report, Slot
from services.provisioner.connectors.aws.keeping import (
    Keeper,
    Keeping,
    is_of_iam,
    planned_dropping,
    planned_keeping,
)
from services.provisioner.connectors.aws.session import CALLS, AwsOptions, OfAws, aws_of
from services.provisioner.connectors.pairs import changed_by_others, must_hold, pair_of
from services.provisioner.connectors.planning import Coming, PlannedCall, PlannedStep, in_steps
from services.provisioner.domain import DeploymentError, Failure, Material

HOME = "us-east-1"


class DistributionSlot(Slot):
    """Which distribution."""

    distribution: str = Field(pattern=r"^[A-Z0-9]{8,30}$", examples=["EDFDVBD6EXAMPLE"])
    keep_in: Keeper = Field("acm", description="Where the certificate is kept.")

    @property
    def key(self) -> str:
        """Return the distribution."""
        return f"distributions/{self.distribution}"

    @property
    def label(self) -> str:
        """Return what the certificates that were made for this slot are known by."""
        return sha256(self.key.encode()).hexdigest()[:24]


class DistributionUndo(Part):
    """The new certificate, and what the distribution used before: an ARN of ACM, or an id of IAM."""

    label: str
    new: str
    viewer: dict[str, str | bool]
    """The viewer certificate for the new one."""
    before: dict[str, str | bool]
    """As it was read."""


class AwsCloudFront(OfAws):
    """A distribution."""

    kind: ClassVar[str] = "aws-cloudfront"
    summary: ClassVar[str] = "A distribution of Amazon CloudFront, with the certificate in ACM or IAM."
    options_type: ClassVar[type[Part]] = AwsOptions
    slot_type: ClassVar[type[Slot]] = DistributionSlot
    undo_type: ClassVar[type[Part]] = DistributionUndo

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access, *, options: AwsOptions) -> AsyncIterator[Self]:
        """Log into AWS."""
        async with aws_of(access, options) as aws:
            yield cls(aws)

    @classmethod
    def plan(
        cls,
        slot: DistributionSlot,
        *,
        options: AwsOptions,  # noqa: ARG003 - they say no more than where it is
        coming: Coming,  # noqa: ARG003 - AWS gives it its name
    ) -> Sequence[PlannedStep]:
        """Say which calls would be made."""
        keep = planned_keeping(slot.keep_in, label=slot.label)
        use = PlannedCall(request=CALLS["cloudfront"]["update_distribution"], about=slot.distribution)
        return in_steps(
            stage=PlannedStep(
                step="stage", text="Keep the certificate beside the present one.", calls=(keep,)
            ),
            bind=(PlannedStep(step="bind", text=f"Let {slot.key} use it.", calls=(use,)),),
            read_back=f"Ask which certificate {slot.key} uses.",
            tidy=(planned_dropping(slot.keep_in),),
        )

    async def stage(self, slot: DistributionSlot, *, material: Material, report: Report) -> DistributionUndo:
        """Keep the new certificate beside the one that is used."""
        _, config = await self._read(slot, step="stage")
        before = _plain(config.get("ViewerCertificate") or {})
        if not _names(before):
            text = f"{slot.key} serves CloudFront's own certificate: it has no alternate domain name yet."
            raise DeploymentError(Failure.NOT_SUPPORTED, text, step="stage")
        arn = await self._keeping(slot).keep(pair_of(material), keeper=slot.keep_in, step="stage")
        named = (
            {"IAMCertificateId": await self._id(arn, step="stage")}
            if is_of_iam(arn)
            else {"ACMCertificateArn": arn}
        )
        settings = {
            name: before[name] for name in ("SSLSupportMethod", "MinimumProtocolVersion") if name in before
        }
        report("stage", f"Keep the new certificate as {arn}.")
        return DistributionUndo(
            label=slot.label,
            new=arn,
            viewer={"CloudFrontDefaultCertificate": False, **settings, **named},
            before=before,
        )

    async def bind(self, slot: DistributionSlot, *, undo: DistributionUndo, report: Report) -> None:
        """Let the distribution use the new one; its edges follow within minutes."""
        await self._use(slot, undo.viewer, instead_of=undo.before, step="bind")
        report("bind", f"{slot.key} uses {undo.new}.")

    async def verify(self, slot: DistributionSlot, *, fingerprint: str, report: Report) -> None:
        """Ask which certificate the distribution uses, and for that."""
        _, config = await self._read(slot, step="read back")
        used = _plain(config["ViewerCertificate"])
        arn = await self._arn(used, keeping=self._keeping(slot), step="read back")
        found = await self._keeping(slot).fingerprint(arn, step="read back") if arn is not None else None
        must_hold(slot.key, found, fingerprint=fingerprint)
        report("read back", f"{slot.key} uses {fingerprint}.")

    async def restore(self, slot: DistributionSlot, *, undo: DistributionUndo, report: Report) -> None:
        """Let the distribution use the old one again, and remove the new one."""
        _, config = await self._read(slot, step="restore")
        if _names(_plain(config["ViewerCertificate"])) == _names(undo.viewer):
            await self._use(slot, undo.before, instead_of=undo.viewer, step="restore")
        if _names(undo.viewer) != _names(undo.before):
            await self._keeping(slot).drop(undo.new, step="restore")
        report("restore", f"{slot.key} uses {_names(undo.before)} again.")

    async def clear(self, slot: DistributionSlot) -> None:
        """Remove what was made for this slot and is not used by it."""
        _, config = await self._read(slot, step="clear")
        keeping = self._keeping(slot)
        used = await self._arn(_plain(config["ViewerCertificate"]), keeping=keeping, step="clear")
        await keeping.drop_all_but(used, keeper=slot.keep_in, step="clear")

    async def tidy(self, *, undo: DistributionUndo) -> None:
        """Remove the old certificate, where it was made here for this slot and nobody else uses it."""
        keeping = Keeping(self._aws, region=HOME, label=undo.label, is_for_cloudfront=True)
        before = await self._arn(undo.before, keeping=keeping, step="tidy")
        if before is not None and before != undo.new:
            await keeping.drop(before, step="tidy")

    async def _arn(self, viewer: Mapping[str, Any], *, keeping: Keeping, step: str) -> str | None:
        """Return the certificate that is used, where it is in ACM, or in IAM and made here for the slot.

        A distribution names one of IAM by its id, from which nothing leads to it.
        """
        if "ACMCertificateArn" in viewer:
            return str(viewer["ACMCertificateArn"])
        used = viewer.get("IAMCertificateId")
        made = [arn async for arn in keeping.made(keeper="iam", step=step)] if used is not None else []
        for arn in made:
            if await self._id(arn, step=step) == used:
                return arn
        return None

    def _keeping(self, slot: DistributionSlot) -> Keeping:
        return Keeping(self._aws, region=HOME, label=slot.label, is_for_cloudfront=True)

    async def _id(self, arn: str, *, step: str) -> str:
        name = arn.rpartition("/")[2]
        told = await self._aws.call("iam", "get_server_certificate", step=step, ServerCertificateName=name)
        return str(told["ServerCertificate"]["ServerCertificateMetadata"]["ServerCertificateId"])

    async def _read(self, slot: DistributionSlot, *, step: str) -> tuple[str, dict[str, Any]]:
        told = await self._aws.call(
            "cloudfront", "get_distribution_config", step=step, region=HOME, Id=slot.distribution
        )
        return told["ETag"], told["DistributionConfig"]

    async def _use(
        self,
        slot: DistributionSlot,
        viewer: dict[str, str | bool],
        *,
        instead_of: dict[str, str | bool],
        step: str,
    ) -> None:
        etag, config = await self._read(slot, step=step)
        present = _names(_plain(config["ViewerCertificate"]))
        if present == _names(viewer):
            return
        if present != _names(instead_of):
            raise changed_by_others(slot.key, f"of {present}", step=step)
        await self._aws.call(
            "cloudfront",
            "update_distribution",
            step=step,
            region=HOME,
            Id=slot.distribution,
            IfMatch=etag,
            DistributionConfig=config | {"ViewerCertificate": viewer},
        )


_MEMBERS = (
    "CloudFrontDefaultCertificate",
    "IAMCertificateId",
    "ACMCertificateArn",
    "SSLSupportMethod",
    "MinimumProtocolVersion",
)


def _plain(viewer: dict[str, Any]) -> dict[str, str | bool]:
    """Return what is said of a viewer certificate, without what is deprecated and says the same."""
    return {name: viewer[name] for name in _MEMBERS if viewer.get(name) not in (None, "")}


def _names(viewer: dict[str, str | bool]) -> str:
    return str(viewer.get("ACMCertificateArn") or viewer.get("IAMCertificateId") or "")
