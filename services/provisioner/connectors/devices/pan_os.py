"""Palo Alto Networks firewalls over the XML API of PAN-OS: import, SSL/TLS service profile, partial commit.

Nothing is in force before a commit. We commit what our own administrator has changed and nobody else's changes, under a lock on
the configuration, and wait for the job. Our own changes are taken back one by one, and not by `revert`: that would take back what
the same account has begun elsewhere.

After Palo Alto Networks, "PAN-OS and Panorama API Usage Guide": "Import Files", "Set/Edit/Delete Configuration", "Commit"
(admin-level changes), "Get job status", and "Manage Locks for Restricting Configuration Changes".
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import ClassVar, Self, cast
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import BaseModel, Field, SecretStr, model_validator

from services.provisioner.connectors import Access, Check, Part, Report, Slot
from services.provisioner.connectors.devices import WHERE, DeviceOptions, name_of, prefix, told
from services.provisioner.connectors.devices.pem import fingerprint_of, pem
from services.provisioner.connectors.devices.plans import OLDER, locked, new_name, xml_api
from services.provisioner.connectors.planning import Coming, PlannedStep, in_steps
from services.provisioner.connectors.web import plain_api
from services.provisioner.domain import DeploymentError, Failure, Material
from shared.appliances.pan_os import PanApi, make_key, quoted
from shared.appliances.refusals import ChangeRefused, InUse, Locked
from shared.errors import Invalid, NotFound, Unavailable

_SHARED, _DEVICE = "/config/shared", "/config/devices/entry[@name='localhost.localdomain']"
_LOCK = "<request><config-lock><add><comment>Everleaf puts a certificate in place</comment></add></config-lock></request>"
_UNLOCK = "<request><config-lock><remove></remove></config-lock></request>"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class PanOsOptions(DeviceOptions):
    """Where the firewall is."""

    commit_seconds: int = Field(300, ge=10, le=3600, description="How long a commit may take.")


class Administrator(Part):
    """An administrator whose changes are committed, with a password or an API key."""

    username: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f<>&]+$", examples=["everleaf"])
    password: SecretStr | None = Field(None, min_length=1, max_length=500)
    api_key: SecretStr | None = Field(
        None, min_length=8, max_length=2000, description="In place of the password."
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.password is None) == (self.api_key is None):
            msg = "give either password or api_key"
            raise ValueError(msg)
        return self


class PanOsSlot(Slot):
    """An SSL/TLS service profile, which the web interface and GlobalProtect, say, serve the certificate of."""

    profile: str = Field(min_length=1, max_length=127, pattern=r"^[^'\"/\x00-\x1f]+$", examples=["portal"])
    vsys: str | None = Field(
        None,
        pattern=r"^vsys[0-9]+$",
        description="The virtual system that the profile is in; left out, those shared by all.",
        examples=["vsys1"],
    )

    @property
    def key(self) -> str:
        """Return where the profile is."""
        return f"{self.vsys or 'shared'}/{self.profile}"

    @property
    def root(self) -> str:
        """Return the XPath of what has certificates and profiles."""
        return _SHARED if self.vsys is None else f"{_DEVICE}/vsys/entry[@name='{self.vsys}']"

    @property
    def field(self) -> str:
        """Return the XPath of what names the certificate."""
        return f"{self.root}/ssl-tls-service-profile/entry[@name={quoted(self.profile)}]/certificate"


class PanOsUndo(Part):
    """The new certificate, and the one that the profile named before."""

    new: str
    old: str
    ours: str
    root: str
    vsys: str | None


class PanOs:
    """A firewall of its own; what Panorama pushes is Panorama's to change."""

    kind: ClassVar[str] = "pan-os"
    summary: ClassVar[str] = "SSL/TLS service profiles of a Palo Alto Networks firewall, over the XML API."
    options_type: ClassVar[type[Part]] = PanOsOptions
    credential_type: ClassVar[type[BaseModel]] = Administrator
    secrets_go_by: ClassVar[frozenset[str]] = WHERE
    slot_type: ClassVar[type[Slot]] = PanOsSlot
    undo_type: ClassVar[type[Part]] = PanOsUndo

    def __init__(self, api: PanApi, *, administrator: str, options: PanOsOptions) -> None:
        self._api = api
        self._administrator = administrator
        self._options = options

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access, *, options: PanOsOptions) -> AsyncIterator[Self]:
        """Take the key along, or have one made."""
        account = cast("Administrator", access.credential)
        async with plain_api(access, options.url, trusted_ca=options.trusted_ca) as web:
            with told("connect"):
                key = account.api_key.get_secret_value() if account.api_key is not None else ""
                if account.password is not None:
                    password = account.password.get_secret_value()
                    key = await make_key(web, username=account.username, password=password)
                api = PanApi(web, key=key)
                await api.configuration(f"{_SHARED}/ssl-tls-service-profile")
            yield cls(api, administrator=account.username, options=options)

    async def check(self) -> Sequence[Check]:
        """Say whether operational commands may be run, which locks and jobs need."""
        try:
            with told("operations"):
                await self._api.operate("<show><config-locks></config-locks></show>")
        except DeploymentError as error:
            return [Check(name="operations", ok=False, text=str(error))]
        return [Check(name="operations", ok=True, text="The configuration can be read, and its locks.")]

    @classmethod
    def plan(
        cls,
        slot: PanOsSlot,
        *,
        options: PanOsOptions,  # noqa: ARG003 - they change no request
        coming: Coming,
    ) -> Sequence[PlannedStep]:
        """Say which requests would be sent."""
        new = new_name(slot, coming)
        files = [xml_api("type=import", about=f"{each} {new}") for each in ("certificate", "private-key")]
        edit = xml_api(f"type=config&action=edit&xpath={slot.field}", about=new)
        commit = xml_api("type=commit&action=partial", about="what our own administrator has changed")
        older = _entry(slot.root, f"{prefix(slot)}{{older}}")
        sweep = xml_api(f"type=config&action=delete&xpath={older}", when=OLDER)
        take, *rest, give = locked([edit, commit])
        return in_steps(
            stage=PlannedStep(step="stage", text=f"Import {new} as a candidate.", calls=locked(files)),
            bind=(
                PlannedStep(step="bind", text=f"Let {slot.key} name it.", calls=(take, rest[0])),
                PlannedStep(step="commit", text="Commit it, and wait for the job.", calls=(rest[1], give)),
            ),
            read_back=f"Ask which certificate {slot.key} names in the running configuration.",
            tidy=locked([sweep, commit]),
        )

    async def stage(self, slot: PanOsSlot, *, material: Material, report: Report) -> PanOsUndo:
        """Import certificate, chain and key into the candidate configuration, under a name of their own."""
        with told("stage"):
            new = name_of(slot, material)
            candidate, running = await self._named(slot), await self._named(slot, in_force=True)
            if candidate not in (running, new) and not (candidate or "").startswith(prefix(slot)):
                reason = f"{slot.key} has a change that nobody has committed yet: it names {candidate}."
                raise DeploymentError(Failure.CONFLICT, reason, step="stage")
            if running is None:
                raise NotFound(f"There is no profile {slot.key} in force.", next_step="Correct the slot.")
            undo = PanOsUndo(new=new, old=running, ours=prefix(slot), root=slot.root, vsys=slot.vsys)
            if running != new:
                async with self._locked(slot.vsys):
                    await self._import(undo, material)
            report("stage", f"Imported {new} into the candidate configuration.")
            return undo

    async def _named(self, slot: PanOsSlot, *, in_force: bool = False) -> str | None:
        """Return the certificate that the profile names, in the candidate or in the running configuration."""
        found = await (self._api.running if in_force else self._api.configuration)(slot.field)
        name = (found.findtext("certificate") or "").strip() if found is not None else ""
        return name or None

    async def _import(self, undo: PanOsUndo, material: Material) -> None:
        passphrase = secrets.token_hex(16)
        where = {"certificate-name": undo.new, "format": "pem", **({"vsys": undo.vsys} if undo.vsys else {})}
        key = load_pem_private_key(material.private_pem, None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode())
        )
        await self._api.import_file("certificate", pem(material.chain), **where)
        await self._api.import_file("private-key", key, passphrase=passphrase, **where)

    @asynccontextmanager
    async def _locked(self, vsys: str | None) -> AsyncIterator[None]:
        """Keep the configuration to ourselves. A lock of our own that a killed attempt has left is ours again."""
        try:
            await self._api.operate(_LOCK, vsys=vsys)
        except Locked as error:
            own = (
                "You already own a config lock",
                f"locked by {self._administrator} ",
                f"locked by {self._administrator} (",
            )
            if not any(words in error.detail for words in own):
                raise
        try:
            yield
        finally:
            await self._unlock(vsys)

    async def _unlock(self, vsys: str | None) -> None:
        """Release the lock, unless a commit has; where the answer is lost, once more: others wait for it."""
        for _ in range(2):
            try:
                await self._api.operate(_UNLOCK, vsys=vsys)
            except Unavailable:
                continue
            except (ChangeRefused, NotFound):
                return
            else:
                return

    async def bind(self, slot: PanOsSlot, *, undo: PanOsUndo, report: Report) -> None:
        """Let the profile name the new certificate, and commit."""
        with told("bind"):
            async with self._locked(slot.vsys):
                await self._point(slot, undo.new)
                report("bind", f"{slot.key} names {undo.new} in the candidate configuration.")
                if await self._named(slot, in_force=True) != undo.new:
                    await self._commit(report)

    async def _point(self, slot: PanOsSlot, name: str) -> None:
        if await self._named(slot) != name:
            await self._api.change("edit", slot.field, f"<certificate>{escape(name)}</certificate>")

    async def _commit(self, report: Report) -> None:
        """Put in force what our administrator has changed, and wait until that has ended."""
        number = await self._api.commit(administrator=self._administrator)
        if number is None:
            report("commit", "There was nothing to commit.")
            return
        began, pause = time.monotonic(), _FIRST_PAUSE
        while not (job := await self._api.job(number)).is_over:
            if time.monotonic() - began > self._options.commit_seconds:
                raise Unavailable(
                    f"Job {number} did not end in {self._options.commit_seconds} s.",
                    next_step="Look at the tasks of the firewall.",
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        if not job.is_ok:
            raise ChangeRefused(
                f"Job {number}, the commit, failed: {job.said or 'without words'}.",
                next_step="Look at the tasks of the firewall.",
            )
        report("commit", f"Job {number} has committed it.")

    async def verify(self, slot: PanOsSlot, *, fingerprint: str, report: Report) -> None:
        """Look which certificate the running configuration's profile names, and at it."""
        with told("read back"):
            name = await self._named(slot, in_force=True)
            entry = await self._api.running(_entry(slot.root, name or ""))
        try:
            found = fingerprint_of(entry.findtext(".//public-key") or "" if entry is not None else "")
        except Invalid:
            found = "unreadable"
        if found != fingerprint:
            reason = f"{slot.key} names {name}, which is {found}."
            raise DeploymentError(Failure.CHANGED_BY_OTHERS, reason, step="read back")
        report("read back", f"{slot.key} names {name}, which is {fingerprint}.")

    async def restore(self, slot: PanOsSlot, *, undo: PanOsUndo, report: Report) -> None:
        """Let the profile name the old certificate again, remove the new one, and commit."""
        with told("restore"):
            async with self._locked(slot.vsys):
                if await self._named(slot) == undo.new:
                    await self._point(slot, undo.old)
                await self._sweep(undo, keep=undo.old)
                report("restore", f"{slot.key} names {undo.old}, as before.")
                # Where the commit has failed, nothing of it is in force, and the candidate is all there is to put right.
                if undo.old != undo.new and await self._is_in_force(slot, undo.new):
                    await self._commit(report)

    async def _is_in_force(self, slot: PanOsSlot, name: str) -> bool:
        """Return whether the running configuration has a certificate of this name."""
        return await self._api.running(_entry(slot.root, name)) is not None

    async def clear(self, slot: PanOsSlot) -> None:
        """Remove what was imported and never committed from the candidate configuration."""
        with told("clear"):
            old = await self._named(slot, in_force=True) or ""
            undo = PanOsUndo(new="", old=old, ours=prefix(slot), root=slot.root, vsys=slot.vsys)
            if await self._ours(undo, keep=old):
                async with self._locked(slot.vsys):
                    await self._sweep(undo, keep=old)

    async def tidy(self, *, undo: PanOsUndo) -> None:
        """Remove the certificate that we have put there before this, and commit that."""
        with told("tidy"):
            async with self._locked(undo.vsys):
                await self._sweep(undo, keep=undo.new)
                await self._commit(_nobody)

    async def _ours(self, undo: PanOsUndo, *, keep: str) -> list[str]:
        """Return the certificates that we have put there for the slot, but for one."""
        listed = await self._api.configuration(f"{undo.root}/certificate/entry/@name")
        names = [entry.get("name", "") for entry in listed.iter("entry")] if listed is not None else []
        return [name for name in names if name.startswith(undo.ours) and name != keep]

    async def _sweep(self, undo: PanOsUndo, *, keep: str) -> None:
        for name in await self._ours(undo, keep=keep):
            with suppress(InUse, NotFound):
                await self._api.change("delete", _entry(undo.root, name))


def _entry(root: str, name: str) -> str:
    return f"{root}/certificate/entry[@name={quoted(name)}]"


def _nobody(_step: str, _text: str) -> None:
    """Tell nobody: it is no step of a deployment."""
