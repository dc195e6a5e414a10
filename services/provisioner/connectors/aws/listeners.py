"""A listener of an Application or Network Load Balancer: its default certificate, or one that it chooses by name (SNI).

By the Elastic Load Balancing API reference: `ModifyListener` takes exactly one certificate, the default;
`AddListenerCertificates` adds to the list that is chosen from by SNI, and is no error where it is there already.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from services.provisioner.connectors import Access, Part, Report, Slot
from services.provisioner.connectors.aws.keeping import Keeper, Keeping, planned_dropping, planned_keeping
from services.provisioner.connectors.aws.session import CALLS, AwsOptions, OfAws, aws_of
from services.provisioner.connectors.pairs import changed_by_others, must_hold, pair_of
from services.provisioner.connectors.planning import Coming, PlannedCall, PlannedStep, in_steps
from services.provisioner.domain import DeploymentError, Failure, Material

_LISTENER = r"^arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:listener/(app|net)/[^/\s]+/[0-9a-f]+/[0-9a-f]+$"


class ListenerSlot(Slot):
    """Which certificate of which listener."""

    listener: str = Field(
        pattern=_LISTENER,
        max_length=300,
        examples=[
            "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2"
        ],
    )
    use: Literal["default", "sni"] = "default"
    name: str | None = Field(
        None,
        min_length=1,
        max_length=253,
        description="With sni: the host name that tells this slot from others of the listener.",
        examples=["shop.example.com"],
    )
    keep_in: Keeper = Field("acm", description="Where the certificate is kept.")

    @model_validator(mode="after")
    def _has_a_name_for_sni(self) -> Self:
        if (self.use == "sni") != (self.name is not None):
            msg = "sni needs a name, and default takes none"
            raise ValueError(msg)
        return self

    @property
    def key(self) -> str:
        """Return listener and use."""
        return f"{self.listener}/{self.use}" + (f"/{self.name.lower()}" if self.name else "")

    @property
    def region(self) -> str:
        """Return where it is."""
        return self.listener.split(":")[3]

    @property
    def label(self) -> str:
        """Return what the certificates that were made for this slot are known by."""
        return sha256(self.key.encode()).hexdigest()[:24]


class ListenerUndo(Part):
    """The new certificate's ARN, and the one that was used before; nothing where there was none for the name."""

    region: str
    label: str
    new: str
    before: str | None = None


class AwsListener(OfAws):
    """A listener of a load balancer."""

    kind: ClassVar[str] = "aws-elbv2"
    summary: ClassVar[str] = "A listener of an AWS load balancer, with the certificate in ACM or IAM."
    options_type: ClassVar[type[Part]] = AwsOptions
    slot_type: ClassVar[type[Slot]] = ListenerSlot
    undo_type: ClassVar[type[Part]] = ListenerUndo

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access, *, options: AwsOptions) -> AsyncIterator[Self]:
        """Log into AWS."""
        async with aws_of(access, options) as aws:
            yield cls(aws)

    @classmethod
    def plan(
        cls,
        slot: ListenerSlot,
        *,
        options: AwsOptions,  # noqa: ARG003 - they say no more than where it is
        coming: Coming,  # noqa: ARG003 - AWS gives it its name
    ) -> Sequence[PlannedStep]:
        """Say which calls would be made."""
        keep = planned_keeping(slot.keep_in, label=slot.label)
        names, about = CALLS["elbv2"], slot.listener
        calls = [PlannedCall(request=names["modify_listener"], about=about)]
        if slot.use == "sni":
            when = "another one was used for the name"
            calls = [
                PlannedCall(request=names["add_listener_certificates"], about=about),
                PlannedCall(request=names["remove_listener_certificates"], about=about, when=when),
            ]
        return in_steps(
            stage=PlannedStep(
                step="stage", text="Keep the certificate beside the present one.", calls=(keep,)
            ),
            bind=(PlannedStep(step="bind", text=f"Let {slot.key} use it.", calls=calls),),
            read_back=f"Ask which certificate {slot.key} uses.",
            tidy=(planned_dropping(slot.keep_in),),
        )

    async def stage(self, slot: ListenerSlot, *, material: Material, report: Report) -> ListenerUndo:
        """Keep the new certificate beside the one that is used."""
        before = await self._used(slot, step="stage")
        new = await self._keeping(slot).keep(pair_of(material), keeper=slot.keep_in, step="stage")
        report("stage", f"Keep the new certificate as {new}.")
        return ListenerUndo(region=slot.region, label=slot.label, new=new, before=before)

    async def bind(self, slot: ListenerSlot, *, undo: ListenerUndo, report: Report) -> None:
        """Let the listener use the new one."""
        used = await self._used(slot, step="bind")
        if used not in (undo.before, undo.new):
            raise changed_by_others(slot.key, f"of {used}", step="bind")
        await self._use(slot, undo.new, instead_of=undo.before, step="bind")
        report("bind", f"{slot.key} uses {undo.new}.")

    async def verify(self, slot: ListenerSlot, *, fingerprint: str, report: Report) -> None:
        """Ask which certificate the listener uses, and for that."""
        used = await self._used(slot, step="read back")
        found = await self._keeping(slot).fingerprint(used, step="read back") if used else None
        must_hold(slot.key, found, fingerprint=fingerprint)
        report("read back", f"{slot.key} uses {used}, which is {fingerprint}.")

    async def restore(self, slot: ListenerSlot, *, undo: ListenerUndo, report: Report) -> None:
        """Let the listener use the old one again, and remove the new one."""
        if undo.new != undo.before:
            if await self._uses(slot, undo.new, step="restore"):
                await self._use(slot, undo.before, instead_of=undo.new, step="restore")
            await self._keeping(slot).drop(undo.new, step="restore")
        report("restore", f"{slot.key} uses {undo.before or 'no certificate of its own'} again.")

    async def clear(self, slot: ListenerSlot) -> None:
        """Remove what was made for this slot and is not used by it."""
        used = await self._used(slot, step="clear")
        await self._keeping(slot).drop_all_but(used, keeper=slot.keep_in, step="clear")

    async def tidy(self, *, undo: ListenerUndo) -> None:
        """Remove the old certificate, where it was made here for this slot and nobody else uses it."""
        if undo.before is not None and undo.before != undo.new:
            keeping = Keeping(self._aws, region=undo.region, label=undo.label)
            await keeping.drop(undo.before, step="tidy")

    def _keeping(self, slot: ListenerSlot) -> Keeping:
        return Keeping(self._aws, region=slot.region, label=slot.label)

    async def _used(self, slot: ListenerSlot, *, step: str) -> str | None:
        """Return the certificate that the slot uses: the default, or that of SNI which was made for it or covers its name."""
        if slot.use == "default":
            told = await self._aws.call(
                "elbv2", "describe_listeners", step=step, region=slot.region, ListenerArns=[slot.listener]
            )
            listeners = told["Listeners"]
            certificates = listeners[0].get("Certificates") if listeners else None
            if not certificates:
                text = f"{slot.listener} is no listener with a certificate."
                raise DeploymentError(Failure.NOT_FOUND, text, step=step)
            return str(certificates[0]["CertificateArn"])
        arns = [each["CertificateArn"] async for each in self._by_name(slot, step=step)]
        ours = {each async for each in self._keeping(slot).made(keeper=slot.keep_in, step=step)}
        own = [arn for arn in arns if arn in ours]
        # After a cut there may be two of ours; the newer was added last.
        return own[-1] if own else await self._covering(slot, arns, step=step)

    async def _uses(self, slot: ListenerSlot, arn: str, *, step: str) -> bool:
        if slot.use == "default":
            return await self._used(slot, step=step) == arn
        return arn in [each["CertificateArn"] async for each in self._by_name(slot, step=step)]

    async def _by_name(self, slot: ListenerSlot, *, step: str) -> AsyncIterator[dict[str, Any]]:
        marker: dict[str, str] = {}
        while True:
            told = await self._aws.call(
                "elbv2",
                "describe_listener_certificates",
                step=step,
                region=slot.region,
                ListenerArn=slot.listener,
                **marker,
            )
            for each in told["Certificates"]:
                if not each.get("IsDefault"):
                    yield each
            if not told.get("NextMarker"):
                return
            marker = {"Marker": told["NextMarker"]}

    async def _covering(self, slot: ListenerSlot, arns: list[str], *, step: str) -> str | None:
        """Return the certificate that was there for the name before we came."""
        for arn in arns:
            if ":acm:" not in arn:
                continue
            told = await self._aws.call(
                "acm", "describe_certificate", step=step, region=slot.region, CertificateArn=arn
            )
            names = told["Certificate"].get("SubjectAlternativeNames") or []
            if slot.name and slot.name.lower() in [name.lower() for name in names]:
                return arn
        return None

    async def _use(self, slot: ListenerSlot, arn: str | None, *, instead_of: str | None, step: str) -> None:
        where = {"region": slot.region, "step": step, "ListenerArn": slot.listener}
        if slot.use == "default":
            await self._aws.call("elbv2", "modify_listener", Certificates=[{"CertificateArn": arn}], **where)
            return
        if arn is not None:
            await self._aws.call(
                "elbv2", "add_listener_certificates", Certificates=[{"CertificateArn": arn}], **where
            )
        if instead_of is not None and instead_of != arn:
            await self._aws.call(
                "elbv2",
                "remove_listener_certificates",
                Certificates=[{"CertificateArn": instead_of}],
                **where,
            )
