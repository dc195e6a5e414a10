"""Citrix ADC (NetScaler) over NITRO: new files beside the present ones, and the certificate-key pair updated to them.

A pair keeps its name and what it is bound to; the files that it named before stay, so that the way back is to name them again.
After Citrix's NITRO API reference (ssl/sslcertkey: add, change, link, unlink; ssl/sslvserver_sslcertkey_binding;
system/systemfile; ns/nsconfig: save) and "Install, link, and update certificates".
"""

import base64
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar, Self, cast
from urllib.parse import quote, urlsplit

from pydantic import BaseModel

from services.provisioner.connectors import Access, Check, Part, Report, Slot
from services.provisioner.connectors.devices import SHORT, WHERE, Account, name_of, prefix, told
from services.provisioner.connectors.devices.citrix_slots import (
    CitrixAdcOptions,
    CitrixAdcSlot,
    CitrixAdcUndo,
    KeptPair,
    VirtualServer,
)
from services.provisioner.connectors.devices.pem import fingerprint_of, pem
from services.provisioner.connectors.devices.plans import OLDER, new_name, nitro_file, nitro_issuers, quoted
from services.provisioner.connectors.planning import Coming, PlannedCall, PlannedStep, in_steps
from services.provisioner.connectors.web import plain_api
from services.provisioner.domain import DeploymentError, Failure, Material
from shared import x509
from shared.appliances.nitro import NitroLogin, Session
from shared.appliances.refusals import Exists
from shared.errors import Invalid, NotFound

FOLDER = "/nsconfig/ssl"
PAIRS, FILES, BINDINGS = "sslcertkey", "systemfile", "sslvserver_sslcertkey_binding"
_SAME = re.compile(r"\[certkeyName Contents, (?P<name>[^\]]+)\]")
"""How the appliance names the pair that holds the same certificate."""


class CitrixAdc:
    """A Citrix ADC; what is updated is the pair, and with it every virtual server that it is bound to."""

    kind: ClassVar[str] = "citrix-adc"
    summary: ClassVar[str] = (
        "Certificate-key pairs of a Citrix ADC (NetScaler) and their bindings, over NITRO."
    )
    options_type: ClassVar[type[Part]] = CitrixAdcOptions
    credential_type: ClassVar[type[BaseModel]] = Account
    secrets_go_by: ClassVar[frozenset[str]] = WHERE
    slot_type: ClassVar[type[Slot]] = CitrixAdcSlot
    undo_type: ClassVar[type[Part]] = CitrixAdcUndo

    def __init__(self, opened: Session) -> None:
        self._session = opened

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access, *, options: CitrixAdcOptions) -> AsyncIterator[Self]:
        """Open a session, and close it at the end: the appliance has a number of them."""
        account = cast("Account", access.credential)
        login = NitroLogin(
            host=urlsplit(options.url).hostname or "",
            username=account.username,
            password=account.password.get_secret_value(),
        )
        async with plain_api(access, options.url, trusted_ca=options.trusted_ca) as api:
            opened = Session(api, login)
            with told("connect"):
                await opened.log_in()
            try:
                yield cls(opened)
            finally:
                await opened.log_out()

    async def check(self) -> Sequence[Check]:
        """Say whether pairs may be read."""
        try:
            with told("pairs"):
                found = await self._session.all(PAIRS)
        except DeploymentError as error:
            return [Check(name="pairs", ok=False, text=str(error))]
        return [Check(name="pairs", ok=True, text=f"{len(found)} certificate-key pairs can be read.")]

    @classmethod
    def plan(
        cls,
        slot: CitrixAdcSlot,
        *,
        options: CitrixAdcOptions,  # noqa: ARG003 - they say no more than where it is
        coming: Coming,
    ) -> Sequence[PlannedStep]:
        """Say which requests would be sent."""
        new, config = new_name(slot, coming), "/nitro/v1/config"
        pair, name = f"POST {config}/{PAIRS}", slot.certkey
        calls = [
            PlannedCall(
                request=f"{pair}?action=update", about=f"{name}: {new}.cer", when="the pair is there"
            ),
            PlannedCall(request=pair, about=f"{name}: {new}.cer", when="the pair is not there yet"),
            PlannedCall(
                request=f"{pair}?action=unlink", about=name, when="it is linked to another issuer still"
            ),
            PlannedCall(request=f"{pair}?action=link", about=name, when="it is not linked to its issuer yet"),
        ]
        calls += [
            PlannedCall(
                request=f"PUT {config}/{BINDINGS}",
                about=f"{each.name}{' (SNI)' if each.sni else ''}",
                when="the pair is not bound to it yet",
            )
            for each in slot.virtual_servers
        ]
        save = PlannedCall(request=f"POST {config}/nsconfig?action=save")
        older = f"DELETE {config}/{FILES}/{prefix(slot)}{{older}}?args=filelocation:{quoted(FOLDER)}"
        files = [nitro_file(f"{new}.cer"), nitro_file(f"{new}.key"), *nitro_issuers(coming)]
        return in_steps(
            stage=PlannedStep(step="stage", text=f"Write {FOLDER}/{new}.cer and its key.", calls=files),
            bind=(
                PlannedStep(step="bind", text=f"Let {name} be made of them.", calls=calls),
                PlannedStep(step="save", text="Save the configuration.", calls=(save,)),
            ),
            read_back=f"Ask which file {name} is made of, and read it.",
            tidy=(PlannedCall(request=older, when=OLDER),),
        )

    async def stage(self, slot: CitrixAdcSlot, *, material: Material, report: Report) -> CitrixAdcUndo:
        """Write the new files, and add the issuers that are not there."""
        with told("stage"):
            present = await self._pair(slot.certkey)
            new = name_of(slot, material)
            if present is not None and present.get("passcrypt"):
                reason = f"The key of {slot.certkey} has a password, which the appliance does not tell."
                raise DeploymentError(Failure.NO_WAY_BACK, reason, step="stage")
            if present is None or present.get("cert") != f"{new}.cer":
                await self._write(f"{new}.cer", pem(material.chain[:1]))
                await self._write(f"{new}.key", material.private_pem)
            link = await self._issuers(material.chain[1:])
            report("stage", f"Wrote {FOLDER}/{new}.cer and its key.")
            return CitrixAdcUndo(
                new=new, ours=prefix(slot), link=link, old=_kept(present), **await self._to_bind(slot)
            )

    async def _pair(self, name: str) -> dict[str, Any] | None:
        with suppress(NotFound):
            return await self._session.one(PAIRS, name)
        return None

    async def _write(self, name: str, content: bytes) -> None:
        """Write a file; what an attempt that was cut short has left is written anew."""
        document = {
            "filename": name,
            "filelocation": FOLDER,
            "filecontent": base64.b64encode(content).decode(),
            "fileencoding": "BASE64",
        }
        try:
            await self._session.change("POST", FILES, {FILES: document})
        except Exists:
            await self._remove_file(name)
            await self._session.change("POST", FILES, {FILES: document})

    async def _remove_file(self, name: str) -> None:
        with suppress(NotFound):
            await self._session.change(
                "DELETE", f"{FILES}/{quote(name, safe='')}?args=filelocation:{quote(FOLDER, safe='')}"
            )

    async def _issuers(self, chain: Sequence[bytes]) -> str | None:
        """Add the pairs of the issuers, from the top, each linked to the one above; return the lowest.

        They stay: other pairs may be linked to them.
        """
        above = None
        for der in reversed(chain):
            name = f"everleaf-ca-{x509.fingerprint(der)[:SHORT]}"
            present = await self._pair(name)
            if present is None:
                await self._write(f"{name}.cer", pem([der]))
                name = await self._add_issuer(name)
                present = await self._pair(name) or {}
            if above is not None and not present.get("linkcertkeyname"):
                await self._link(name, above)
            above = name
        return above

    async def _add_issuer(self, name: str) -> str:
        """Add the pair of an issuer; return its name, or that of the one that has the same certificate."""
        try:
            await self._session.change("POST", PAIRS, {PAIRS: {"certkey": name, "cert": f"{name}.cer"}})
        except Exists as error:
            same = _SAME.search(error.detail)
            if same is None:
                raise
            await self._remove_file(f"{name}.cer")
            return same["name"]
        return name

    async def _to_bind(self, slot: CitrixAdcSlot) -> dict[str, Any]:
        replaced: dict[str, str] = {}
        bound: list[VirtualServer] = []
        for each in slot.virtual_servers:
            present = await self._bindings(each.name)
            if any(_is_bound(item, slot.certkey, sni=each.sni) for item in present):
                continue
            bound.append(each)
            default = next((item for item in present if not item.get("snicert") and not item.get("ca")), None)
            if default is not None and not each.sni:
                replaced[each.name] = str(default["certkeyname"])
        return {"replaced": replaced, "bound": bound}

    async def _bindings(self, virtual: str) -> list[dict[str, Any]]:
        await self._session.one("sslvserver", virtual)
        with suppress(NotFound):
            return await self._session.get(f"{BINDINGS}/{quote(virtual, safe='')}", "", resource=BINDINGS)
        return []

    async def bind(self, slot: CitrixAdcSlot, *, undo: CitrixAdcUndo, report: Report) -> None:
        """Let the pair name the new files, link it to its issuer, bind it where it belongs, and save."""
        with told("bind"):
            await self._point(
                slot.certkey, KeptPair(cert=f"{undo.new}.cer", key=f"{undo.new}.key", link=undo.link)
            )
            for each in slot.virtual_servers:
                if not any(
                    _is_bound(item, slot.certkey, sni=each.sni) for item in await self._bindings(each.name)
                ):
                    await self._bind(each.name, slot.certkey, sni=each.sni)
            report("bind", f"{slot.certkey} is made of {undo.new}.cer and its key.")
            await self._save(report)

    async def _point(self, name: str, wanted: KeptPair) -> None:
        """Make a pair of these files, and link it to its issuer."""
        files = {"certkey": name, "cert": wanted.cert, "key": wanted.key, "inform": wanted.inform}
        document: dict[str, Any] = {field: value for field, value in files.items() if value is not None}
        present = await self._pair(name)
        if present is None:
            await self._session.change("POST", PAIRS, {PAIRS: document})
        elif present.get("cert") != wanted.cert:
            # A new certificate may have other names: what it is for was decided when it was ordered.
            await self._session.change(
                "POST", f"{PAIRS}?action=update", {PAIRS: {**document, "nodomaincheck": True}}
            )
        # An update breaks the link to an issuer that is not the new one's.
        linked = (await self._session.one(PAIRS, name)).get("linkcertkeyname") or None
        if linked != wanted.link:
            if linked is not None:
                await self._session.change("POST", f"{PAIRS}?action=unlink", {PAIRS: {"certkey": name}})
            if wanted.link is not None:
                await self._link(name, wanted.link)

    async def _link(self, name: str, issuer: str) -> None:
        document = {"certkey": name, "linkcertkeyname": issuer}
        await self._session.change("POST", f"{PAIRS}?action=link", {PAIRS: document})

    async def _bind(self, virtual: str, pair: str, *, sni: bool) -> None:
        document = {"vservername": virtual, "certkeyname": pair, "snicert": sni}
        await self._session.change("PUT", BINDINGS, {BINDINGS: document})

    async def verify(self, slot: CitrixAdcSlot, *, fingerprint: str, report: Report) -> None:
        """Look which file the pair names, and at the certificate in it."""
        with told("read back"):
            named = str((await self._session.one(PAIRS, slot.certkey)).get("cert"))
            content = await self._session.file(named if named.startswith("/") else f"{FOLDER}/{named}")
        try:
            found = fingerprint_of(content)
        except Invalid:
            found = "unreadable"
        if found != fingerprint:
            reason = f"{slot.certkey} is made of {named}, which holds {found}."
            raise DeploymentError(Failure.CHANGED_BY_OTHERS, reason, step="read back")
        report("read back", f"{slot.certkey} is made of {named}, which is {fingerprint}.")

    async def restore(self, slot: CitrixAdcSlot, *, undo: CitrixAdcUndo, report: Report) -> None:
        """Let the pair name the old files again, bind what was bound, and remove the new files."""
        with told("restore"):
            for each in undo.bound:
                await self._unbind(each, slot.certkey, before=undo.replaced.get(each.name))
            present = await self._pair(slot.certkey)
            if present is not None and present.get("cert") == f"{undo.new}.cer":
                if undo.old is not None:
                    await self._point(slot.certkey, undo.old)
                else:
                    await self._session.change("DELETE", f"{PAIRS}/{quote(slot.certkey, safe='')}")
            report(
                "restore", f"{slot.certkey} is made of {undo.old.cert if undo.old else 'nothing'}, as before."
            )
            await self._save(report)
            await self._sweep(undo.ours)

    async def _unbind(self, each: VirtualServer, pair: str, *, before: str | None) -> None:
        present = await self._bindings(each.name)
        if not any(_is_bound(item, pair, sni=each.sni) for item in present):
            return
        if before is not None:
            await self._bind(each.name, before, sni=False)  # it takes the place of the default
            return
        arguments = f"certkeyname:{quote(pair, safe='')},snicert:{str(each.sni).lower()}"
        await self._session.change("DELETE", f"{BINDINGS}/{quote(each.name, safe='')}?args={arguments}")

    async def clear(self, slot: CitrixAdcSlot) -> None:
        """Remove the staged files."""
        with told("clear"):
            await self._sweep(prefix(slot))

    async def tidy(self, *, undo: CitrixAdcUndo) -> None:
        """Remove the files that we have put there before this."""
        with told("tidy"):
            await self._sweep(undo.ours)

    async def _sweep(self, ours: str) -> None:
        """Remove our files that no pair names: the appliance would let files go that one does."""
        pairs = await self._session.all(PAIRS)
        named = {str(each.get(field) or "").rpartition("/")[2] for each in pairs for field in ("cert", "key")}
        listed = await self._session.get(FILES, f"args=filelocation:{quote(FOLDER, safe='')}")
        for each in listed:
            name = str(each.get("filename"))
            if name.startswith(ours) and name not in named:
                await self._remove_file(name)

    async def _save(self, report: Report) -> None:
        await self._session.change("POST", "nsconfig?action=save", {"nsconfig": {}})
        report("save", "Saved the configuration.")


def _is_bound(item: dict[str, Any], pair: str, *, sni: bool) -> bool:
    return item.get("certkeyname") == pair and bool(item.get("snicert")) is sni and not item.get("ca")


def _kept(present: dict[str, Any] | None) -> KeptPair | None:
    if present is None:
        return None
    return KeptPair(
        cert=str(present.get("cert")),
        key=present.get("key") or None,
        inform=str(present.get("inform") or "PEM"),
        link=present.get("linkcertkeyname") or None,
    )
