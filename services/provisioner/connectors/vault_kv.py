"""A secret in the key-value engine (version 2) of a HashiCorp Vault or an OpenBao.

By "KV secrets engine - version 2 (API)": every write is a new version, `cas` refuses it where another came between,
and an older version can be read, and so be written again: the way back needs no key of ours.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self
from urllib.parse import quote

from pydantic import BaseModel, Field

from services.provisioner.connectors import Access, Check, Part, Report, Slot
from services.provisioner.connectors.pairs import Pair, changed_by_others, leaf_in, must_hold, pair_of
from services.provisioner.connectors.planning import Coming, PlannedCall, PlannedStep, in_steps
from services.provisioner.connectors.web import failures, plain_api
from services.provisioner.domain import DeploymentError, Failure, Material
from shared.errors import Refused
from shared.vault import NAME, Vault, VaultCredential, VaultSettings, logged_in, policy_line


class VaultKvOptions(VaultSettings, Part):
    """Where Vault is, and which of its engines is written to."""

    mount: str = Field("secret", pattern=NAME, max_length=200, description="Where the engine is mounted.")


class VaultKvSlot(Slot):
    """Which secret, and which of its members; the others stay."""

    path: str = Field(
        pattern=r"^[^/\x00-\x1f?#%][^\x00-\x1f?#%]*[^/\x00-\x1f?#%]$",
        max_length=500,
        description="Inside the mount, without `data/`.",
        examples=["shop/tls"],
    )
    certificate_field: str = Field("certificate", min_length=1, max_length=100)
    key_field: str = Field("private_key", min_length=1, max_length=100)
    chain_field: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="Holds the intermediates; left out, they follow the leaf in certificate_field.",
    )

    @property
    def key(self) -> str:
        """Return the path and the member."""
        return f"{self.path}/{self.certificate_field}"

    def members(self, pair: Pair) -> dict[str, str]:
        """Return what the members shall hold."""
        certificate = pair.chain if self.chain_field is None else pair.leaf
        chain = {self.chain_field: pair.issuers} if self.chain_field is not None else {}
        return {self.certificate_field: certificate, self.key_field: pair.private_pem, **chain}

    def leaf(self, members: Mapping[str, Any]) -> str | None:
        """Return the fingerprint of the leaf in a secret."""
        return leaf_in(str(members.get(self.certificate_field) or ""))


class VaultKvUndo(Part):
    """The new pair, and the version that was the newest before; 0 where there was none."""

    new: Pair
    version: int


@dataclass(frozen=True, kw_only=True)
class _Newest:
    """The newest version; 0 and nothing where there is none, or where it was deleted."""

    version: int = 0
    members: Mapping[str, Any] = field(default_factory=dict, repr=False)


class VaultKv:
    """One mount of the engine."""

    kind: ClassVar[str] = "vault-kv"
    summary: ClassVar[str] = "A secret in a key-value engine (version 2) of HashiCorp Vault or OpenBao."
    options_type: ClassVar[type[Part]] = VaultKvOptions
    credential_type: ClassVar[type[BaseModel]] = VaultCredential
    secrets_go_by: ClassVar[frozenset[str]] = frozenset({"url", "namespace", "approle_mount", "trusted_ca"})
    slot_type: ClassVar[type[Slot]] = VaultKvSlot
    undo_type: ClassVar[type[Part]] = VaultKvUndo

    def __init__(self, vault: Vault, *, mount: str) -> None:
        self._vault = vault
        self._mount = mount

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access, *, options: VaultKvOptions) -> AsyncIterator[Self]:
        """Log into Vault."""
        credential = access.credential
        if not isinstance(credential, VaultCredential):
            msg = f"no Vault can be logged into with a {type(credential).__name__}"
            raise TypeError(msg)
        async with AsyncExitStack() as opened:
            api = await opened.enter_async_context(
                plain_api(access, options.url, trusted_ca=options.trusted_ca)
            )
            with failures("log in"):
                vault = await opened.enter_async_context(logged_in(api, options, credential))
            yield cls(vault, mount=options.mount)

    async def check(self) -> Sequence[Check]:
        """Say which policies the login has."""
        with failures("check"):
            told = await self._vault.whoami()
        policies = ", ".join(map(str, told.get("policies") or ())) or "none"
        return [Check(name="token", ok=True, text=f"Its policies: {policies}.")]

    @classmethod
    def plan(
        cls,
        slot: VaultKvSlot,
        *,
        options: VaultKvOptions,
        coming: Coming,  # noqa: ARG003 - versions have names of their own
    ) -> Sequence[PlannedStep]:
        """Say which requests would be sent."""
        path = f"{options.mount}/data/{slot.path}"
        members = ", ".join(filter(None, (slot.certificate_field, slot.key_field, slot.chain_field)))
        put = PlannedCall(request=f"POST /v1/{quote(path)}", about=f"{members}; the others stay")
        return in_steps(
            stage=PlannedStep(step="stage", text=f"Read {path}, and ask whether it may be written."),
            bind=(PlannedStep(step="bind", text="Write a new version.", calls=(put,)),),
            read_back=f"Read the newest version of {path}.",
        )

    async def stage(self, slot: VaultKvSlot, *, material: Material, report: Report) -> VaultKvUndo:
        """Read the newest version, and make sure that the login may write another."""
        newest = await self._newest(slot, step="stage")
        path = self._path(slot)
        with failures("stage"):
            told = await self._vault.write("sys/capabilities-self", {"paths": [path]})
        capabilities = told.get(path) or told.get("capabilities") or []
        wanted = "update" if newest.version else "create"
        if not {wanted, "root"} & {*capabilities}:
            line = policy_line(path, wanted)
            raise DeploymentError(
                Failure.PERMISSION_DENIED,
                f"{path}: a policy of the login lacks the line: {line}",
                step="stage",
            )
        report("stage", f"{path} is at version {newest.version}, and may be written.")
        return VaultKvUndo(new=pair_of(material), version=newest.version)

    async def bind(self, slot: VaultKvSlot, *, undo: VaultKvUndo, report: Report) -> None:
        """Write a new version, where no other came between."""
        newest, members = await self._newest(slot, step="bind"), slot.members(undo.new)
        if _holds(newest.members, members):
            report("bind", f"{slot.path} holds the new certificate already, as version {newest.version}.")
            return
        if newest.version != undo.version:
            raise changed_by_others(slot.path, slot.leaf(newest.members), step="bind")
        await self._write(slot, {**newest.members, **members}, after=newest.version, step="bind")
        report("bind", f"Wrote a new version of {slot.path}.")

    async def verify(self, slot: VaultKvSlot, *, fingerprint: str, report: Report) -> None:
        """Read the newest version back."""
        newest = await self._newest(slot, step="read back")
        must_hold(slot.path, slot.leaf(newest.members), fingerprint=fingerprint)
        report("read back", f"Version {newest.version} of {slot.path} holds {fingerprint}.")

    async def restore(self, slot: VaultKvSlot, *, undo: VaultKvUndo, report: Report) -> None:
        """Write the older version again, as the newest; delete ours where there was none."""
        newest = await self._newest(slot, step="restore")
        if not _holds(newest.members, slot.members(undo.new)):
            report("restore", f"{slot.path} does not hold the new certificate.")
            return
        if undo.version == 0:
            with failures("restore"):
                await self._vault.delete(self._path(slot))
            report("restore", f"Deleted the newest version of {slot.path}: there was none before.")
            return
        older = await self._newest(slot, step="restore", version=undo.version)
        if not older.members:
            text = f"Version {undo.version} of {slot.path} is destroyed: it cannot be put back."
            raise DeploymentError(Failure.NO_WAY_BACK, text, step="restore")
        await self._write(slot, older.members, after=newest.version, step="restore")
        report("restore", f"Wrote version {undo.version} of {slot.path} again.")

    async def clear(self, slot: VaultKvSlot) -> None:
        """Nothing was staged in Vault."""

    async def tidy(self, *, undo: VaultKvUndo) -> None:
        """Vault keeps as many versions as it is told to."""

    def _path(self, slot: VaultKvSlot) -> str:
        return f"{self._mount}/data/{slot.path}"

    async def _newest(self, slot: VaultKvSlot, *, step: str, version: int = 0) -> _Newest:
        with failures(step):
            told = await self._vault.read(self._path(slot), **({"version": version} if version else {}))
        data, metadata = (told or {}).get("data"), (told or {}).get("metadata") or {}
        if not isinstance(data, dict):
            # A deleted version still counts for `cas`; what is not there at all is version 0.
            return _Newest(version=int(metadata.get("version", 0)))
        return _Newest(version=int(metadata.get("version", 0)), members=data)

    async def _write(self, slot: VaultKvSlot, members: Mapping[str, Any], *, after: int, step: str) -> None:
        with failures(step):
            try:
                await self._vault.write(self._path(slot), {"options": {"cas": after}, "data": dict(members)})
            except Refused as error:
                if "check-and-set" in error.detail:
                    raise DeploymentError(Failure.CONFLICT, error.detail, step=step) from error
                raise


def _holds(members: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    return all(members.get(name) == value for name, value in wanted.items())
