"""The verbs on targets: make known, look at, change, check, forget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.provisioner import store
from services.provisioner.actions.accesses import SEE_KINDS, Accesses, Document
from services.provisioner.actions.reached import checks_until, host_of, refuse_redirected_secrets
from services.provisioner.connectors import Check, Part, Slot
from services.provisioner.connectors.registry import Kind, target_kind
from services.provisioner.connectors.ssh import SeenHostKey, seen_host_key
from services.provisioner.domain import DeploymentError, Phase, State
from shared.access import Principal
from shared.audit import Change
from shared.documents import read_document
from shared.errors import Conflict, NotFound
from shared.groups import listed
from shared.http import check_if_match
from shared.ids import new_id
from shared.store import Database, Transaction


@dataclass(frozen=True, kw_only=True)
class NewTarget:
    """What is needed to make a target known; only a host has host, port, username and host key."""

    name: str
    kind: str
    host: str | None = None
    port: int | None = None
    username: str | None = None
    host_key: str | None = None
    credential: Document = field(repr=False)
    options: Document
    groups: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class TargetChange:
    """What is to be changed; None leaves it as it is."""

    host: str | None = None
    port: int | None = None
    username: str | None = None
    host_key: str | None = None
    credential: Document | None = field(default=None, repr=False)
    options: Document | None = None
    groups: Sequence[str] | None = None


class Targets:
    """What we log into to change."""

    def __init__(self, database: Database, accesses: Accesses, *, ring: Callable[[], None]) -> None:
        self._database = database
        self._accesses = accesses
        self._ring = ring

    async def create(self, new: NewTarget, *, caller: Principal, now: datetime) -> store.Target:
        """Make a target known. Raises `Invalid`, `Forbidden` or `Conflict`."""
        async with self._database.transaction() as tx:
            return await self.add(tx, new, caller=caller, now=now)

    async def add(self, tx: Transaction, new: NewTarget, *, caller: Principal, now: datetime) -> store.Target:
        """Do that in a transaction of the caller's."""
        target_id, kind = new_id(), target_kind(new.kind)
        host = host_of(
            kind, host=new.host, port=new.port, username=new.username, host_key=new.host_key, is_new=True
        )
        row = store.Target(
            id=target_id,
            name=new.name,
            kind=new.kind,
            **host,
            credential=self._accesses.seal(kind, new.credential, target_id=target_id),
            options=_kept(read_options(kind, new.options)),
            groups=listed(caller.grouped(new.groups)),
            created_at=now,
            created_by=caller.id,
            updated_at=now,
        )
        if await store.target_named(tx.session, new.name) is not None:
            raise Conflict(f"There is a target named {new.name!r} already.", next_step="Choose another name.")
        tx.session.add(row)
        await tx.session.flush()
        return row

    async def credential_of(self, tx: Transaction, target_id: str, *, caller: Principal) -> Document:
        """Return the credential of a target, for another one to be reached with. Raises `NotFound`."""
        row = await tx.session.get(store.Target, target_id)
        return self._accesses.credential_of(found(row, target_id, caller=caller))

    async def page(self, *, after: str | None, limit: int, caller: Principal) -> Sequence[store.Target]:
        """Return targets that the caller sees, newest first, one more than `limit` where there are more."""
        async with self._database.read() as session:
            return await store.targets(session, after=after, limit=limit, scope=caller.scope)

    async def get(self, target_id: str, *, caller: Principal) -> store.Target:
        """Return a target. Raises `NotFound`."""
        async with self._database.read() as session:
            return found(await session.get(store.Target, target_id), target_id, caller=caller)

    async def change(
        self,
        target_id: str,
        change: TargetChange,
        *,
        if_match: str | None,
        caller: Principal,
        now: datetime,
    ) -> store.Target:
        """Change a target; what waits for that is tried at once. Raises `Stale`, `Invalid` or `Forbidden`."""
        async with self._database.transaction() as tx:
            held = await tx.session.get(store.Target, target_id, with_for_update=True)
            row = found(held, target_id, caller=caller)
            check_if_match(if_match, version=row.version)
            if change.groups is not None:
                row.groups = listed(caller.grouped(change.groups, before=row.groups))
            self._apply(change, row)
            row.version += 1
            row.updated_at = now
            await _wake(tx, target_id, now=now)
            tx.after_commit(self._ring)
        return row

    def _apply(self, change: TargetChange, row: store.Target) -> None:
        kind, before = target_kind(row.kind), dict(row.options)
        host = host_of(
            kind, host=change.host, port=change.port, username=change.username, host_key=change.host_key
        )
        if change.options is not None:
            row.options = _kept(read_options(kind, change.options))
        if change.credential is not None:
            row.credential = self._accesses.seal(kind, change.credential, target_id=row.id)
        else:
            held = self._accesses.credential_of(row)
            refuse_redirected_secrets(kind, row, host=host, options_before=before, credential=held)
        for name, value in host.items():
            setattr(row, name, value)

    async def delete(self, target_id: str, *, caller: Principal) -> None:
        """Forget a target. Raises `Conflict` where something is bound to it."""
        async with self._database.transaction() as tx:
            held = await tx.session.get(store.Target, target_id, with_for_update=True)
            row = found(held, target_id, caller=caller)
            if await store.has_bindings(tx.session, target_id):
                raise Conflict(f"{row.name} has bindings.", next_step="Delete its bindings first.")
            await store.delete_timings_of(tx, target_id)
            await store.delete_rules_of(tx, target_id)
            await tx.session.delete(row)

    async def check(self, target_id: str, *, caller: Principal) -> list[Check]:
        """Connect, log in and look what works; changes nothing there."""
        target = await self.get(target_id, caller=caller)
        kind = target_kind(target.kind)
        async with self._database.transaction() as tx:
            tx.record(_tried(target))
        try:
            async with kind.open(
                self._accesses.of(target), options=read_options(kind, target.options)
            ) as opened:
                return [*checks_until(None, kind), *await opened.check()]
        except DeploymentError as error:
            return checks_until(error, kind)

    async def host_key(self, host: str, *, port: int) -> SeenHostKey:
        """Return the key the host shows now, for a person to compare. Raises `DeploymentError`."""
        accesses = self._accesses
        return await seen_host_key(host, port=port, limit=accesses.limits.connect, reach=accesses.reach)


def _tried(row: store.Target) -> Change:
    return Change(kind="target", verb="tried", id=row.id, name=row.name, groups=tuple(row.groups))


async def _wake(tx: Transaction, target_id: str, *, now: datetime) -> None:
    for deployment in await store.open_deployments(tx, target_id=target_id):
        deployment.next_attempt_at = now
        if deployment.state == State.NEEDS_ATTENTION:
            deployment.state = State.PENDING if deployment.phase == Phase.START else State.RUNNING


def found(row: store.Target | None, target_id: str, *, caller: Principal) -> store.Target:
    """Return the row. Raises `NotFound` where there is none that the caller sees."""
    if row is None or not caller.sees(row.groups):
        raise NotFound(f"There is no target {target_id}.", next_step="List them with GET /v1/targets.")
    return row


def read_options(kind: Kind, options: Document) -> Part:
    """Return options as the kind of target knows them. Raises `Invalid`."""
    return read_document(kind.options_type, options, at="options", next_step=SEE_KINDS)


def read_slot(kind: Kind, slot: Document) -> Slot:
    """Return a slot as the kind of target knows it. Raises `Invalid`."""
    return read_document(kind.slot_type, slot, at="slot", next_step=SEE_KINDS)


def _kept(part: Part) -> dict[str, Any]:
    # Defaults are not kept, so that a better default of a later version takes effect.
    return part.model_dump(mode="json", exclude_unset=True)
