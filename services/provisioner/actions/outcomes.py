"""What a deployment's row becomes, and what is told, when an attempt gets on, gets through, or fails."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from pydantic_core import to_jsonable_python

from services.provisioner import store
from services.provisioner.actions.places import place_of, settled
from services.provisioner.actions.targets import read_slot
from services.provisioner.connectors import Part, Slot
from services.provisioner.connectors.registry import Kind, target_kind
from services.provisioner.connectors.wire import Endpoint
from services.provisioner.domain import (
    WAY_BACK,
    DeploymentError,
    Failure,
    NotYet,
    Phase,
    Schedule,
    State,
    needs_a_person,
    next_step,
)
from services.provisioner.store.audited import AUDITED
from shared.audit import BOOKKEEPING
from shared.audit import Change as Audited
from shared.documents import holds_secret, revealed
from shared.events.provisioner import CertificateDeployed, DeploymentFailed
from shared.sealing import Sealer
from shared.store import UnitOfWork


@dataclass(frozen=True, kw_only=True)
class Job:
    """What an attempt is about, as it stands."""

    row: store.Deployment
    binding: store.Binding
    target: store.Target
    renewal: store.Renewal
    sealer: Sealer = field(repr=False)

    @property
    def kind(self) -> Kind:
        """Return the kind of target."""
        return target_kind(self.target.kind)

    @cached_property
    def slot(self) -> Slot:
        """Return the slot, as the kind of target knows it."""
        return read_slot(self.kind, self.binding.slot)

    @cached_property
    def endpoints(self) -> list[Endpoint]:
        """Return what serves the slot."""
        return [Endpoint.model_validate(endpoint) for endpoint in self.binding.endpoints]

    @cached_property
    def chain(self) -> tuple[bytes, ...]:
        """Return the certificates as DER, leaf first."""
        return tuple(base64.b64decode(text) for text in self.renewal.chain)

    @property
    def undo(self) -> Part:
        """Return what the target needs to know to go back. Raises `CannotOpen`."""
        row, document = self.row, self.row.undo
        if row.sealed_undo is not None:
            document = json.loads(self.sealer.open(row.sealed_undo, row=_undo_row(row.id)))
        return self.kind.undo_type.model_validate(document)

    def begin_staging(self, sealed_key: bytes | None) -> None:
        """New files may lie on the target from now on; there is no key where that was made there."""
        self.row.phase, self.row.sealed_key = Phase.STAGING, sealed_key

    def begin_binding(self, undo: Part, *, served_before: list[str | None]) -> None:
        """The new files may be in force from now on, and this is the way back."""
        self.row.phase, self.row.served_before = Phase.BINDING, served_before
        if holds_secret(undo):
            document = json.dumps(revealed(undo), default=to_jsonable_python).encode()
            self.row.sealed_undo = self.sealer.seal(document, row=_undo_row(self.row.id))
        else:
            self.row.undo = undo.model_dump(mode="json")

    def end(self, *, now: datetime) -> None:
        """It was seen in place and tidied up after: it is over."""
        self.row.undo = self.row.sealed_undo = self.row.served_before = None
        store.finish(self.row, state=State.DEPLOYED, now=now)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of a deployment, within one transaction."""

    tx: UnitOfWork
    row: store.Deployment
    job: Job
    now: datetime

    def begin_watching(self, span: timedelta, *, every: timedelta) -> None:
        """Remember that the certificate was seen in place, and until when that has to last."""
        row = self.row
        row.phase, row.state, row.sealed_key = Phase.WATCHING, State.WATCHING, None
        row.watch_until, row.repairs = self.now + span, 0
        self.watch_on(every=every)

    def watch_on(self, *, every: timedelta) -> None:
        """Look again in a while."""
        until = self.row.watch_until or self.now
        self.row.next_attempt_at = min(self.now + every, until)

    async def succeed(
        self, *, lease: str, steps: Sequence[store.Noted], look_every: timedelta | None = None
    ) -> None:
        """Remember, and tell, that the certificate was seen in place. Raises `LeaseLost`."""
        row = self.row
        await store.hold(self.tx, row, lease=lease)
        if self.job.binding.drifted_at is not None:
            self.tx.emit(settled(self.job.binding, at=self.now), now=self.now)
        before = _shown(row)
        row.state, row.phase, row.updated_at = State.DEPLOYED, Phase.TIDYING, self.now
        row.watch_until = row.discovery = row.discovered_at = None
        row.deployed_at, row.repairs = self.now, 0
        row.sealed_key = row.failure = row.failed_step = row.reason = row.restored = None
        look_at = self.now + look_every if look_every is not None else None
        rest = await store.keep_in_place(self.tx, row, lease=lease, look_at=look_at, steps=steps)
        if rest.keys:
            await self._be_done_with_keys()
        self._record(before)
        places = [place_of(each) for each in self.job.endpoints]
        event = CertificateDeployed(
            lineage_id=row.lineage_id,
            order_id=row.order_id,
            deployment_id=row.id,
            target=self.job.target.name,
            old_fingerprint=self.job.renewal.old_fingerprint,
            fingerprint=row.fingerprint,
            places=places,
            is_last=not rest.others,
            deployed_at=self.now,
        )
        self.tx.emit(event, now=self.now)

    def _record(self, before: dict[str, Any]) -> None:
        """Have the change in the audit trail, as the session would that had written the row."""
        row, after = self.row, _shown(self.row)
        changed = [name for name, value in after.items() if value != before[name]]
        self.tx.record(
            Audited(
                kind=AUDITED[store.Deployment].kind,
                verb="changed",
                id=row.id,
                before={name: before[name] for name in changed},
                after={name: after[name] for name in changed},
                lineage_id=row.lineage_id,
            )
        )

    async def _be_done_with_keys(self) -> None:
        row = self.row
        await store.key_is_bound(self.tx, order_id=row.order_id, now=self.now)
        # Keys that were made for older certificates of this slot wait in vain.
        await store.clear_older_keys(
            self.tx, binding_id=row.binding_id, older_than=row.renewed_at, now=self.now
        )

    def turn_back(self, error: DeploymentError) -> None:
        """Remember why, and that the target is to become as it was before."""
        self._blame(error)
        self.row.phase, self.row.repairs = WAY_BACK[Phase(self.row.phase)], 0

    def wait(self, later: NotYet) -> None:
        """Remember what is waited for; it is looked at again in a while."""
        row = self.row
        row.next_attempt_at = self.now + later.again
        if row.phase == Phase.RESTORING:
            row.restored = False  # why it is put back stays the reason
        else:
            row.reason = later.reason

    def fail(self, error: DeploymentError, *, schedule: Schedule) -> None:
        """Remember that nothing was touched, or that tidying up or the way back has not ended yet."""
        if self.row.phase == Phase.START:
            self._blame(error)
            self.conclude(schedule)
        else:
            self._try_again_soon(error, schedule=schedule)

    def _try_again_soon(self, error: DeploymentError, *, schedule: Schedule) -> None:
        row = self.row
        row.repairs += 1
        row.next_attempt_at = schedule.next_repair(attempt=row.repairs, now=self.now)
        if row.phase == Phase.TIDYING:
            return
        if needs_a_person(error.failure):
            row.state, row.next_attempt_at = State.NEEDS_ATTENTION, None
        row.restored = False
        reason = f"{row.reason} What was there before could not be put back yet: {error.detail}"
        self._tell(reason=reason, what_to_do=error.next_step)

    def conclude(self, schedule: Schedule) -> None:
        """End a failed attempt, the target being as it was before; remember and tell what follows."""
        row, failure = self.row, Failure(self.row.failure or Failure.UNFORESEEN)
        row.attempt += 1
        row.undo = row.sealed_undo = row.served_before = None
        row.repairs, row.restored = 0, True
        row.state = State.RESTORED if row.phase == Phase.RESTORING else State.WAITING
        row.phase, row.watch_until = Phase.START, None
        row.next_attempt_at = schedule.next_attempt(attempt=row.attempt, now=self.now)
        if needs_a_person(failure):
            row.state, row.next_attempt_at = State.NEEDS_ATTENTION, None
        elif row.next_attempt_at is None:
            store.finish(row, state=State.FAILED, now=self.now)
        self._tell(reason=row.reason or "", what_to_do=next_step(failure))

    def _blame(self, error: DeploymentError) -> None:
        row = self.row
        row.failure, row.failed_step, row.reason = error.failure, error.step, error.detail

    def _tell(self, *, reason: str, what_to_do: str) -> None:
        row = self.row
        event = DeploymentFailed(
            lineage_id=row.lineage_id,
            order_id=row.order_id,
            deployment_id=row.id,
            target=self.job.target.name,
            fingerprint=row.fingerprint,
            step=row.failed_step or "",
            reason=reason,
            next_step=what_to_do,
            restored=bool(row.restored),
            attempt=row.attempt,
            next_attempt_at=row.next_attempt_at,
            old_fingerprint=self.job.renewal.old_fingerprint,
        )
        self.tx.emit(event, now=self.now)


def _shown(row: store.Deployment) -> dict[str, Any]:
    """Return what the audit trail shows of what changes of a deployment that was seen in place."""
    hidden = AUDITED[store.Deployment].leave_out | BOOKKEEPING
    return {name: getattr(row, name) for name in store.IN_PLACE if name not in hidden}


def _undo_row(deployment_id: str) -> str:
    return f"provisioner/deployments/{deployment_id}/undo"
