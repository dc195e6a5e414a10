"""Windows hosts over SSH and PowerShell: the machine's certificate stores, IIS, http.sys, Remote Desktop and WinRM.

The pair comes as a PKCS#12 under a password made for it, on the standard input of a script that is always the same: neither is in
a command line, in a file or in what Windows logs of scripts. Each use of a certificate is one value, so it is the old or the new.
"""

import base64
import binascii
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, ClassVar, Literal, Self

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12
from pydantic import BaseModel, Field, model_validator

from services.provisioner.connectors import Access, Check, Part, Report, Slot
from services.provisioner.connectors.devices import name_of, prefix, told
from services.provisioner.connectors.devices.plans import OLDER, windows_binding
from services.provisioner.connectors.devices.windows_scripts import BIND, READ, STAGE, SWEEP
from services.provisioner.connectors.planning import Coming, PlannedCall, PlannedStep, in_steps
from services.provisioner.connectors.ssh import logged_in
from services.provisioner.domain import DeploymentError, Failure, Material
from shared import x509
from shared.appliances.powershell import PowerShell
from shared.ssh import Credential

Use = Literal["iis", "http.sys", "rdp", "winrm"]
_NEEDS: Mapping[Use, frozenset[str]] = {
    "iis": frozenset({"site", "binding"}),
    "http.sys": frozenset({"binding"}),
    "rdp": frozenset(),
    "winrm": frozenset(),
}
_NUMBERS: Mapping[int, Failure] = {
    0x80070005: Failure.PERMISSION_DENIED,
    0x80070070: Failure.DISK_FULL,
    0x80070056: Failure.STORE_REFUSED,
    0x80092004: Failure.NOT_FOUND,
    0x80070002: Failure.NOT_FOUND,
    0x80070490: Failure.NOT_FOUND,
}
"""HRESULTs: access denied, disk full, PKCS#12 that cannot be opened, and what is not there."""
_WORD = 0xFFFF_FFFF
_Account = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


class WindowsOptions(Part):
    """A Windows host needs no more than the way into it."""


class WindowsSlot(Slot):
    """What uses the certificate on the host."""

    use: Use = Field(
        description="A binding of an IIS site or of http.sys, Remote Desktop, or WinRM over HTTPS."
    )
    site: str | None = Field(
        None, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$", examples=["Default Web Site"]
    )
    binding: str | None = Field(
        None,
        max_length=300,
        pattern=r"^[A-Za-z0-9.:*\[\]_-]+$",
        description="Of an IIS site its binding information, `*:443:shop.example.com`; of http.sys its endpoint, `0.0.0.0:443`.",
        examples=["*:443:shop.example.com"],
    )
    store: Literal["My", "WebHosting"] = Field("My", description="The machine's store that it is put into.")
    key_readers: list[_Account] = Field(
        [],
        max_length=20,
        description="Accounts that may read the private key, beside those that may read the present one's.",
        examples=[["NT AUTHORITY\\NETWORK SERVICE"]],
    )

    @model_validator(mode="after")
    def _fits_the_use(self) -> Self:
        given = {name for name in ("site", "binding") if getattr(self, name) is not None}
        if given != _NEEDS[self.use]:
            msg = f"{self.use} takes {' and '.join(sorted(_NEEDS[self.use])) or 'neither site nor binding'}"
            raise ValueError(msg)
        if self.store != "My" and self.use != "iis":
            msg = f"{self.use} looks into the store My"
            raise ValueError(msg)
        return self

    @property
    def key(self) -> str:
        """Return what it is bound to."""
        return "/".join(filter(None, (self.use, self.site, self.binding)))

    @property
    def where(self) -> dict[str, Any]:
        """Return what scripts find it by."""
        return {"use": self.use, "site": self.site, "binding": self.binding}


class WindowsUndo(Part):
    """The thumbprints that are bound now and before."""

    new: str
    old: str | None
    old_store: str
    store: str
    ours: str


class Windows:
    """A Windows host with an OpenSSH server, and an account that is an administrator there."""

    kind: ClassVar[str] = "windows"
    summary: ClassVar[str] = (
        "IIS, http.sys, Remote Desktop and WinRM on a Windows host, over SSH and PowerShell."
    )
    options_type: ClassVar[type[Part]] = WindowsOptions
    credential_type: ClassVar[type[BaseModel]] = Credential
    secrets_go_by: ClassVar[frozenset[str]] = frozenset()
    slot_type: ClassVar[type[Slot]] = WindowsSlot
    undo_type: ClassVar[type[Part]] = WindowsUndo

    def __init__(self, shell: PowerShell) -> None:
        self._shell = shell

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access, *, options: WindowsOptions) -> AsyncIterator[Self]:  # noqa: ARG003 - there are none
        """Log in by SSH."""
        async with logged_in(access) as connection:
            yield cls(PowerShell(connection, limit=access.limits.command))

    async def check(self) -> Sequence[Check]:
        """Say whether scripts run."""
        try:
            await self._ask(READ, step="powershell", use="rdp", site=None, binding=None)
        except DeploymentError as error:
            return [Check(name="powershell", ok=False, text=str(error))]
        return [Check(name="powershell", ok=True, text="PowerShell answers.")]

    async def _ask(self, script: str, *, step: str, secret: bytes = b"", **asked: Any) -> Mapping[str, Any]:
        with told(step):
            answer = await self._shell.ask(script, answers="Done", secret=secret, **asked)
        if answer["Done"] is not True:
            number = answer.get("Number")
            failure = (
                _NUMBERS.get(number & _WORD, Failure.REJECTED)
                if isinstance(number, int)
                else Failure.REJECTED
            )
            raise DeploymentError(failure, f"Windows says: {_plain(answer.get('Message'))}", step=step)
        return answer

    @classmethod
    def plan(
        cls,
        slot: WindowsSlot,
        *,
        options: WindowsOptions,  # noqa: ARG003 - there are none
        coming: Coming,
    ) -> Sequence[PlannedStep]:
        """Say what the scripts would call: cmdlets, programs, and methods of .NET."""
        store, issuers = f"Cert:\\LocalMachine\\{slot.store}", len(coming.issuers)
        readers = ", ".join(["those of the present key", *slot.key_readers])
        calls = [
            PlannedCall(request="X509Store.Add", about=store, when="it is not there yet"),
            *[PlannedCall(request="X509Store.Add", about="Cert:\\LocalMachine\\CA")] * issuers,
            PlannedCall(request="File.SetAccessControl", about=f"the file of the key, for {readers}"),
        ]
        bind = windows_binding(slot.use, site=slot.site, binding=slot.binding, store=slot.store)
        remove = PlannedCall(request="Remove-Item -DeleteKey", about=f"{store}\\{{older}}", when=OLDER)
        return in_steps(
            stage=PlannedStep(step="stage", text=f"Import the pair into {store}.", calls=calls),
            bind=(PlannedStep(step="bind", text=f"Bind it to {slot.key}.", calls=(bind,)),),
            read_back=f"Ask what is bound to {slot.key}.",
            tidy=(remove,),
        )

    async def stage(self, slot: WindowsSlot, *, material: Material, report: Report) -> WindowsUndo:
        """Import the pair into the store, and its chain into that of intermediates."""
        bound = await self._bound(slot, step="stage")
        new = _thumbprint(material.chain[0])
        old = str(bound["Hash"]) if bound.get("Hash") else None
        told_present = await self._ask(
            STAGE,
            step="stage",
            secret=_sealed_pair(material),
            store=slot.store,
            hash=new,
            name=name_of(slot, material),
            old=old,
            readers=slot.key_readers,
            chain=[base64.b64encode(der).decode() for der in material.chain[1:]],
        )
        was = "was in" if told_present.get("Present") else "is imported into"
        report("stage", f"{new} {was} LocalMachine\\{slot.store}.")
        return WindowsUndo(
            new=new, old=old, old_store=str(bound.get("Store") or "My"), store=slot.store, ours=prefix(slot)
        )

    async def _bound(self, slot: WindowsSlot, *, step: str) -> Mapping[str, Any]:
        """Return what is bound. Raises `DeploymentError` (not_found) where there is no such binding."""
        answer = await self._ask(READ, step=step, **slot.where)
        if answer.get("Found") is not True:
            raise DeploymentError(Failure.NOT_FOUND, f"There is no {slot.key} on the host.", step=step)
        return answer

    async def bind(self, slot: WindowsSlot, *, undo: WindowsUndo, report: Report) -> None:
        """Bind the new certificate in place of the old one."""
        if (await self._bound(slot, step="bind")).get("Hash") != undo.new:
            await self._ask(BIND, step="bind", hash=undo.new, store=undo.store, **slot.where)
        report("bind", f"{slot.key} is bound to {undo.new}.")

    async def verify(self, slot: WindowsSlot, *, fingerprint: str, report: Report) -> None:
        """Look what is bound, and at the certificate in the store."""
        bound = await self._bound(slot, step="read back")
        try:
            found = x509.fingerprint(base64.b64decode(str(bound.get("Raw") or ""), validate=True))
        except binascii.Error:
            found = "unreadable"
        if found != fingerprint:
            reason = f"{slot.key} is bound to {bound.get('Hash')}, which is {found}."
            raise DeploymentError(Failure.CHANGED_BY_OTHERS, reason, step="read back")
        report("read back", f"{slot.key} is bound to {fingerprint}.")

    async def restore(self, slot: WindowsSlot, *, undo: WindowsUndo, report: Report) -> None:
        """Bind the old certificate again, and remove the new one."""
        bound = await self._bound(slot, step="restore")
        if bound.get("Hash") == undo.new != undo.old and undo.old is not None:
            await self._ask(BIND, step="restore", hash=undo.old, store=undo.old_store, **slot.where)
        report("restore", f"{slot.key} is bound to {undo.old or 'nothing'}, as before.")
        await self._sweep(undo.store, undo.ours, keep=undo.old, step="restore")

    async def clear(self, slot: WindowsSlot) -> None:
        """Remove what was imported and nothing uses."""
        try:
            await self._sweep(slot.store, prefix(slot), keep=None, step="clear")
        except DeploymentError as error:
            if (
                error.failure is not Failure.PERMISSION_DENIED
            ):  # who may not do this has imported nothing either
                raise

    async def tidy(self, *, undo: WindowsUndo) -> None:
        """Remove what we have put there before this; what others have stays."""
        await self._sweep(undo.store, undo.ours, keep=undo.new, step="tidy")

    async def _sweep(self, store: str, ours: str, *, keep: str | None, step: str) -> None:
        await self._ask(SWEEP, step=step, store=store, ours=ours, keep=keep)


def _thumbprint(der: bytes) -> str:
    return x509.load(der).fingerprint(SHA1()).hex().upper()  # noqa: S303 - it is what Windows calls a certificate by


def _sealed_pair(material: Material) -> bytes:
    """Return a password made for this, and the pair as PKCS#12 under it, in a line each."""
    password = secrets.token_hex(16).encode()
    key = load_pem_private_key(material.private_pem, None)
    pair = pkcs12.serialize_key_and_certificates(
        None,
        key,  # type: ignore[arg-type]  # renewal makes no other kinds than PKCS#12 takes
        x509.load(material.chain[0]),
        None,
        BestAvailableEncryption(password),
    )
    return password + b"\n" + base64.b64encode(pair)


def _plain(message: Any) -> str:
    text = "".join(each if each.isprintable() else " " for each in str(message or "nothing"))
    return " ".join(text.split())[:300]
