"""The verbs on groups of sources: make many known at once, and read them all as one job."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel

from services.discovery import store
from services.discovery.actions.accesses import SEE_KINDS, Accesses, Document, read_credential
from services.discovery.actions.sources import start_run
from services.discovery.connectors.registry import readable_kind
from shared.access import Principal
from shared.documents import read_document
from shared.errors import Conflict, Invalid, NotFound
from shared.groups import listed
from shared.ids import new_id
from shared.store import Database


@dataclass(frozen=True, kw_only=True)
class Member:
    """One source of a group: its name, and what its settings have beside those of the group."""

    name: str
    settings: Document


@dataclass(frozen=True, kw_only=True)
class Group:
    """Sources of one kind that share a credential and most of their settings."""

    name: str
    kind: str
    settings: Document
    credential: Document
    every: float | None
    members: Sequence[Member]
    groups: Sequence[str] | None = None
    """Who sees them; None leaves those of sources that are known as they are."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What came of making a group known."""

    created: int
    changed: int


@dataclass(frozen=True, kw_only=True)
class Job:
    """One reading of a whole group."""

    id: str
    counts: store.JobCounts


class SourceGroups:
    """Many sources at once."""

    def __init__(self, database: Database, accesses: Accesses, *, ring: Callable[[], None]) -> None:
        """`ring` says that there are runs to be done."""
        self._database = database
        self._accesses = accesses
        self._ring = ring

    async def write(self, group: Group, *, caller: Principal, now: datetime) -> Written:
        """Make sources known, or change those that are: all or none. Raises `Invalid`, `Forbidden` or `Conflict`."""
        kind = readable_kind(group.kind)
        names = [member.name for member in group.members]
        if len(set(names)) < len(names):
            raise Invalid("Two sources have the same name.", next_step="Give each a name of its own.")
        credential = read_credential(kind, group.credential)
        settings = [
            read_document(
                kind.settings_type,
                {**group.settings, **member.settings},
                at=f"sources/{number}/settings",
                next_step=SEE_KINDS,
            )
            for number, member in enumerate(group.members)
        ]
        created = 0
        async with self._database.transaction() as tx:
            store_id = await self._accesses.store_of(tx, credential, caller=caller)
            known = await store.sources_named(tx, names)
            for member, own in zip(group.members, settings, strict=True):
                row = known.get(member.name) or _new(member.name, group, caller=caller, now=now)
                is_seen = member.name not in known or caller.sees(row.groups)
                if not is_seen or row.group != group.name or row.kind != group.kind:
                    raise Conflict(
                        f"There is a source named {row.name!r} already, in another group or of another kind.",
                        next_step="Choose another name.",
                    )
                created += member.name not in known
                if group.groups is not None:
                    row.groups = listed(caller.grouped(group.groups, before=row.groups))
                _fill(row, group, settings=own, now=now)
                self._accesses.keep(credential, source=row, store_id=store_id)
                tx.session.add(row)
            tx.after_commit(self._ring)
        return Written(created=created, changed=len(names) - created)

    async def run(self, name: str, *, caller: Principal, now: datetime) -> Job:
        """Read every source of a group that the caller sees; those that are being read count as part of it. Raises `NotFound`."""
        job_id = new_id()
        async with self._database.transaction() as tx:
            rows = await store.sources_in(tx, name, scope=caller.scope)
            if not rows:
                raise NotFound(
                    f"There is no source in a group {name!r}.",
                    next_step="Make some known with PUT /v1/source-groups/{group}.",
                )
            being_read = await store.open_runs_in(tx, name, scope=caller.scope)
            for run in being_read:
                run.job_id = job_id
            open_sources = {run.source_id for run in being_read}
            for row in rows:
                if row.id not in open_sources:
                    start_run(tx, row, now=now).job_id = job_id
            await tx.session.flush()
            counts = await store.job_counts(tx.session, job_id, scope=caller.scope)
            tx.after_commit(self._ring)
        return Job(id=job_id, counts=counts)

    async def job(self, job_id: str, *, caller: Principal) -> Job:
        """Return how far a job is, with the sources that the caller sees. Raises `NotFound`."""
        async with self._database.read() as session:
            counts = await store.job_counts(session, job_id, scope=caller.scope)
        if counts.total == 0:
            raise NotFound(
                f"There is no job {job_id}.",
                next_step="Start one with POST /v1/source-groups/{group}/runs.",
            )
        return Job(id=job_id, counts=counts)

    async def job_runs(
        self, job_id: str, *, state: str | None, after: str | None, limit: int, caller: Principal
    ) -> Sequence[store.SourceRun]:
        """Return the runs of a job, newest first. Raises `NotFound`."""
        await self.job(job_id, caller=caller)
        async with self._database.read() as session:
            return await store.list_job_runs(
                session, job_id, state=state, after=after, limit=limit, scope=caller.scope
            )


def _fill(row: store.SourceRow, group: Group, *, settings: BaseModel, now: datetime) -> None:
    row.settings = settings.model_dump(mode="json", exclude_unset=True)
    if row.every != group.every:
        row.every, row.next_run_at = group.every, now if group.every is not None else None
    row.updated_at = now


def _new(name: str, group: Group, *, caller: Principal, now: datetime) -> store.SourceRow:
    return store.SourceRow(
        id=new_id(),
        name=name,
        kind=group.kind,
        group=group.name,
        settings={},
        credential=b"",
        groups=listed(caller.grouped(group.groups or ())),
        created_at=now,
        created_by=caller.id,
        updated_at=now,
    )
