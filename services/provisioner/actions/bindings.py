"""The verbs on bindings: say where a lineage belongs, and take that back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.provisioner import store
from services.provisioner.actions.accesses import Document
from services.provisioner.actions.places import places_of
from services.provisioner.actions.scopes import require_lineage, sees_lineage
from services.provisioner.actions.sending import Sending
from services.provisioner.actions.targets import found, read_slot
from services.provisioner.connectors.registry import target_kind
from services.provisioner.connectors.wire import Endpoint
from services.provisioner.domain import Phase, State
from services.provisioner.domain.drift import OnDrift
from services.provisioner.domain.order import arranged
from shared.access import Principal
from shared.errors import Conflict, Invalid, NotFound
from shared.http import check_if_match
from shared.ids import new_id
from shared.store import Database, Transaction


@dataclass(frozen=True, kw_only=True)
class NewBinding:
    """A lineage, the slot it belongs in, and the endpoints that prove it is there."""

    lineage_id: str
    target_id: str
    slot: Document
    endpoints: Sequence[Endpoint]
    deploy_now: bool
    after: Sequence[str] = ()
    """Ids of the lineage's bindings that come first."""
    on_drift: OnDrift = OnDrift.ALERT


@dataclass(frozen=True, kw_only=True)
class BindingChange:
    """What is to be changed; None leaves it as it is."""

    after: Sequence[str] | None = None
    on_drift: OnDrift | None = None


class Bindings:
    """Where lineages belong."""

    def __init__(self, database: Database, *, sending: Sending, ring: Callable[[], None]) -> None:
        self._database = database
        self._sending = sending
        self._ring = ring

    async def create(self, new: NewBinding, *, caller: Principal, now: datetime) -> store.Binding:
        """Bind a lineage to a slot. Raises `NotFound`, `Invalid`, or `Conflict` where the slot is taken."""
        async with self._database.transaction() as tx:
            return await self.add(tx, new, caller=caller, now=now)

    async def add(
        self, tx: Transaction, new: NewBinding, *, caller: Principal, now: datetime
    ) -> store.Binding:
        """Do that in a transaction of the caller's."""
        await require_lineage(tx.session, new.lineage_id, caller=caller)
        await store.lock_lineage(tx, new.lineage_id)
        row = await tx.session.get(store.Target, new.target_id, with_for_update=True)
        target = found(row, new.target_id, caller=caller)
        slot = read_slot(target_kind(target.kind), new.slot)
        taken = await store.binding_of_slot(tx.session, target_id=target.id, slot_key=slot.key)
        if taken is not None:
            raise await _taken(tx, taken, f"{slot.key} on {target.name}", caller=caller)
        binding = store.Binding(
            id=new_id(),
            lineage_id=new.lineage_id,
            target_id=target.id,
            slot_key=slot.key,
            slot=slot.model_dump(mode="json", exclude_unset=True),
            endpoints=[endpoint.model_dump() for endpoint in new.endpoints],
            on_drift=new.on_drift,
            created_at=now,
            created_by=caller.id,
        )
        await _put_after(tx, binding, new.after)
        tx.session.add(binding)
        await tx.session.flush()
        await store.keep_places(tx, binding.id, places_of(binding, target))
        latest = await store.latest_renewal(tx.session, new.lineage_id) if new.deploy_now else None
        if latest is not None:
            await self._sending.send(tx, latest, [binding], now=now)
            tx.after_commit(self._ring)
        return binding

    async def page(
        self,
        *,
        lineage_id: str | None,
        target_id: str | None,
        after: str | None,
        limit: int,
        caller: Principal,
    ) -> Sequence[store.Binding]:
        """Return bindings that the caller sees, newest first, one more than `limit` where there are more."""
        asked = {"lineage_id": lineage_id, "target_id": target_id}
        having = {name: value for name, value in asked.items() if value is not None}
        async with self._database.read() as session:
            return await store.bindings(session, after=after, limit=limit, scope=caller.scope, **having)

    async def get(self, binding_id: str, *, caller: Principal) -> store.Binding:
        """Return a binding. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await session.get(store.Binding, binding_id)
            return await seen_binding(session, row, binding_id, caller=caller)

    async def change(
        self,
        binding_id: str,
        change: BindingChange,
        *,
        if_match: str | None,
        caller: Principal,
        now: datetime,
    ) -> store.Binding:
        """Change a binding; what waits for another one is looked at anew. Raises `NotFound`, `Stale` or `Invalid`."""
        async with self._database.transaction() as tx:
            held = await tx.session.get(store.Binding, binding_id, with_for_update=True)
            row = await seen_binding(tx.session, held, binding_id, caller=caller)
            check_if_match(if_match, version=row.version)
            if change.on_drift is not None:
                row.on_drift = change.on_drift
            if change.after is not None:
                await _put_after(tx, row, change.after)
            row.version += 1
            await store.wake_dependants(tx, row.lineage_id, now=now)
            tx.after_commit(self._ring)
        return row

    async def delete(self, binding_id: str, *, caller: Principal, now: datetime) -> None:
        """Take a binding back; what is in place stays. Raises `Conflict` while it is being worked on."""
        async with self._database.transaction() as tx:
            held = await tx.session.get(store.Binding, binding_id, with_for_update=True)
            row = await seen_binding(tx.session, held, binding_id, caller=caller)
            for deployment in await store.open_deployments(tx, binding_id=binding_id):
                if deployment.phase != Phase.START or deployment.state == State.RUNNING:
                    raise Conflict(
                        f"The deployment {deployment.id} is at work on it.",
                        next_step="Wait until it is deployed or restored, then try again.",
                    )
                store.finish(deployment, state=State.CANCELLED, now=now)
                await store.wake_those_after(tx, order_id=deployment.order_id, binding_id=binding_id, now=now)
            await store.clear_keys(tx, binding_id=binding_id, now=now)
            await store.forget_pulls(tx, row)
            await store.forget_places(tx, binding_id)
            tx.after_commit(self._ring)
            await tx.session.delete(row)


async def _put_after(tx: Transaction, binding: store.Binding, after: Sequence[str]) -> None:
    """Let a binding come after others of its lineage. Raises `Invalid` for others, and where they would wait in a circle."""
    others = await store.bindings_of_lineage(tx.session, binding.lineage_id)
    known = {each.id: list(each.after) for each in others}
    unknown = sorted(set(after) - set(known))
    if unknown:
        raise Invalid(
            f"The lineage has no binding {unknown[0]}.",
            next_step="Name bindings of the same lineage: GET /v1/bindings?lineage_id= lists them.",
        )
    binding.after = sorted(set(after))
    arranged({**known, binding.id: binding.after})


async def _taken(tx: Transaction, taken: store.Binding, slot: str, *, caller: Principal) -> Conflict:
    """Return the error for a slot that is taken, which tells of the lineage there who may see it."""
    if await sees_lineage(tx.session, taken.lineage_id, caller=caller):
        return Conflict(
            f"{slot} belongs to the lineage {taken.lineage_id}.",
            next_step=f"Delete the binding {taken.id} first.",
        )
    return Conflict(f"{slot} belongs to another lineage.", next_step="Ask an administrator whose it is.")


async def seen_binding(
    session: AsyncSession, row: store.Binding | None, binding_id: str, *, caller: Principal
) -> store.Binding:
    """Return the row. Raises `NotFound` where there is none that the caller sees."""
    if row is None or not await sees_lineage(session, row.lineage_id, caller=caller):
        raise NotFound(f"There is no binding {binding_id}.", next_step="List them with GET /v1/bindings.")
    return row
