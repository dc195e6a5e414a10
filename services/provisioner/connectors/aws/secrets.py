"""A secret of AWS Secrets Manager: the new version is staged beside, then the label AWSCURRENT is moved to it, or back.

By the Secrets Manager API reference, `PutSecretValue` (a `ClientRequestToken` makes it repeatable, `VersionStages`
keeps a version from being the current one) and `UpdateSecretVersionStage`. So the way back needs no key.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import Field

from services.provisioner.connectors import Access, Part, Report, Slot
from services.provisioner.connectors.aws.session import CALLS, AwsOptions, OfAws, aws_of
from services.provisioner.connectors.pairs import Pair, changed_by_others, leaf_in, must_hold, pair_of
from services.provisioner.connectors.planning import Coming, PlannedCall, PlannedStep, in_steps
from services.provisioner.domain import DeploymentError, Failure, Material

CURRENT = "AWSCURRENT"
STAGED = "EVERLEAF_STAGED"


class SecretsManagerSlot(Slot):
    """Which secret, and which members of its JSON object; the others stay."""

    secret_id: str = Field(
        pattern=r"^[0-9A-Za-z/_+=.@:!-]+$",
        max_length=2048,
        description="Its name or ARN.",
        examples=["shop/tls"],
    )
    certificate_field: str = Field("certificate", min_length=1, max_length=100)
    key_field: str = Field("private_key", min_length=1, max_length=100)

    @property
    def key(self) -> str:
        """Return the secret and the member."""
        return f"{self.secret_id}/{self.certificate_field}"

    def members(self, pair: Pair) -> dict[str, str]:
        """Return what the members shall hold."""
        return {self.certificate_field: pair.chain, self.key_field: pair.private_pem}


class SecretsManagerUndo(Part):
    """The new version, and the one that was current before."""

    secret_id: str
    new: str
    before: str


class AwsSecretsManager(OfAws):
    """A secret."""

    kind: ClassVar[str] = "aws-secrets-manager"
    summary: ClassVar[str] = "A secret of AWS Secrets Manager."
    options_type: ClassVar[type[Part]] = AwsOptions
    slot_type: ClassVar[type[Slot]] = SecretsManagerSlot
    undo_type: ClassVar[type[Part]] = SecretsManagerUndo

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access, *, options: AwsOptions) -> AsyncIterator[Self]:
        """Log into AWS."""
        async with aws_of(access, options) as aws:
            yield cls(aws)

    @classmethod
    def plan(
        cls,
        slot: SecretsManagerSlot,
        *,
        options: AwsOptions,  # noqa: ARG003 - they say no more than where it is
        coming: Coming,  # noqa: ARG003 - versions have names of their own
    ) -> Sequence[PlannedStep]:
        """Say which calls would be made."""
        names, secret = CALLS["secretsmanager"], slot.secret_id
        put = PlannedCall(request=names["put_secret_value"], about=f"{secret}, as {STAGED}")
        move = PlannedCall(request=names["update_secret_version_stage"], about=f"{CURRENT} of {secret}")
        untie = PlannedCall(request=names["update_secret_version_stage"], about=f"{STAGED} of {secret}")
        return in_steps(
            stage=PlannedStep(step="stage", text=f"Put a version of {secret} beside.", calls=(put,)),
            bind=(PlannedStep(step="bind", text="Make it the current one.", calls=(move,)),),
            read_back=f"Read the current version of {secret}.",
            tidy=(untie,),
        )

    async def stage(
        self, slot: SecretsManagerSlot, *, material: Material, report: Report
    ) -> SecretsManagerUndo:
        """Put the new version beside the current one."""
        before, members = await self._current(slot, step="stage")
        text = json.dumps({**members, **slot.members(pair_of(material))})
        # The same content again is the same version; another content under the same token would be refused.
        new = _token(slot, before=before, fingerprint=material.fingerprint)
        await self._aws.call(
            "secretsmanager",
            "put_secret_value",
            step="stage",
            SecretId=slot.secret_id,
            ClientRequestToken=new,
            SecretString=text,
            VersionStages=[STAGED],
        )
        report("stage", f"Put the version {new} of {slot.secret_id} beside the current one.")
        return SecretsManagerUndo(secret_id=slot.secret_id, new=new, before=before)

    async def bind(self, slot: SecretsManagerSlot, *, undo: SecretsManagerUndo, report: Report) -> None:
        """Make the new version the current one."""
        await self._move(slot, to=undo.new, off=undo.before, step="bind")
        report("bind", f"{undo.new} is the current version of {slot.secret_id}.")

    async def verify(self, slot: SecretsManagerSlot, *, fingerprint: str, report: Report) -> None:
        """Read the current version back."""
        version, members = await self._current(slot, step="read back")
        must_hold(slot.secret_id, leaf_in(members.get(slot.certificate_field)), fingerprint=fingerprint)
        report("read back", f"The version {version} of {slot.secret_id} holds {fingerprint}.")

    async def restore(self, slot: SecretsManagerSlot, *, undo: SecretsManagerUndo, report: Report) -> None:
        """Make the old version the current one again; the new one loses its labels, and is removed by AWS."""
        version, _ = await self._current(slot, step="restore")
        if version == undo.new:
            await self._move(slot, to=undo.before, off=undo.new, step="restore")
        await self._unstage(slot.secret_id, step="restore")
        report("restore", f"{undo.before} is the current version of {slot.secret_id} again.")

    async def clear(self, slot: SecretsManagerSlot) -> None:
        """Take the label from what was staged: AWS removes versions that have none."""
        await self._unstage(slot.secret_id, step="clear")

    async def tidy(self, *, undo: SecretsManagerUndo) -> None:
        """Take the label from the version that is current now; AWS keeps the one before as AWSPREVIOUS."""
        await self._unstage(undo.secret_id, step="tidy")

    async def _current(self, slot: SecretsManagerSlot, *, step: str) -> tuple[str, Mapping[str, Any]]:
        """Return the current version, and its members."""
        told = await self._aws.call(
            "secretsmanager", "get_secret_value", step=step, SecretId=slot.secret_id, VersionStage=CURRENT
        )
        try:
            members = json.loads(told.get("SecretString") or "")
        except ValueError:
            members = None
        if not isinstance(members, dict):
            text = f"{slot.secret_id} is no JSON object: make one with a member for each field."
            raise DeploymentError(Failure.NOT_SUPPORTED, text, step=step)
        return str(told["VersionId"]), members

    async def _move(self, slot: SecretsManagerSlot, *, to: str, off: str, step: str) -> None:
        version, _ = await self._current(slot, step=step)
        if version == to:
            return
        if version != off:
            raise changed_by_others(slot.secret_id, f"of the version {version}", step=step)
        await self._aws.call(
            "secretsmanager",
            "update_secret_version_stage",
            step=step,
            SecretId=slot.secret_id,
            VersionStage=CURRENT,
            MoveToVersionId=to,
            RemoveFromVersionId=off,
        )

    async def _unstage(self, secret_id: str, *, step: str) -> None:
        told = await self._aws.call("secretsmanager", "describe_secret", step=step, SecretId=secret_id)
        for version, stages in (told.get("VersionIdsToStages") or {}).items():
            if STAGED in stages:
                await self._aws.call(
                    "secretsmanager",
                    "update_secret_version_stage",
                    step=step,
                    SecretId=secret_id,
                    VersionStage=STAGED,
                    RemoveFromVersionId=version,
                )


def _token(slot: SecretsManagerSlot, *, before: str, fingerprint: str) -> str:
    """Return an id for the new version that is the same whenever the same is put after the same."""
    digest = sha256(f"{slot.key} {before} {fingerprint}".encode()).hexdigest()
    return str(UUID(digest[:32]))
