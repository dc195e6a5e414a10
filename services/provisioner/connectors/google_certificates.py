"""A map entry of Google Certificate Manager: it names a new self-managed certificate, and the old one stays beside.

So the way back is the old name, and needs no key. By the REST reference of Certificate Manager v1:
`projects.locations.certificates.create` (`selfManaged`), `certificateMapEntries.patch` (`updateMask=certificates`), both of
which answer with a long-running operation.
"""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from typing import Any, ClassVar, Self, cast

import anyio
from pydantic import BaseModel, Field

from services.provisioner.connectors import Access, Check, Part, Report, Slot
from services.provisioner.connectors.pairs import Pair, changed_by_others, leaf_in, must_hold, pair_of
from services.provisioner.connectors.planning import Coming, PlannedCall, PlannedStep, in_steps
from services.provisioner.connectors.web import failures, plain_api
from services.provisioner.domain import DeploymentError, Failure, Material
from shared.clouds.google import (
    Address,
    GoogleCredential,
    TokenSettings,
    allowed_origin,
    service_account_token,
)
from shared.tokens import Api, RenewingApi

_POLL = 1.0
"""Seconds between two looks at an operation."""
_PATIENCE = 120.0
_LABEL = "everleaf-slot"
_OF_FINGERPRINT = 16
_NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_OPERATION = re.compile(r"projects/[^/\s]+/locations/[a-z0-9-]+/operations/[0-9A-Za-z_.-]+")


class GoogleOptions(TokenSettings, Part):
    """Which project."""

    certificate_manager_url: Address = Field(
        "https://certificatemanager.googleapis.com", description="Another one for Private Service Connect."
    )


class GoogleSlot(Slot):
    """Which of the certificates that an entry of a certificate map names."""

    certificate_map: str = Field(pattern=_NAME, examples=["shop"])
    entry: str = Field(pattern=_NAME, examples=["www"])
    position: int = Field(0, ge=0, le=3, description="Where the entry names several, of different key types.")

    @property
    def key(self) -> str:
        """Return map, entry and position."""
        return f"certificateMaps/{self.certificate_map}/certificateMapEntries/{self.entry}/{self.position}"

    @property
    def path(self) -> str:
        """Return the entry's path in its location."""
        return f"certificateMaps/{self.certificate_map}/certificateMapEntries/{self.entry}"

    @property
    def label(self) -> str:
        """Return what the certificates that were made for this slot are known by."""
        return sha256(self.key.encode()).hexdigest()[:24]


def _own_name(slot: GoogleSlot, part: str) -> str:
    return f"everleaf-{slot.label[:8]}-{part}"


class GoogleUndo(Part):
    """The new certificate's name, and that of the one that was named before."""

    label: str
    new: str
    before: str


class GoogleCertificateManager:
    """The certificate maps of a project."""

    kind: ClassVar[str] = "google-certificate-manager"
    summary: ClassVar[str] = "A map entry of Google Certificate Manager: it names a new certificate."
    options_type: ClassVar[type[Part]] = GoogleOptions
    credential_type: ClassVar[type[BaseModel]] = GoogleCredential
    secrets_go_by: ClassVar[frozenset[str]] = frozenset(
        {"token_uri", "certificate_manager_url", "trusted_ca"}
    )
    slot_type: ClassVar[type[Slot]] = GoogleSlot
    undo_type: ClassVar[type[Part]] = GoogleUndo

    def __init__(self, api: Api, *, project: str) -> None:
        self._api = api
        # Certificate maps are global, and so are the certificates that they name.
        self._location = f"projects/{project}/locations/global"

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access, *, options: GoogleOptions) -> AsyncIterator[Self]:
        """Open the API; a token is asked for when it is needed."""
        credential = cast("GoogleCredential", access.credential)
        with failures("connect"):
            origin = allowed_origin(options, credential)
        async with AsyncExitStack() as opened:
            tokens, manager = [
                await opened.enter_async_context(plain_api(access, url, trusted_ca=options.trusted_ca))
                for url in (origin, options.certificate_manager_url)
            ]
            make = partial(service_account_token, tokens, options, credential)
            opened_project = cls(RenewingApi(manager, make=make), project=options.project)
            await opened_project.log_in()
            yield opened_project

    async def log_in(self) -> None:
        """Ask something, so that the private key is asked for only when Google has let us in."""
        path, params = f"/v1/{self._location}/certificates", {"pageSize": "1"}
        with failures("connect"):
            # Who may make certificates need not be one who may list them.
            await self._api.ask("GET", path, params=params, accepted={HTTPStatus.FORBIDDEN})

    async def check(self) -> Sequence[Check]:
        """Ask for a page of the list: that needs a token, and the right to read."""
        await self._ask("GET", f"{self._location}/certificates", step="check", params={"pageSize": "1"})
        return [Check(name="certificates", ok=True, text="The project lists its certificates.")]

    @classmethod
    def plan(cls, slot: GoogleSlot, *, options: GoogleOptions, coming: Coming) -> Sequence[PlannedStep]:
        """Say which requests would be sent."""
        location = f"/v1/projects/{options.project}/locations/global"
        name = _own_name(slot, coming.part(_OF_FINGERPRINT))
        make = PlannedCall(
            request=f"POST {location}/certificates?certificateId={name}", when="it is not there yet"
        )
        use = PlannedCall(request=f"PATCH {location}/{slot.path}?updateMask=certificates", about=name)
        older = "the certificate that is named now was made from here, and nothing else names it"
        drop = PlannedCall(request=f"DELETE {location}/certificates/{{older}}", when=older)
        return in_steps(
            stage=PlannedStep(step="stage", text=f"Make the certificate {name}.", calls=(make,)),
            bind=(PlannedStep(step="bind", text=f"Let {slot.key} name it.", calls=(use,)),),
            read_back=f"Ask which certificate {slot.key} names, and for that.",
            tidy=(drop,),
        )

    async def stage(self, slot: GoogleSlot, *, material: Material, report: Report) -> GoogleUndo:
        """Make the new certificate, which nothing names yet."""
        before = (await self._named(slot, step="stage"))[slot.position]
        name = f"{self._location}/certificates/{_own_name(slot, material.fingerprint[:_OF_FINGERPRINT])}"
        if await self._find(name, step="stage") is None:
            await self._create(name, pair_of(material), label=slot.label)
        report("stage", f"Made {name}.")
        return GoogleUndo(label=slot.label, new=name, before=before)

    async def _create(self, name: str, pair: Pair, *, label: str) -> None:
        body = {
            "description": "Put here by Everleaf.",
            "labels": {_LABEL: label},
            "selfManaged": {"pemCertificate": pair.chain, "pemPrivateKey": pair.private_pem},
        }
        parent, _, own = name.rpartition("/")
        told = await self._ask("POST", parent, step="stage", params={"certificateId": own}, json=body)
        await self._done(told, step="stage")

    async def bind(self, slot: GoogleSlot, *, undo: GoogleUndo, report: Report) -> None:
        """Let the entry name the new certificate."""
        await self._name(slot, undo.new, instead_of=undo.before, step="bind")
        report("bind", f"{slot.key} names {undo.new}.")

    async def verify(self, slot: GoogleSlot, *, fingerprint: str, report: Report) -> None:
        """Read the entry back, and the certificate that it names."""
        name = (await self._named(slot, step="read back"))[slot.position]
        found = await self._find(name, step="read back")
        must_hold(slot.key, leaf_in((found or {}).get("pemCertificate")), fingerprint=fingerprint)
        report("read back", f"{slot.key} names {name}, which is {fingerprint}.")

    async def restore(self, slot: GoogleSlot, *, undo: GoogleUndo, report: Report) -> None:
        """Let the entry name the old certificate again, and remove the new one."""
        if undo.new != undo.before:
            await self._name(slot, undo.before, instead_of=undo.new, step="restore")
            await self._drop(undo.new, label=undo.label, step="restore")
        report("restore", f"{slot.key} names {undo.before} again.")

    async def clear(self, slot: GoogleSlot) -> None:
        """Remove what was made for this slot and is not named by it."""
        named = await self._named(slot, step="clear")
        filtered = {"filter": f"labels.{_LABEL}={slot.label}", "pageSize": "100"}
        told = await self._ask("GET", f"{self._location}/certificates", step="clear", params=filtered)
        for each in told.get("certificates", []):
            if each["name"] not in named:
                await self._drop(each["name"], label=slot.label, step="clear")

    async def tidy(self, *, undo: GoogleUndo) -> None:
        """Remove the old certificate, where it was made here for this slot and nothing else names it."""
        if undo.before != undo.new:
            await self._drop(undo.before, label=undo.label, step="tidy")

    async def _named(self, slot: GoogleSlot, *, step: str) -> list[str]:
        entry = await self._ask("GET", f"{self._location}/{slot.path}", step=step)
        names = [str(each) for each in entry.get("certificates") or []]
        if slot.position >= len(names):
            raise DeploymentError(
                Failure.NOT_FOUND, f"{slot.key}: the entry names {len(names)} certificates.", step=step
            )
        return names

    async def _name(self, slot: GoogleSlot, name: str, *, instead_of: str, step: str) -> None:
        names = await self._named(slot, step=step)
        present = names[slot.position]
        if present == name:
            return
        if present != instead_of:
            raise changed_by_others(slot.key, f"of {present}", step=step)
        names[slot.position] = name
        body = {"certificates": names}
        mask = {"updateMask": "certificates"}
        told = await self._ask("PATCH", f"{self._location}/{slot.path}", step=step, params=mask, json=body)
        await self._done(told, step=step)

    async def _find(self, name: str, *, step: str) -> dict[str, Any] | None:
        try:
            return await self._ask("GET", name, step=step)
        except DeploymentError as error:
            if error.failure is Failure.NOT_FOUND:
                return None
            raise

    async def _drop(self, name: str, *, label: str, step: str) -> None:
        found = await self._find(name, step=step)
        if found is None or (found.get("labels") or {}).get(_LABEL) != label:
            return
        with failures(step):
            answer = await self._api.ask("DELETE", f"/v1/{name}", accepted={HTTPStatus.BAD_REQUEST})
        # FAILED_PRECONDITION: something else names it, so it stays.
        if answer.status != HTTPStatus.BAD_REQUEST:
            await self._done(answer.json(), step=step)

    async def _done(self, operation: dict[str, Any], *, step: str) -> None:
        """Wait for an operation to end."""
        with anyio.move_on_after(_PATIENCE):
            while not operation.get("done"):
                name = str(operation.get("name", ""))
                if not _OPERATION.fullmatch(name):
                    raise DeploymentError(
                        Failure.REJECTED, "The answer is no operation of Certificate Manager.", step=step
                    )
                await anyio.sleep(_POLL)
                operation = await self._ask("GET", name, step=step)
        error = operation.get("error")
        if error:
            said = str(error.get("message", ""))[:300]
            raise DeploymentError(Failure.REJECTED, f"Certificate Manager: {said}", step=step)
        if not operation.get("done"):
            raise DeploymentError(
                Failure.UNREACHABLE, f"The operation did not end in {_PATIENCE:g} s.", step=step
            )

    async def _ask(self, method: str, path: str, *, step: str, **question: Any) -> dict[str, Any]:
        with failures(step):
            told: dict[str, Any] = (await self._api.ask(method, f"/v1/{path}", **question)).json()
            return told
