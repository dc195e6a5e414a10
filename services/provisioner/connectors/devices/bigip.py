"""F5 BIG-IP over iControl REST: certificate, key and chain in one transaction, then the client SSL profile in another.

After F5's iControl REST API reference (sys/file/ssl-cert, sys/file/ssl-key, ltm/profile/client-ssl, ltm/virtual, sys/config,
cm) and its user guide, "About the iControl REST transaction model".
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar, Self, cast
from urllib.parse import urlsplit

from pydantic import BaseModel

from services.provisioner.connectors import Access, Check, Part, Report, Slot
from services.provisioner.connectors.devices import WHERE, Account, name_of, prefix, told
from services.provisioner.connectors.devices.bigip_plans import plan_big_ip
from services.provisioner.connectors.devices.bigip_slots import (
    CERTIFICATES,
    ENDINGS,
    KEYS,
    PROFILES,
    VIRTUALS,
    BigIpOptions,
    BigIpSlot,
    BigIpUndo,
    KeptPair,
    object_at,
    upload_name,
)
from services.provisioner.connectors.devices.pem import pem
from services.provisioner.connectors.planning import Coming, PlannedStep
from services.provisioner.connectors.web import plain_api
from services.provisioner.domain import DeploymentError, Failure, Material
from shared.appliances.bigip import FOLDER, BigIpLogin, Change, Session, at
from shared.appliances.refusals import InUse
from shared.documents import revealed
from shared.errors import NotFound
from shared.web import NotPermitted

_ENTRY = "everleaf"
"""The pair's name in a profile that has none of its own yet."""


class BigIp:
    """A BIG-IP; its client SSL profiles are what virtual servers shake hands with."""

    kind: ClassVar[str] = "f5-bigip"
    summary: ClassVar[str] = "Client SSL profiles of an F5 BIG-IP, over iControl REST, in transactions."
    options_type: ClassVar[type[Part]] = BigIpOptions
    credential_type: ClassVar[type[BaseModel]] = Account
    secrets_go_by: ClassVar[frozenset[str]] = WHERE | {"login_provider"}
    slot_type: ClassVar[type[Slot]] = BigIpSlot
    undo_type: ClassVar[type[Part]] = BigIpUndo

    def __init__(self, opened: Session, options: BigIpOptions) -> None:
        self._session = opened
        self._options = options

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access, *, options: BigIpOptions) -> AsyncIterator[Self]:
        """Log in for a token, and give it back at the end."""
        account = cast("Account", access.credential)
        login = BigIpLogin(
            host=urlsplit(options.url).hostname or "",
            username=account.username,
            password=account.password.get_secret_value(),
            provider=options.login_provider,
        )
        async with plain_api(access, options.url, trusted_ca=options.trusted_ca) as api:
            opened = Session(api, login)
            with told("connect"):
                await opened.log_in()
            try:
                yield cls(opened, options)
            finally:
                await opened.log_out()

    async def check(self) -> Sequence[Check]:
        """Say whether profiles and certificates may be read."""
        checks = []
        for name, collection in (("profiles", PROFILES), ("certificates", CERTIFICATES)):
            try:
                with told(name):
                    found = await self._session.get(
                        f"/mgmt/tm/{collection}", select="fullPath", **{"$top": 1}
                    )
            except DeploymentError as error:
                checks.append(Check(name=name, ok=False, text=str(error)))
            else:
                checks.append(
                    Check(name=name, ok=True, text=f"{found.get('totalItems', 'Some')} can be read.")
                )
        return checks

    @classmethod
    def plan(cls, slot: BigIpSlot, *, options: BigIpOptions, coming: Coming) -> Sequence[PlannedStep]:
        """Say which requests would be sent."""
        return plan_big_ip(slot, options=options, coming=coming)

    async def stage(self, slot: BigIpSlot, *, material: Material, report: Report) -> BigIpUndo:
        """Upload the files, and make the objects of them in one transaction."""
        with told("stage"):
            profile = await self._session.get(at(PROFILES, slot.profile))
            new = f"{slot.folder}/{name_of(slot, material)}"
            undo = await self._undo(slot, profile, new=new)
            if undo.old is not None and undo.old.cert == f"{new}.crt":
                report("stage", f"{slot.profile} has this certificate already.")
                return undo
            await self._remove(new)
            await self._make(slot, new, material)
            report("stage", f"Made {new}.crt, its key and its chain in one transaction.")
            return undo

    async def _undo(self, slot: BigIpSlot, profile: dict[str, Any], *, new: str) -> BigIpUndo:
        entries = _entries(profile)
        entry = _entry(slot, entries)
        old = entries.get(entry)
        return BigIpUndo(
            new=new,
            ours=f"{slot.folder}/{prefix(slot)}",
            entry=entry,
            old=KeptPair.model_validate({name: old.get(name) for name in KeptPair.model_fields})
            if old
            else None,
            inherits=profile.get("inheritCertkeychain") == "true",
            attached=slot.virtual is None or slot.profile in await self._profiles(slot.virtual),
        )

    async def _profiles(self, virtual: str) -> set[str]:
        await self._session.get(at(VIRTUALS, virtual))
        found = await self._session.all(f"{at(VIRTUALS, virtual)}/profiles")
        return {str(each.get("fullPath")) for each in found}

    async def _make(self, slot: BigIpSlot, new: str, material: Material) -> None:
        files = {
            ".crt": (CERTIFICATES, pem(material.chain[:1])),
            ".key": (KEYS, material.private_pem),
            "-chain.crt": (CERTIFICATES, pem(material.chain[1:])),
        }
        folder, _, name = new.rpartition("/")
        changes = []
        try:
            for ending, (collection, content) in files.items():
                if content:
                    source = await self._session.upload(upload_name(slot, ending), content)
                    made = {
                        "name": name + ending,
                        "partition": folder.removeprefix("/"),
                        "sourcePath": source,
                    }
                    changes.append(Change(method="POST", path=f"/mgmt/tm/{collection}", document=made))
            await self._session.commit(changes)
        finally:
            await self._forget(slot)

    async def _forget(self, slot: BigIpSlot) -> None:
        """Remove the uploads: the device copies them, and would keep them, private key and all."""
        for ending in ENDINGS:
            command = {"command": "run", "utilCmdArgs": f"{FOLDER}/{upload_name(slot, ending)}"}
            try:
                await self._session.send("POST", "/mgmt/tm/util/unix-rm", json=command)
            except (NotPermitted, NotFound):
                # Who may not run that may still upload: then nothing but an empty line is left of it.
                await self._session.upload(upload_name(slot, ending), b"\n")

    async def bind(self, slot: BigIpSlot, *, undo: BigIpUndo, report: Report) -> None:
        """Let the profile name the new objects, and the virtual server the profile, in one transaction; save."""
        with told("bind"):
            profile = await self._session.get(at(PROFILES, slot.profile))
            new = await self._pair(undo.new)
            changes = self._exchange(slot, profile, entry=undo.entry, pair=new, inherits=False)
            if slot.virtual is not None and slot.profile not in await self._profiles(slot.virtual):
                document = {"name": slot.profile, "context": "clientside"}
                path = f"{at(VIRTUALS, slot.virtual)}/profiles"
                changes.append(Change(method="POST", path=path, document=document))
            if changes:
                await self._session.commit(changes)
            report("bind", f"{slot.profile} names {new.cert}.")
            await self._save(report)

    async def _pair(self, stem: str) -> KeptPair:
        """Return the pair of objects that we have made; the chain only where there is one."""
        chain = f"{stem}-chain.crt"
        try:
            await self._session.get(at(CERTIFICATES, chain), select="fullPath")
        except NotFound:
            return KeptPair(cert=f"{stem}.crt", key=f"{stem}.key")
        return KeptPair(cert=f"{stem}.crt", key=f"{stem}.key", chain=chain)

    @staticmethod
    def _exchange(
        slot: BigIpSlot, profile: dict[str, Any], *, entry: str, pair: KeptPair | None, inherits: bool
    ) -> list[Change]:
        """Return what makes the profile name this pair, and the others as they are; nothing where it does so already."""
        entries = _entries(profile)
        if pair is not None and entries.get(entry, {}).get("cert") == pair.cert:
            return []
        wanted = {name: each for name, each in entries.items() if name != entry}
        if pair is not None:
            wanted[entry] = {"name": entry, **revealed(pair)}
        document = (
            {"inheritCertkeychain": "true"}
            if inherits
            else {"inheritCertkeychain": "false", "certKeyChain": [*wanted.values()]}
        )
        return [Change(method="PATCH", path=at(PROFILES, slot.profile), document=document)]

    async def verify(self, slot: BigIpSlot, *, fingerprint: str, report: Report) -> None:
        """Look which certificate the profile names, and at its fingerprint."""
        with told("read back"):
            entries = _entries(await self._session.get(at(PROFILES, slot.profile)))
            cert = str(entries.get(_entry(slot, entries), {}).get("cert"))
            found = await self._session.get(at(CERTIFICATES, cert), select="fingerprint")
        # Versions before 14.0 tell no fingerprint; the name that we gave it has the first half of it.
        said = str(found.get("fingerprint", "")).removeprefix("SHA256/").replace(":", "").lower()
        if said != fingerprint if said else fingerprint[:12] not in cert:
            raise DeploymentError(
                Failure.CHANGED_BY_OTHERS,
                f"{slot.profile} names {cert} ({said or 'unknown'}).",
                step="read back",
            )
        report("read back", f"{slot.profile} names {cert}, which is {fingerprint}.")

    async def restore(self, slot: BigIpSlot, *, undo: BigIpUndo, report: Report) -> None:
        """Let the profile name the old objects again, in one transaction, and remove the new ones."""
        with told("restore"):
            profile = await self._session.get(at(PROFILES, slot.profile))
            changes = []
            if _entries(profile).get(undo.entry, {}).get("cert") == f"{undo.new}.crt":
                changes = self._exchange(
                    slot, profile, entry=undo.entry, pair=undo.old, inherits=undo.inherits
                )
            if (
                slot.virtual is not None
                and not undo.attached
                and slot.profile in await self._profiles(slot.virtual)
            ):
                path = f"{at(VIRTUALS, slot.virtual)}/profiles/{slot.profile.replace('/', '~')}"
                changes.insert(0, Change(method="DELETE", path=path))
            if changes:
                await self._session.commit(changes)
            report(
                "restore", f"{slot.profile} names {undo.old.cert if undo.old else 'no certificate of ours'}."
            )
            await self._sweep(undo.ours, keep=undo.old.cert if undo.old else None)
            await self._save(report)

    async def clear(self, slot: BigIpSlot) -> None:
        """Remove what was staged and no profile names."""
        with told("clear"):
            await self._sweep(f"{slot.folder}/{prefix(slot)}", keep=None)
            with suppress(NotPermitted):  # who may not do this has staged nothing either
                await self._forget(slot)
                await self._save(_nobody)

    async def tidy(self, *, undo: BigIpUndo) -> None:
        """Remove what we have put there before this; what others have stays."""
        with told("tidy"):
            await self._sweep(undo.ours, keep=f"{undo.new}.crt")
            # Even where there was nothing: a saved configuration that names removed files is not loaded at a restart.
            await self._save(_nobody)

    async def _sweep(self, ours: str, *, keep: str | None) -> None:
        for collection in (CERTIFICATES, KEYS):
            found = await self._session.all(f"/mgmt/tm/{collection}", select="fullPath")
            stems = {_stem(path) for each in found if (path := str(each.get("fullPath"))).startswith(ours)}
            for stem in sorted(stems - ({_stem(keep)} if keep else set())):
                await self._remove(stem)

    async def _remove(self, stem: str) -> None:
        """Remove the objects of one certificate, where there are any and nothing names them."""
        for ending in ENDINGS:
            try:
                await self._session.send("DELETE", object_at(stem + ending))
            except (NotFound, InUse):
                continue

    async def _save(self, report: Report) -> None:
        await self._session.send("POST", "/mgmt/tm/sys/config", json={"command": "save"})
        report("save", "Saved the configuration.")
        if self._options.sync_group is not None:
            command = {"command": "run", "utilCmdArgs": f"config-sync to-group {self._options.sync_group}"}
            await self._session.send("POST", "/mgmt/tm/cm", json=command)
            report("synchronise", f"Synchronised the configuration to {self._options.sync_group}.")


def _entries(profile: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the pairs that a profile names itself, by their names; of what is inherited it has none of its own."""
    if profile.get("inheritCertkeychain") == "true":
        return {}
    found = profile.get("certKeyChain")
    told = ("name", "cert", "key", "chain", "passphrase", "usage")
    return {
        str(each.get("name")): {name: each[name] for name in told if name in each}
        for each in (found if isinstance(found, list) else [])
        if isinstance(each, dict)
    }


def _entry(slot: BigIpSlot, entries: dict[str, dict[str, Any]]) -> str:
    if slot.entry is not None:
        return slot.entry
    if len(entries) > 1:
        raise DeploymentError(
            Failure.CONFLICT,
            f"{slot.profile} has several pairs ({', '.join(sorted(entries))}): name one in `entry` of the slot.",
            step="stage",
        )
    return next(iter(entries), _ENTRY)


def _stem(path: str) -> str:
    return path.removesuffix(".key").removesuffix("-chain.crt").removesuffix(".crt")


def _nobody(_step: str, _text: str) -> None:
    """Tell nobody: it is no step of a deployment."""
