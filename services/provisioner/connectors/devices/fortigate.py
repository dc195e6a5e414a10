"""FortiGate firewalls over the REST API of FortiOS: import a certificate, and let what uses it name the new one.

Changes are in force at once, and saved at once where `cfg-save` is automatic, as it is from the factory. Naming another
certificate is one request, so it is done or it is not.

After Fortinet's "FortiOS REST API", Monitor API (`vpn-certificate/local/import`,
`system/certificate/download`) and CMDB API (firewall/vip, vpn.ssl/settings, system/global, firewall/ssl-ssh-profile,
user/setting); the "FortiOS CLI Reference" for their fields.
"""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, cast

from pydantic import BaseModel, Field, SecretStr, model_validator

from services.provisioner.connectors import Access, Check, Part, Report, Slot
from services.provisioner.connectors.devices import WHERE, DeviceOptions, name_of, prefix, told
from services.provisioner.connectors.devices.pem import fingerprint_of, pem
from services.provisioner.connectors.devices.plans import OLDER, new_name
from services.provisioner.connectors.planning import Coming, PlannedCall, PlannedStep, in_steps
from services.provisioner.connectors.web import plain_api
from services.provisioner.domain import DeploymentError, Failure, Material
from shared.appliances.fortios import CMDB, IMPORT, LOCAL, FortiOs, Scope, object_path
from shared.appliances.refusals import Exists, InUse
from shared.errors import Conflict, Invalid, NotFound

Use = Literal["vip", "vip6", "ssl-vpn", "admin", "ssl-inspection", "authentication"]


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Where a use of a certificate is configured."""

    path: str
    field: str
    is_named: bool = False
    is_global: bool = False


_TABLES: dict[Use, _Table] = {
    "vip": _Table(path="firewall/vip", field="ssl-certificate", is_named=True),
    "vip6": _Table(path="firewall/vip6", field="ssl-certificate", is_named=True),
    "ssl-vpn": _Table(path="vpn.ssl/settings", field="servercert"),
    "admin": _Table(path="system/global", field="admin-server-cert", is_global=True),
    "ssl-inspection": _Table(path="firewall/ssl-ssh-profile", field="server-cert", is_named=True),
    "authentication": _Table(path="user/setting", field="auth-cert"),
}


class FortiGateOptions(DeviceOptions):
    """Where the FortiGate is."""


class FortiGateCredential(Part):
    """The token of a REST API administrator."""

    token: SecretStr = Field(min_length=8, max_length=500)


class FortiGateSlot(Slot):
    """What uses the certificate."""

    use: Use = Field(
        description="A virtual server (vip, vip6), the SSL VPN, the web interface (admin), the profile that protects servers "
        "(ssl-inspection), or the portal where users log in (authentication)."
    )
    name: str | None = Field(
        None,
        min_length=1,
        max_length=79,
        pattern=r"^[^\x00-\x1f]+$",
        examples=["shop"],
        description="Of a virtual server or profile.",
    )
    vdom: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_.-]+$",
        max_length=31,
        description="The virtual domain; left out, root.",
        examples=["root"],
    )

    @model_validator(mode="after")
    def _fits_the_use(self) -> Self:
        table = _TABLES[self.use]
        if table.is_named != (self.name is not None):
            msg = f"{self.use} {'needs' if table.is_named else 'has no'} name"
            raise ValueError(msg)
        if table.is_global and self.vdom is not None:
            msg = f"{self.use} is the same for all virtual domains"
            raise ValueError(msg)
        return self

    @property
    def key(self) -> str:
        """Return where the certificate is used."""
        return "/".join(filter(None, (self.scope.vdom or "global", self.use, self.name)))

    @property
    def scope(self) -> Scope:
        """Return the virtual domain, or all of them."""
        return Scope() if _TABLES[self.use].is_global else Scope(vdom=self.vdom or "root")


class FortiGateUndo(Part):
    """The certificates that are named now and before."""

    new: str
    old: str | None
    ours: str
    vdom: str | None


class FortiGate:
    """A FortiGate; each use of a certificate names it."""

    kind: ClassVar[str] = "fortigate"
    summary: ClassVar[str] = (
        "Virtual servers, SSL VPN and web interface of a FortiGate, over the REST API of FortiOS."
    )
    options_type: ClassVar[type[Part]] = FortiGateOptions
    credential_type: ClassVar[type[BaseModel]] = FortiGateCredential
    secrets_go_by: ClassVar[frozenset[str]] = WHERE
    slot_type: ClassVar[type[Slot]] = FortiGateSlot
    undo_type: ClassVar[type[Part]] = FortiGateUndo

    def __init__(self, api: FortiOs) -> None:
        self._api = api

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access, *, options: FortiGateOptions) -> AsyncIterator[Self]:
        """Take the token along, and see whether it is let in."""
        token = cast("FortiGateCredential", access.credential).token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}"}
        async with plain_api(access, options.url, headers=headers, trusted_ca=options.trusted_ca) as web:
            api = FortiOs(web)
            with told("connect"):
                await api.rows(f"{CMDB}{LOCAL}", {**Scope().params, "format": "name"})
            yield cls(api)

    async def check(self) -> Sequence[Check]:
        """Say whether the settings may be read, and whether changes are saved by themselves."""
        try:
            with told("settings"):
                settings = await self._api.one("system/global", None, scope=Scope(), fields="cfg-save")
        except DeploymentError as error:
            return [Check(name="settings", ok=False, text=str(error))]
        saves = str(settings.get("cfg-save", "automatic"))
        return [
            Check(name="settings", ok=True, text="Settings can be read."),
            Check(
                name="cfg-save",
                ok=saves == "automatic",
                text=f"Changes are saved: {saves}. A restart keeps saved ones.",
            ),
        ]

    @classmethod
    def plan(
        cls,
        slot: FortiGateSlot,
        *,
        options: FortiGateOptions,  # noqa: ARG003 - they say no more than where it is
        coming: Coming,
    ) -> Sequence[PlannedStep]:
        """Say which requests would be sent."""
        new, table = new_name(slot, coming), _TABLES[slot.use]
        calls = (
            PlannedCall(request=f"DELETE {object_path(LOCAL, new)}", about="leftovers"),
            PlannedCall(request=f"POST {IMPORT}", about=new),
        )
        point = PlannedCall(
            request=f"PUT {object_path(table.path, slot.name)}", about=f"{table.field}: {new}"
        )
        older = f"DELETE {CMDB}{LOCAL}/{prefix(slot)}{{older}}"
        return in_steps(
            stage=PlannedStep(step="stage", text=f"Import {new}.", calls=calls),
            bind=(PlannedStep(step="bind", text=f"Let {slot.key} name it.", calls=(point,)),),
            read_back=f"Ask which certificate {slot.key} names.",
            tidy=(PlannedCall(request=older, when=OLDER),),
        )

    async def stage(self, slot: FortiGateSlot, *, material: Material, report: Report) -> FortiGateUndo:
        """Import certificate, chain and key under a name of their own."""
        with told("stage"):
            old = await self._named(slot)
            new = name_of(slot, material)
            if old != new:
                new = await self._import(slot, material, name=new)
            report("stage", f"{new} is among the certificates of {slot.scope.vdom or 'all'}.")
            return FortiGateUndo(new=new, old=old, ours=prefix(slot), vdom=slot.scope.vdom)

    async def _named(self, slot: FortiGateSlot) -> str | None:
        """Return the certificate that is named; None for none. Raises `Conflict` where there are several."""
        value = await self._value(slot)
        names = (
            [str(each.get("name")) for each in value if isinstance(each, dict)]
            if isinstance(value, list)
            else [value]
        )
        if len(names) > 1:
            raise Conflict(f"{slot.key} names several certificates.", next_step="Let it name one.")
        return str(names[0]) if names and names[0] else None

    async def _value(self, slot: FortiGateSlot) -> Any:
        table = _TABLES[slot.use]
        row = await self._api.one(table.path, slot.name, scope=slot.scope, fields=table.field)
        return row.get(table.field)

    async def _import(self, slot: FortiGateSlot, material: Material, *, name: str) -> str:
        """Import a pair; return its name, or the one under which the device has the same certificate already."""
        with suppress(NotFound):  # what an attempt that was cut short has left may be without its key
            await self._api.delete(LOCAL, name, scope=slot.scope)
        document = {
            "type": "regular",
            "certname": name,
            "file_content": base64.b64encode(pem(material.chain)).decode(),
            "key_file_content": base64.b64encode(material.private_pem).decode(),
        }
        try:
            await self._api.import_pair(document, scope=slot.scope)
        except (Exists, InUse):
            # FortiOS takes no certificate twice.
            return await self._same(slot.scope, material.fingerprint)
        return name

    async def _same(self, scope: Scope, fingerprint: str) -> str:
        for each in await self._api.rows(f"{CMDB}{LOCAL}", {**scope.params, "format": "name"}):
            name = str(each.get("name"))
            if await self._fingerprint(name, scope) == fingerprint:
                return name
        raise Conflict(
            "The certificate is there, and cannot be found.", next_step="Look for it on the device."
        )

    async def _fingerprint(self, name: str, scope: Scope) -> str:
        try:
            return fingerprint_of(await self._api.certificate(name, scope=scope))
        except (NotFound, Invalid):
            return "unreadable"

    async def bind(self, slot: FortiGateSlot, *, undo: FortiGateUndo, report: Report) -> None:
        """Let what uses it name the new certificate."""
        with told("bind"):
            await self._point(slot, undo.new)
            report("bind", f"{slot.key} names {undo.new}.")

    async def _point(self, slot: FortiGateSlot, name: str) -> None:
        table, value = _TABLES[slot.use], await self._value(slot)
        # From FortiOS 7.4 on some fields are lists of names.
        wanted: Any = [{"name": name}] if isinstance(value, list) else name
        if await self._named(slot) != name:
            await self._api.change(table.path, slot.name, {table.field: wanted}, scope=slot.scope)

    async def verify(self, slot: FortiGateSlot, *, fingerprint: str, report: Report) -> None:
        """Look which certificate is named, and at it."""
        with told("read back"):
            name = await self._named(slot) or ""
            found = await self._fingerprint(name, slot.scope)
        if found != fingerprint:
            reason = f"{slot.key} names {name}, which is {found}."
            raise DeploymentError(Failure.CHANGED_BY_OTHERS, reason, step="read back")
        report("read back", f"{slot.key} names {name}, which is {fingerprint}.")

    async def restore(self, slot: FortiGateSlot, *, undo: FortiGateUndo, report: Report) -> None:
        """Let what uses it name the old certificate again, and remove the new one."""
        with told("restore"):
            if await self._named(slot) == undo.new != undo.old:
                await self._point(slot, undo.old or "")
            report("restore", f"{slot.key} names {undo.old or 'none'}, as before.")
            await self._sweep(Scope(vdom=undo.vdom), undo.ours, keep=undo.old)

    async def clear(self, slot: FortiGateSlot) -> None:
        """Remove what was imported and is not named."""
        with told("clear"):
            await self._sweep(slot.scope, prefix(slot), keep=await self._named(slot))

    async def tidy(self, *, undo: FortiGateUndo) -> None:
        """Remove the certificates that we have put there before this; what others have stays."""
        with told("tidy"):
            await self._sweep(Scope(vdom=undo.vdom), undo.ours, keep=undo.new)

    async def _sweep(self, scope: Scope, ours: str, *, keep: str | None) -> None:
        for each in await self._api.rows(f"{CMDB}{LOCAL}", {**scope.params, "format": "name"}):
            name = str(each.get("name"))
            if name.startswith(ours) and name != keep:
                with suppress(NotFound, InUse):
                    await self._api.delete(LOCAL, name, scope=scope)
