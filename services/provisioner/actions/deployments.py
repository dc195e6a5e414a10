"""The verbs on deployments, but for the work itself: begin, look at, try again."""

import base64
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.provisioner import store
from services.provisioner.actions.scopes import sees_lineage
from services.provisioner.actions.sending import Sending
from services.provisioner.domain import Hold, Phase, State
from shared.access import Principal
from shared.audit import Change
from shared.errors import Conflict, NotFound
from shared.events import Event
from shared.events.inventory import LineagesGrouped
from shared.events.provisioner import WindowOverridden
from shared.events.renewal import CertificateRenewed
from shared.ids import new_id
from shared.store import Database, Transaction


class Deployments:
    """Certificates on their way into slots."""

    def __init__(self, database: Database, *, sending: Sending, ring: Callable[[], None]) -> None:
        self._database = database
        self._sending = sending
        self._ring = ring

    async def begin(self, tx: Transaction, event: Event[CertificateRenewed], *, now: datetime) -> None:
        """Keep a renewal, and make a deployment for each slot that its lineage belongs in."""
        renewed = event.data
        renewal = store.Renewal(
            order_id=renewed.order_id,
            lineage_id=renewed.lineage_id,
            old_fingerprint=renewed.old_fingerprint,
            fingerprint=renewed.fingerprint,
            chain=[base64.b64encode(der).decode() for der in renewed.chain],
            names=renewed.names,
            renewed_at=event.time,
            key_is_on_target=renewed.key_is_on_target,
            requested_by=renewed.requested_by,
        )
        await store.lock_lineage(tx, renewal.lineage_id)
        await store.keep_renewal(tx, renewal)
        await store.LINEAGES.add(tx, renewed.lineage_id, renewed.groups, at=event.time)
        bindings = await store.bindings_of_lineage(tx.session, renewed.lineage_id)
        await self._sending.send(tx, renewal, bindings, now=now)
        tx.after_commit(self._ring)

    async def grouped(self, tx: Transaction, event: Event[LineagesGrouped]) -> None:
        """Remember which groups lineages are in: who may see what hangs on them."""
        said = event.data
        await store.LINEAGES.tell(tx, said.group_id, joined=said.joined, left=said.left, at=event.time)

    async def page(
        self, *, after: str | None, limit: int, caller: Principal, **asked: str | None
    ) -> Sequence[store.Deployment]:
        """Return deployments that the caller sees with these values, newest first, one more than `limit` where there are more."""
        having = {name: value for name, value in asked.items() if value is not None}
        async with self._database.read() as session:
            return await store.deployments(session, after=after, limit=limit, scope=caller.scope, **having)

    async def get(
        self, deployment_id: str, *, caller: Principal
    ) -> tuple[store.Deployment, Sequence[store.Step]]:
        """Return a deployment and its steps, oldest first. Raises `NotFound`."""
        async with self._database.read() as session:
            held = await session.get(store.Deployment, deployment_id)
            row = await _seen(session, held, deployment_id, caller=caller)
            return row, await store.steps_of(session, deployment_id)

    async def retry(self, deployment_id: str, *, caller: Principal, now: datetime) -> store.Deployment:
        """Try again at once, with all attempts again. Raises `Conflict` where there is nothing to try."""
        async with self._database.transaction() as tx:
            held = await tx.session.get(store.Deployment, deployment_id, with_for_update=True)
            row = await _seen(tx.session, held, deployment_id, caller=caller)
            if row.state in (
                State.DEPLOYED,
                State.SUPERSEDED,
                State.CANCELLED,
                State.RUNNING,
                State.WATCHING,
            ):
                raise Conflict(
                    f"The deployment is {row.state}.",
                    next_step="Only one that failed or waits is tried again.",
                )
            if row.phase == Phase.OVER:
                row.phase, row.attempt = Phase.START, 0
            row.state, row.next_attempt_at, row.updated_at = State.PENDING, now, now
            tx.record(Change(kind="deployment", verb="retried", id=row.id, lineage_id=row.lineage_id))
            tx.after_commit(self._ring)
        return row

    async def override(
        self, deployment_id: str, *, reason: str, caller: Principal, now: datetime
    ) -> store.Deployment:
        """Have it done now, whatever windows and freezes say: on record as a step, and told. Raises `NotFound` or `Conflict`."""
        async with self._database.transaction() as tx:
            held = await tx.session.get(store.Deployment, deployment_id, with_for_update=True)
            row = await _seen(tx.session, held, deployment_id, caller=caller)
            if row.phase != Phase.START or row.hold not in (Hold.WINDOW, Hold.FREEZE):
                raise Conflict(
                    "The deployment does not wait for a window.",
                    next_step="Only what waits for one, or for the end of a freeze, is hurried.",
                )
            target = await tx.session.get_one(store.Target, row.target_id)
            tx.session.add(_override_step(row, f"{caller.name} does not wait: {reason}", now=now))
            overridden = WindowOverridden(
                deployment_id=row.id,
                lineage_id=row.lineage_id,
                target=target.name,
                waited_for=row.hold_reason or "",
                reason=reason,
                overridden_by=caller.id,
                overridden_at=now,
            )
            tx.emit(overridden, now=now)
            row.overridden_by, row.next_attempt_at, row.updated_at = caller.id, now, now
            tx.after_commit(self._ring)
        return row


def _override_step(row: store.Deployment, text: str, *, now: datetime) -> store.Step:
    return store.Step(
        id=new_id(),
        deployment_id=row.id,
        attempt=row.attempt + 1,
        at=now,
        step="override",
        ok=True,
        text=text,
    )


async def _seen(
    session: AsyncSession, row: store.Deployment | None, deployment_id: str, *, caller: Principal
) -> store.Deployment:
    if row is None or not await sees_lineage(session, row.lineage_id, caller=caller):
        raise NotFound(
            f"There is no deployment {deployment_id}.", next_step="List them with GET /v1/deployments."
        )
    return row
