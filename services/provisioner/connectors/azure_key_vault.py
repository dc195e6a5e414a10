"""A certificate of an Azure Key Vault: each import is a new version, and the newest is what everybody uses.

By the Key Vault REST API 7.4, "Import Certificate" and "Get Certificate". There is no way to make an older version the
current one again, so the way back is an import of the pair that was put there before, which renewal still has; where
the certificate there is not from here, it is replaced only if the slot says that it may be.
"""

import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar, Self, cast
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.serialization import NoEncryption, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import (
    PKCS12PrivateKeyTypes,
    serialize_key_and_certificates,
)
from pydantic import BaseModel, Field

from services.provisioner.connectors import Access, Check, Part, Report, Slot
from services.provisioner.connectors.pairs import (
    WITHOUT_WAY_BACK,
    Pair,
    changed_by_others,
    must_hold,
    pair_of,
    way_back,
)
from services.provisioner.connectors.planning import Coming, PlannedCall, PlannedStep, in_steps
from services.provisioner.connectors.web import failures, plain_api
from services.provisioner.domain import DeploymentError, Failure, Material
from shared import x509
from shared.clouds.key_vault import (
    API_VERSION,
    KeyVaultCredential,
    VaultSettings,
    application_of,
    forbidden,
    token_of,
)
from shared.tokens import Api, RenewingApi

_PEM = "application/x-pem-file"
_PKCS12 = "application/x-pkcs12"


class KeyVaultOptions(VaultSettings, Part):
    """Which vault, and which application asks."""


class KeyVaultSlot(Slot):
    """Which certificate."""

    name: str = Field(pattern=r"^[0-9A-Za-z-]{1,127}$", examples=["shop"])
    without_way_back: bool = Field(False, description=WITHOUT_WAY_BACK)

    @property
    def key(self) -> str:
        """Return its path."""
        return f"certificates/{self.name.lower()}"


class KeyVaultUndo(Part):
    """The new pair, the leaf that was current before, and its pair where it is known."""

    new: Pair
    found: str | None = None
    before: Pair | None = None
    content_type: str
    """As what the vault keeps it."""


class AzureKeyVault:
    """A vault."""

    kind: ClassVar[str] = "azure-key-vault"
    summary: ClassVar[str] = "A certificate of an Azure Key Vault, imported as a new version."
    options_type: ClassVar[type[Part]] = KeyVaultOptions
    credential_type: ClassVar[type[BaseModel]] = KeyVaultCredential
    secrets_go_by: ClassVar[frozenset[str]] = frozenset(
        {"vault", "tenant", "client_id", "authority", "trusted_ca"}
    )
    slot_type: ClassVar[type[Slot]] = KeyVaultSlot
    undo_type: ClassVar[type[Part]] = KeyVaultUndo

    def __init__(self, api: Api) -> None:
        self._api = api

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access, *, options: KeyVaultOptions) -> AsyncIterator[Self]:
        """Open vault and authority; a token is asked for when it is needed."""
        application = application_of(options, cast("KeyVaultCredential", access.credential))
        async with AsyncExitStack() as opened:
            vault, authority = [
                await opened.enter_async_context(plain_api(access, url, trusted_ca=options.trusted_ca))
                for url in (options.vault, options.authority)
            ]
            host = urlsplit(options.vault).hostname or ""
            make = partial(token_of, vault, authority, application, host=host)
            opened_vault = cls(RenewingApi(vault, make=make))
            await opened_vault.log_in()
            yield opened_vault

    @classmethod
    def needs_previous(cls, slot: KeyVaultSlot) -> bool:  # noqa: ARG003 - so it is in every slot
        """Say that the way back is the pair that was put there before."""
        return True

    async def log_in(self) -> None:
        """Ask something, so that the private key is asked for only when the vault has let us in."""
        params = {"api-version": API_VERSION, "maxresults": "1"}
        with failures("connect"):
            # Who may import need not be one who may list.
            await self._api.ask("GET", "/certificates", params=params, accepted={HTTPStatus.FORBIDDEN})

    async def check(self) -> Sequence[Check]:
        """Ask for a page of the list: that needs a token, and the right to read."""
        await self._ask("GET", "/certificates", step="check", params={"maxresults": "1"})
        return [Check(name="certificates", ok=True, text="The vault lists its certificates.")]

    @classmethod
    def plan(
        cls,
        slot: KeyVaultSlot,
        *,
        options: KeyVaultOptions,  # noqa: ARG003 - they say no more than where it is
        coming: Coming,  # noqa: ARG003 - versions have names of their own
    ) -> Sequence[PlannedStep]:
        """Say which requests would be sent."""
        put = PlannedCall(request=f"POST /certificates/{slot.name}/import")
        return in_steps(
            stage=PlannedStep(step="stage", text=f"Look at {slot.key}, and whether it could be put back."),
            bind=(PlannedStep(step="bind", text="Import the pair as a new version.", calls=(put,)),),
            read_back=f"Ask for the current version of {slot.key}.",
        )

    async def stage(self, slot: KeyVaultSlot, *, material: Material, report: Report) -> KeyVaultUndo:
        """Look what is there, and make sure that it could be put back: a vault has no place beside it."""
        bundle = await self._bundle(slot, step="stage")
        found = _leaf(bundle)
        before = way_back(material, found=found, may_do_without=slot.without_way_back, what=slot.key)
        policy = (bundle or {}).get("policy") or {}
        content_type = (policy.get("secret_props") or {}).get("contentType") or _PKCS12
        way = "its pair can be imported again" if before else "there is no way back to it"
        report("stage", f"{slot.key} holds {found}; {way}." if found else f"{slot.key} is new.")
        return KeyVaultUndo(new=pair_of(material), found=found, before=before, content_type=content_type)

    async def bind(self, slot: KeyVaultSlot, *, undo: KeyVaultUndo, report: Report) -> None:
        """Import the new pair."""
        found = _leaf(await self._bundle(slot, step="bind"))
        if found == undo.new.fingerprint:
            report("bind", f"{slot.key} holds the new certificate already.")
            return
        if found != undo.found:
            raise changed_by_others(slot.key, found, step="bind")
        version = await self._import(slot, undo.new, content_type=undo.content_type, step="bind")
        report("bind", f"Imported the new certificate as {version}.")

    async def verify(self, slot: KeyVaultSlot, *, fingerprint: str, report: Report) -> None:
        """Ask for the current version."""
        must_hold(slot.key, _leaf(await self._bundle(slot, step="read back")), fingerprint=fingerprint)
        report("read back", f"{slot.key} holds {fingerprint}.")

    async def restore(self, slot: KeyVaultSlot, *, undo: KeyVaultUndo, report: Report) -> None:
        """Import the pair that was there before as the newest version; delete what was not there."""
        found = _leaf(await self._bundle(slot, step="restore"))
        if found != undo.new.fingerprint or found == undo.found:
            report("restore", f"{slot.key} does not hold the new certificate.")
        elif undo.found is None:
            await self._ask("DELETE", f"/certificates/{slot.name}", step="restore")
            report("restore", f"Deleted {slot.key}, which was not there before.")
        elif undo.before is None:
            text = f"{slot.key} holds the new certificate, and nobody here has the key of {undo.found}."
            raise DeploymentError(Failure.NO_WAY_BACK, text, step="restore")
        else:
            version = await self._import(slot, undo.before, content_type=undo.content_type, step="restore")
            report("restore", f"Imported {undo.found} again, as {version}.")

    async def clear(self, slot: KeyVaultSlot) -> None:
        """Nothing was staged in the vault."""

    async def tidy(self, *, undo: KeyVaultUndo) -> None:
        """A vault keeps all versions."""

    async def _bundle(self, slot: KeyVaultSlot, *, step: str) -> dict[str, Any] | None:
        return await self._ask("GET", f"/certificates/{slot.name}", step=step, may_lack=True)

    async def _import(self, slot: KeyVaultSlot, pair: Pair, *, content_type: str, step: str) -> str:
        body = {
            "value": _pem(pair) if content_type == _PEM else _pkcs12(pair),
            "policy": {
                "key_props": {"exportable": True, "reuse_key": False},
                "secret_props": {"contentType": content_type},
            },
            "tags": {"managed-by": "everleaf"},
        }
        told = await self._ask("POST", f"/certificates/{slot.name}/import", step=step, json=body)
        return urlsplit(str((told or {}).get("id", ""))).path.lstrip("/")

    async def _ask(
        self, method: str, path: str, *, step: str, may_lack: bool = False, **question: Any
    ) -> dict[str, Any] | None:
        params = {"api-version": API_VERSION, **question.pop("params", {})}
        accepted = {HTTPStatus.FORBIDDEN} | ({HTTPStatus.NOT_FOUND} if may_lack else set())
        with failures(step):
            answer = await self._api.ask(method, path, accepted=accepted, params=params, **question)
            if answer.status == HTTPStatus.FORBIDDEN:
                raise forbidden(path, answer)
            if answer.status == HTTPStatus.NOT_FOUND:
                return None
            told: dict[str, Any] = answer.json()
            return told


def _leaf(bundle: dict[str, Any] | None) -> str | None:
    try:
        der = base64.b64decode(str((bundle or {}).get("cer") or ""), validate=True)
    except (binascii.Error, ValueError):
        return None
    return x509.fingerprint(der) if der else None


def _pem(pair: Pair) -> str:
    return pair.private_pem + pair.chain


def _pkcs12(pair: Pair) -> str:
    """Return a PKCS#12 file without a password in base64: TLS protects it on its way, and the vault keeps it."""
    key = cast("PKCS12PrivateKeyTypes", load_pem_private_key(pair.private_pem.encode(), None))
    leaf, *issuers = [x509.load(der) for der in x509.from_pem(pair.chain)]
    packed = serialize_key_and_certificates(None, key, leaf, issuers or None, NoEncryption())
    return base64.b64encode(packed).decode()
