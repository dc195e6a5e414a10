"""The verbs on secret stores: make known, look at, give a new credential, try, forget."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.discovery import store
from services.discovery.actions.accesses import Accesses, Document
from services.discovery.connectors import Check
from services.discovery.connectors.registry import secret_store_kind
from services.discovery.connectors.secret_stores import SecretReference, SecretStore
from shared.access import Principal
from shared.audit import Change
from shared.documents import read_document
from shared.errors import Conflict, Invalid, NotFound, Refused, Unavailable
from shared.groups import listed
from shared.ids import new_id
from shared.store import Database

SEE_KINDS = "See GET /v1/secret-store-kinds for what this kind of secret store takes."
MOST_TRIED = 20
"""Secrets that are tried by a check."""
MOST_NAMED = 5
"""Sources that are named where they keep a store from being forgotten."""


@dataclass(frozen=True, kw_only=True)
class NewSecretStore:
    """What is needed to make a secret store known."""

    name: str
    kind: str
    settings: Document
    credential: Document
    groups: Sequence[str] = ()


class SecretStores:
    """What keeps credentials of sources."""

    def __init__(self, database: Database, accesses: Accesses) -> None:
        self._database = database
        self._accesses = accesses

    async def create(self, new: NewSecretStore, *, caller: Principal, now: datetime) -> store.SecretStoreRow:
        """Make a secret store known. Raises `Invalid`, `Forbidden` or `Conflict`."""
        kind, store_id = secret_store_kind(new.kind), new_id()
        settings = read_document(kind.settings_type, new.settings, at="settings", next_step=SEE_KINDS)
        credential = read_document(kind.credential_type, new.credential, at="credential", next_step=SEE_KINDS)
        row = store.SecretStoreRow(
            id=store_id,
            name=new.name,
            kind=new.kind,
            settings=settings.model_dump(mode="json", exclude_unset=True),
            credential=self._accesses.seal_for_store(credential, store_id=store_id),
            groups=listed(caller.grouped(new.groups)),
            created_at=now,
            created_by=caller.id,
            updated_at=now,
        )
        async with self._database.transaction() as tx:
            if await store.secret_store_named(tx, new.name) is not None:
                raise Conflict(
                    f"There is a secret store named {new.name!r} already.", next_step="Choose another name."
                )
            tx.session.add(row)
        return row

    async def page(
        self, *, after: str | None, limit: int, caller: Principal
    ) -> Sequence[store.SecretStoreRow]:
        """Return secret stores that the caller sees, newest first, one more than `limit` where there are more."""
        async with self._database.read() as session:
            return await store.list_secret_stores(session, after=after, limit=limit, scope=caller.scope)

    async def get(self, store_id: str, *, caller: Principal) -> store.SecretStoreRow:
        """Return a secret store. Raises `NotFound`."""
        async with self._database.read() as session:
            return _seen(await session.get(store.SecretStoreRow, store_id), store_id, caller=caller)

    async def put_into(
        self, store_id: str, groups: Sequence[str], *, caller: Principal, now: datetime
    ) -> store.SecretStoreRow:
        """Put a secret store into these groups and no others. Raises `NotFound` or `Forbidden`."""
        async with self._database.transaction() as tx:
            row = _seen(await store.secret_store_to_update(tx, store_id), store_id, caller=caller)
            row.groups = listed(caller.grouped(groups, before=row.groups))
            row.version, row.updated_at = row.version + 1, now
        return row

    async def renew_credential(
        self, store_id: str, document: Document, *, caller: Principal, now: datetime
    ) -> store.SecretStoreRow:
        """Put a new credential in the place of the old one."""
        async with self._database.transaction() as tx:
            row = _seen(await store.secret_store_to_update(tx, store_id), store_id, caller=caller)
            credential = read_document(
                secret_store_kind(row.kind).credential_type, document, at="credential", next_step=SEE_KINDS
            )
            row.credential = self._accesses.seal_for_store(credential, store_id=store_id)
            row.version += 1
            row.updated_at = now
        return row

    async def delete(self, store_id: str, *, caller: Principal) -> None:
        """Forget a secret store. Raises `Conflict` while a source refers to it."""
        async with self._database.transaction() as tx:
            row = _seen(await store.secret_store_to_update(tx, store_id), store_id, caller=caller)
            sources = await store.sources_referring(tx.session, store_id, limit=MOST_NAMED + 1)
            if sources:
                seen = [source.name for source in sources[:MOST_NAMED] if caller.sees(source.groups)]
                names = ", ".join(seen) or "some that you do not see"
                more = " and more" if seen and len(sources) > len(seen) else ""
                raise Conflict(
                    f"Sources take their credential from {row.name}: {names}{more}.",
                    next_step="Give each another credential with PUT /v1/sources/{id}/credential, or forget it.",
                )
            await tx.session.delete(row)

    async def check(self, store_id: str, *, caller: Principal) -> list[Check]:
        """Log in, and try to read what sources refer to; no text holds a secret."""
        row = await self.get(store_id, caller=caller)
        async with self._database.transaction() as tx:
            tx.record(
                Change(kind="secret_store", verb="tried", id=row.id, name=row.name, groups=tuple(row.groups))
            )
        async with self._database.read() as session:
            referring = await store.sources_referring(session, store_id, limit=1000)
        sources = [each for each in referring if caller.sees(each.groups)]
        paths = dict.fromkeys(SecretReference.model_validate(each.credential_from).path for each in sources)
        try:
            async with secret_store_kind(row.kind).open(self._accesses.of_store(row)) as opened:
                reached = Check(name="reached", ok=True, text="It answers and takes the login.")
                tried = [await _tried(opened, path) for path in list(paths)[:MOST_TRIED]]
                return [reached, *await opened.check(), *tried]
        except (Refused, Unavailable, Invalid, NotFound) as error:
            return [Check(name="reached", ok=False, text=str(error))]


async def _tried(opened: SecretStore, path: str) -> Check:
    try:
        members = await opened.read(path)
    except (Refused, Unavailable, Invalid, NotFound) as error:
        return Check(name=path, ok=False, text=str(error))
    return Check(name=path, ok=True, text=f"It can be read; its members: {', '.join(sorted(members))}.")


def _seen(row: store.SecretStoreRow | None, store_id: str, *, caller: Principal) -> store.SecretStoreRow:
    if row is None or not caller.sees(row.groups):
        raise NotFound(
            f"There is no secret store {store_id}.", next_step="List them with GET /v1/secret-stores."
        )
    return row
