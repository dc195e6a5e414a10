"""A certificate of ACM, imported again under its ARN: whatever uses it gets the new one, and nothing else changes.

By "Reimport a certificate" (AWS Certificate Manager User Guide): the ARN and its associations stay, key type and size
must stay, and the domain names may change. ACM keeps nothing of what it replaces and never shows the key of an imported
certificate, so the way back is an import of the pair that was put there before, which renewal still has; where
the certificate there is not from here, it is replaced only if the slot says that it may be.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar, Self

from pydantic import Field

from services.provisioner.connectors import Access, Part, Report, Slot
from services.provisioner.connectors.aws.session import CALLS, AwsOptions, OfAws, aws_of
from services.provisioner.connectors.pairs import (
    WITHOUT_WAY_BACK,
    Pair,
    changed_by_others,
    first_in,
    must_hold,
    pair_of,
    way_back,
)
from services.provisioner.connectors.planning import Coming, PlannedCall, PlannedStep, in_steps
from services.provisioner.domain import DeploymentError, Failure, Material
from shared import x509

ARN = r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9A-Za-z-]+$"


class AcmSlot(Slot):
    """Which certificate."""

    arn: str = Field(
        pattern=ARN,
        max_length=200,
        examples=["arn:aws:acm:eu-west-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"],
    )
    without_way_back: bool = Field(False, description=WITHOUT_WAY_BACK)

    @property
    def key(self) -> str:
        """Return the ARN."""
        return self.arn

    @property
    def region(self) -> str:
        """Return where it is."""
        return self.arn.split(":")[3]


class AcmUndo(Part):
    """The new pair, and the one that was there before, where it is known."""

    new: Pair
    found: str
    before: Pair | None = None


class AwsAcm(OfAws):
    """An imported certificate."""

    kind: ClassVar[str] = "aws-acm"
    summary: ClassVar[str] = "A certificate of AWS Certificate Manager, imported again under its ARN."
    options_type: ClassVar[type[Part]] = AwsOptions
    slot_type: ClassVar[type[Slot]] = AcmSlot
    undo_type: ClassVar[type[Part]] = AcmUndo

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access, *, options: AwsOptions) -> AsyncIterator[Self]:
        """Log into AWS."""
        async with aws_of(access, options) as aws:
            yield cls(aws)

    @classmethod
    def needs_previous(cls, slot: AcmSlot) -> bool:  # noqa: ARG003 - so it is in every slot
        """Say that the way back is the pair that was put there before."""
        return True

    @classmethod
    def plan(
        cls,
        slot: AcmSlot,
        *,
        options: AwsOptions,  # noqa: ARG003 - they say no more than where it is
        coming: Coming,  # noqa: ARG003 - the ARN stays
    ) -> Sequence[PlannedStep]:
        """Say which calls would be made."""
        put = PlannedCall(request=CALLS["acm"]["import_certificate"], about=slot.arn)
        return in_steps(
            stage=PlannedStep(step="stage", text=f"Look at {slot.arn}, and whether it could be put back."),
            bind=(PlannedStep(step="bind", text=f"Import the pair under {slot.arn}.", calls=(put,)),),
            read_back=f"Ask for {slot.arn}.",
        )

    async def stage(self, slot: AcmSlot, *, material: Material, report: Report) -> AcmUndo:
        """Look what is there, and make sure that it could be put back: ACM has no place beside it."""
        told = await self._aws.call(
            "acm", "describe_certificate", step="stage", region=slot.region, CertificateArn=slot.arn
        )
        kind = told["Certificate"].get("Type")
        if kind != "IMPORTED":
            raise DeploymentError(
                Failure.NOT_SUPPORTED,
                f"{slot.arn} is of the type {kind}: AWS renews it itself.",
                step="stage",
            )
        held = await self._leaf(slot, step="stage")
        if held is not None and _key_kind(held) != _key_kind(material.chain[0]):
            text = f"{slot.arn} has a key of another kind than the new certificate, and ACM lets none be changed."
            raise DeploymentError(Failure.NOT_SUPPORTED, text, step="stage")
        found = x509.fingerprint(held) if held is not None else None
        before = way_back(material, found=found, may_do_without=slot.without_way_back, what=slot.arn)
        way = "its pair can be imported again" if before else "there is no way back to it"
        report("stage", f"{slot.arn} holds {found}; {way}.")
        return AcmUndo(new=pair_of(material), found=found or "", before=before)

    async def bind(self, slot: AcmSlot, *, undo: AcmUndo, report: Report) -> None:
        """Import the new pair under the ARN."""
        found = await self._found(slot, step="bind")
        if found == undo.new.fingerprint:
            report("bind", f"{slot.arn} holds the new certificate already.")
            return
        if found != undo.found:
            raise changed_by_others(slot.arn, found, step="bind")
        await self._import(slot, undo.new, step="bind")
        report("bind", f"Imported the new certificate under {slot.arn}.")

    async def verify(self, slot: AcmSlot, *, fingerprint: str, report: Report) -> None:
        """Ask ACM for the certificate."""
        must_hold(slot.arn, await self._found(slot, step="read back"), fingerprint=fingerprint)
        report("read back", f"{slot.arn} holds {fingerprint}.")

    async def restore(self, slot: AcmSlot, *, undo: AcmUndo, report: Report) -> None:
        """Import the pair that was there before, where it is known."""
        found = await self._found(slot, step="restore")
        if found != undo.new.fingerprint or found == undo.found:
            report("restore", f"{slot.arn} does not hold the new certificate.")
            return
        if undo.before is None:
            text = f"{slot.arn} holds the new certificate, and nobody here has the key of {undo.found}."
            raise DeploymentError(Failure.NO_WAY_BACK, text, step="restore")
        await self._import(slot, undo.before, step="restore")
        report("restore", f"Imported {undo.found} under {slot.arn} again.")

    async def clear(self, slot: AcmSlot) -> None:
        """Nothing was staged in ACM."""

    async def tidy(self, *, undo: AcmUndo) -> None:
        """Nothing is kept in ACM."""

    async def _found(self, slot: AcmSlot, *, step: str) -> str | None:
        held = await self._leaf(slot, step=step)
        return x509.fingerprint(held) if held is not None else None

    async def _leaf(self, slot: AcmSlot, *, step: str) -> bytes | None:
        told = await self._aws.call(
            "acm", "get_certificate", step=step, region=slot.region, CertificateArn=slot.arn
        )
        return first_in(told.get("Certificate"))

    async def _import(self, slot: AcmSlot, pair: Pair, *, step: str) -> None:
        await self._aws.call(
            "acm",
            "import_certificate",
            step=step,
            region=slot.region,
            CertificateArn=slot.arn,
            **imported(pair),
        )


def _key_kind(der: bytes) -> tuple[str, int]:
    facts = x509.read(der)
    return facts.key_type, facts.key_bits


def imported(pair: Pair) -> dict[str, bytes]:
    """Return a pair as ACM takes it."""
    chain = {"CertificateChain": pair.issuers.encode()} if pair.issuers else {}
    return {"Certificate": pair.leaf.encode(), "PrivateKey": pair.private_pem.encode(), **chain}
