"""How a source is reached: its credential is sealed into its row, or fetched from a secret store at each opening.

What is fetched is never kept, so a secret that is changed in its store needs nothing here.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from services.discovery import store
from services.discovery.connectors import Access, Limits, SourceKind
from services.discovery.connectors.registry import readable_kind, secret_store_kind, source_kind
from services.discovery.connectors.secret_stores import SecretReference
from shared.access import Principal
from shared.documents import read_document, revealed
from shared.errors import EverleafError, Fault, Invalid, Refused, Unavailable
from shared.outbound import Policy
from shared.sealing import Sealer
from shared.ssh import Reach
from shared.store import Database, Transaction

SEE_KINDS = "See GET /v1/source-kinds for what this kind of source takes."
Document = Mapping[str, Any]
"""Settings or a credential as JSON, whose shape the kind knows."""


class Accesses:
    """Keeps credentials of sources and of secret stores, and opens them for one piece of work."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        *,
        limits: Limits,
        policy: Policy,
        reach: Reach | None = None,
        ssh_agent: str | None = None,
        pod_account: bool = False,
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._policy = policy
        self._limits = limits
        self._reach = reach
        self._ssh_agent = ssh_agent
        self._pod_account = pod_account

    async def of(self, source: store.SourceRow) -> Access:
        """Return how a source is reached. Raises `CannotOpen`, and what a secret store raises."""
        kind = source_kind(source.kind)
        if source.credential_from is None:
            opened = json.loads(self._sealer.open(source.credential, row=_row(source.id)))
            credential = kind.credential_type.model_validate(opened)
        else:
            credential = await self._fetched(source, kind)
        return Access(
            settings=kind.settings_type.model_validate(source.settings),
            credential=credential,
            limits=self._limits,
            policy=self._policy,
            reach=self._reach,
            ssh_agent=self._ssh_agent,
            pod_account=self._pod_account,
        )

    def of_store(self, row: store.SecretStoreRow) -> Access:
        """Return how a secret store is reached. Raises `CannotOpen`."""
        kind = secret_store_kind(row.kind)
        opened = json.loads(self._sealer.open(row.credential, row=_store_row(row.id)))
        return Access(
            settings=kind.settings_type.model_validate(row.settings),
            credential=kind.credential_type.model_validate(opened),
            limits=self._limits,
            policy=self._policy,
        )

    def keep(self, credential: BaseModel, *, source: store.SourceRow, store_id: str | None) -> None:
        """Put a credential, or where it lies in the store that `store_of` has found, into its source's row."""
        source.secret_store_id = store_id
        if isinstance(credential, SecretReference):
            source.credential, source.credential_from = b"", credential.model_dump(mode="json")
        else:
            source.credential = self._sealed(credential, row=_row(source.id))
            source.credential_from = None

    async def store_of(self, tx: Transaction, credential: BaseModel, *, caller: Principal) -> str | None:
        """Return the id of the store that a credential lies in, if any, held until the end.

        Raises `Invalid`, also where the caller does not see the store.
        """
        if not isinstance(credential, SecretReference):
            return None
        named = await store.secret_store_named(tx, credential.secret_store)
        found = caller.seen(named, lambda row: row.groups)
        if found is None:
            raise _wrong(
                "secret_store",
                f"There is no secret store named {credential.secret_store!r}.",
                next_step="Make it known with POST /v1/secret-stores, or name one of GET /v1/secret-stores.",
            )
        return found.id

    def seal_for_store(self, credential: BaseModel, *, store_id: str) -> bytes:
        """Return a credential for its secret store's row."""
        return self._sealed(credential, row=_store_row(store_id))

    def _sealed(self, credential: BaseModel, *, row: str) -> bytes:
        return self._sealer.seal(json.dumps(revealed(credential)).encode(), row=row)

    async def _fetched(self, source: store.SourceRow, kind: type[SourceKind]) -> BaseModel:
        """Return the credential as its store has it now. Raises `Refused`, `Invalid` or `Unavailable`."""
        reference = SecretReference.model_validate(source.credential_from)
        async with self._database.read() as session:
            row = await session.get(store.SecretStoreRow, source.secret_store_id)
        where = f"Secret store {reference.secret_store!r}, {reference.path}"
        if row is None:
            raise Invalid(f"{where}: the store is not known.", next_step="Give the source a new credential.")
        try:
            async with secret_store_kind(row.kind).open(self.of_store(row)) as opened:
                members = await opened.read(reference.path)
        except EverleafError as error:
            raise _named(error, where=where) from error
        return _credential(members, reference=reference, kind=kind, where=where)


def read_credential(kind: type[SourceKind], document: Document) -> BaseModel:
    """Return a credential of a kind of source, or a reference to one. Raises `Invalid`."""
    if "secret_store" not in document:
        return read_document(kind.credential_type, document, at="credential", next_step=SEE_KINDS)
    readable_kind(kind.kind)
    reference = read_document(
        SecretReference,
        document,
        at="credential",
        next_step="Give secret_store, path and, where names differ, fields.",
    )
    known = kind.credential_type.model_fields
    for name in reference.fields:
        if name not in known:
            raise _wrong(
                f"fields/{name}", f"A credential of {kind.kind} has no such field.", next_step=SEE_KINDS
            )
    return reference


def _credential(
    members: Mapping[str, Any], *, reference: SecretReference, kind: type[SourceKind], where: str
) -> BaseModel:
    """Return members of a secret as a credential. Texts name them, and never say what they hold."""
    known = kind.credential_type.model_fields
    fields = reference.fields or {name: name for name in known if name in members}
    missing = sorted({member for member in fields.values() if member not in members})
    if missing or (members and not fields and known):
        wanted = ", ".join(missing) or f"any of {', '.join(known)}"
        raise Invalid(
            f"{where}: the secret has no member {wanted}.",
            next_step="Add it there, or say in `fields` which member is which field of the credential.",
        )
    try:
        return kind.credential_type.model_validate(
            {field: members[member] for field, member in fields.items()}
        )
    except ValidationError as error:
        # Raised below: an error that it came from would hold what the secret says.
        said = [
            ": ".join(filter(None, ["/".join(map(str, each["loc"])), each["msg"]]))
            for each in error.errors(include_input=False, include_url=False)
        ]
    raise Invalid(
        f"{where}: the secret is no credential of {kind.kind}: {'; '.join(said[:5])}.", next_step=SEE_KINDS
    )


def _named(error: EverleafError, *, where: str) -> EverleafError:
    """Return an error with the store and path that it is about: one that may pass, one of ours, or a refusal."""
    meant = next((kind for kind in (Unavailable, Invalid) if isinstance(error, kind)), Refused)
    return meant(f"{where}: {error.detail}", next_step=f"For the secret store: {error.next_step}")


def _wrong(member: str, message: str, *, next_step: str) -> Invalid:
    fault = Fault(pointer=f"/body/credential/{member}", message=message)
    return Invalid(message, next_step=next_step, faults=[fault])


def _row(source_id: str) -> str:
    return f"discovery/sources/{source_id}/credential"


def _store_row(store_id: str) -> str:
    return f"discovery/secret-stores/{store_id}/credential"
