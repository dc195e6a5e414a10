"""The verbs on sources: make known, look at, give a new credential, try, run, forget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.discovery import store
from services.discovery.actions.accesses import SEE_KINDS, Accesses, Document, read_credential
from services.discovery.connectors import Check
from services.discovery.connectors.registry import readable_kind, source_kind
from services.discovery.domain.networks import host_of, network_of
from shared.access import Principal
from shared.audit import Change
from shared.documents import read_document
from shared.errors import Conflict, Invalid, NotFound, Refused, Unavailable
from shared.events.discovery import SourceRecovered
from shared.groups import listed
from shared.ids import new_id
from shared.store import Database, Transaction


@dataclass(frozen=True, kw_only=True)
class NewSource:
    """What is needed to make a source known."""

    name: str
    kind: str
    settings: Document
    credential: Document
    every: float | None
    """Seconds between the beginnings of its runs; None for runs on request only."""
    groups: Sequence[str] = ()


class Sources:
    """What we log into to look."""

    def __init__(self, database: Database, accesses: Accesses, *, ring: Callable[[], None]) -> None:
        """`ring` says that there is a run to be done."""
        self._database = database
        self._accesses = accesses
        self._ring = ring

    async def create(self, new: NewSource, *, caller: Principal, now: datetime) -> store.SourceRow:
        """Make a source known. Raises `Invalid`, `Forbidden` or `Conflict`."""
        kind = source_kind(new.kind)
        if new.every is not None:
            readable_kind(new.kind)
        settings = read_document(kind.settings_type, new.settings, at="settings", next_step=SEE_KINDS)
        credential = read_credential(kind, new.credential)
        row = store.SourceRow(
            id=new_id(),
            name=new.name,
            kind=new.kind,
            # Defaults are not kept, so that a better default of a later version takes effect.
            settings=settings.model_dump(mode="json", exclude_unset=True),
            credential=b"",
            groups=listed(caller.grouped(new.groups)),
            every=new.every,
            next_run_at=now if new.every is not None else None,
            created_at=now,
            created_by=caller.id,
            updated_at=now,
        )
        async with self._database.transaction() as tx:
            if await store.source_named(tx.session, new.name) is not None:
                raise Conflict(
                    f"There is a source named {new.name!r} already.", next_step="Choose another name."
                )
            store_id = await self._accesses.store_of(tx, credential, caller=caller)
            self._accesses.keep(credential, source=row, store_id=store_id)
            tx.session.add(row)
            tx.after_commit(self._ring)
        return row

    async def page(
        self, *, group: str | None = None, after: str | None, limit: int, caller: Principal
    ) -> Sequence[store.SourceRow]:
        """Return sources that the caller sees, newest first, one more than `limit` where there are more."""
        async with self._database.read() as session:
            return await store.list_sources(
                session, group=group, after=after, limit=limit, scope=caller.scope
            )

    async def get(self, source_id: str, *, caller: Principal) -> store.SourceRow:
        """Return a source. Raises `NotFound`."""
        async with self._database.read() as session:
            return _seen(await session.get(store.SourceRow, source_id), source_id, caller=caller)

    async def put_into(
        self, source_id: str, groups: Sequence[str], *, caller: Principal, now: datetime
    ) -> store.SourceRow:
        """Put a source into these groups and no others. Raises `NotFound` or `Forbidden`."""
        async with self._database.transaction() as tx:
            row = _seen(await store.source_to_update(tx, source_id), source_id, caller=caller)
            row.groups = listed(caller.grouped(groups, before=row.groups))
            row.version, row.updated_at = row.version + 1, now
        return row

    async def renew_credential(
        self, source_id: str, document: Document, *, caller: Principal, now: datetime
    ) -> store.SourceRow:
        """Put a new credential in the place of the old one; runs that have begun end with the old one."""
        async with self._database.transaction() as tx:
            row = _seen(await store.source_to_update(tx, source_id), source_id, caller=caller)
            credential = read_credential(source_kind(row.kind), document)
            store_id = await self._accesses.store_of(tx, credential, caller=caller)
            self._accesses.keep(credential, source=row, store_id=store_id)
            row.version += 1
            row.updated_at = now
        return row

    async def delete(self, source_id: str, *, caller: Principal, now: datetime) -> None:
        """Forget a source and what was read there; what the inventory knows of it stays."""
        async with self._database.transaction() as tx:
            row = _seen(await store.source_to_update(tx, source_id), source_id, caller=caller)
            if await store.has_failed(tx, row.id):
                tx.emit(recovered(row, reason="It was deleted.", now=now), now=now)
            await store.forget_watch(tx, row.id)
            await store.forget_source(tx, row)

    async def check(self, source_id: str, *, caller: Principal) -> list[Check]:
        """Connect, log in and say what can be read; changes nothing there."""
        row = await self.get(source_id, caller=caller)
        async with self._database.transaction() as tx:
            tx.record(Change(kind="source", verb="tried", id=row.id, name=row.name, groups=tuple(row.groups)))
        try:
            async with readable_kind(row.kind).open(await self._accesses.of(row)) as opened:
                return [
                    Check(name="reached", ok=True, text="It answers and takes the login."),
                    *await opened.check(),
                ]
        except (Refused, Unavailable, Invalid) as error:
            return [Check(name="reached", ok=False, text=str(error))]

    async def run(self, source_id: str, *, caller: Principal, now: datetime) -> store.SourceRun:
        """Ask for a run. Raises `Conflict` where one is not done, `Invalid` where it is not read."""
        async with self._database.transaction() as tx:
            row = _seen(await store.source_to_update(tx, source_id), source_id, caller=caller)
            readable_kind(row.kind)
            if await store.open_run(tx, source_id) is not None:
                raise Conflict(f"{row.name} is being read.", next_step="Wait until its run is done.")
            run = start_run(tx, row, now=now)
            tx.after_commit(self._ring)
        return run

    async def runs(
        self, source_id: str, *, after: str | None, limit: int, caller: Principal
    ) -> Sequence[store.SourceRun]:
        """Return its runs, newest first. Raises `NotFound`."""
        await self.get(source_id, caller=caller)
        async with self._database.read() as session:
            return await store.list_runs(session, source_id, after=after, limit=limit)

    async def watch(self, source_id: str, *, caller: Principal) -> store.SourceWatch | None:
        """Return how it is listened to, None where it is not. Raises `NotFound`."""
        await self.get(source_id, caller=caller)
        async with self._database.read() as session:
            return await store.watch_of(session, source_id)

    async def holdings(
        self, source_id: str, *, after: Sequence[str] | None, limit: int, caller: Principal
    ) -> Sequence[store.HoldingRow]:
        """Return what it holds, by address and path. Raises `NotFound`."""
        await self.get(source_id, caller=caller)
        async with self._database.read() as session:
            return await store.list_holdings(session, source_id, after=after, limit=limit)


def start_run(tx: Transaction, source: store.SourceRow, *, now: datetime) -> store.SourceRun:
    """Add a run to be done at once."""
    host = host_of(source.settings)
    run = store.SourceRun(
        id=new_id(),
        source_id=source.id,
        state="queued",
        host=host,
        network=network_of(host) if host else None,
        gaps=[],
        next_attempt_at=now,
        created_at=now,
    )
    tx.session.add(run)
    source.last_run_id = run.id
    return run


def recovered(source: store.SourceRow, *, reason: str, now: datetime) -> SourceRecovered:
    """Return what is said when nothing is wrong with a source any more."""
    return SourceRecovered(source_id=source.id, name=source.name, reason=reason, recovered_at=now)


def _seen(row: store.SourceRow | None, source_id: str, *, caller: Principal) -> store.SourceRow:
    if row is None or not caller.sees(row.groups):
        raise NotFound(f"There is no source {source_id}.", next_step="List them with GET /v1/sources.")
    return row
