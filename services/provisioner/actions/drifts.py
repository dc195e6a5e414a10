"""Bound slots that somebody else has changed: noticed by discovery's word or by a look of our own, told, and put right."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from services.provisioner import store
from services.provisioner.actions.places import drifted, place_of, settled
from services.provisioner.connectors.wire import Endpoint, Wire
from services.provisioner.domain import Phase, State
from services.provisioner.domain.drift import Finding, OnDrift, Strange, finding, is_put_right, strange
from shared.events import Event
from shared.events.discovery import CertificateFound
from shared.events.inventory import CertificateStale
from shared.ids import new_id
from shared.store import Database, Transaction

SEEN, STALE = "seen", "stale"
"""What discovery has seen of a deployment."""
_AT_ONCE = 20


class Drifts:
    """What is in bound slots, beside what we put there."""

    def __init__(
        self, database: Database, *, wire: Wire, every: timedelta | None, ring: Callable[[], None]
    ) -> None:
        """`every` is the time between two looks at a binding; None for no look of our own."""
        self._database = database
        self._wire = wire
        self._every = every
        self._ring = ring

    async def found(self, tx: Transaction, event: Event[CertificateFound], *, now: datetime) -> None:
        """Take in what discovery has seen at a place; mostly nothing is bound there."""
        said = event.data
        if not await store.is_any_bound_at(tx.session, said.place.key):
            return
        for binding in await store.bindings_at(tx, [said.place.key]):
            if binding.deployed_at is not None and said.observed_at > binding.deployed_at:
                await self._discovered(tx, binding, said.fingerprint, at=said.observed_at)
                seen = {said.place.key: said.fingerprint}
                await self._take_in(tx, binding, seen, at=said.observed_at, now=now)

    async def stale(self, tx: Transaction, event: Event[CertificateStale]) -> None:
        """Remember that discovery still sees the old certificate where we have put the new one."""
        said = event.data
        for binding in await store.bindings_at(tx, [place.key for place in said.places]):
            if binding.fingerprint == said.fingerprint:
                await self._discovered(tx, binding, said.old_fingerprint, at=said.observed_at)

    async def _discovered(
        self, tx: Transaction, binding: store.Binding, fingerprint: str, *, at: datetime
    ) -> None:
        row = await self._deployment(tx, binding)
        if row is not None and (row.discovered_at is None or row.discovered_at <= at):
            row.discovery = SEEN if fingerprint == binding.fingerprint else STALE
            row.discovered_at = at

    async def look(self, now: datetime) -> bool:
        """Shake hands with the endpoints of bindings that are due; return whether there may be more."""
        if self._every is None:
            return False
        async with self._database.read() as session:
            if not await store.is_any_binding_due(session, now):
                return False
        async with self._database.transaction() as tx:
            due = await store.bindings_to_look_at(tx, now=now, pause=self._every, limit=_AT_ONCE)
            endpoints = {row.id: [Endpoint.model_validate(each) for each in row.endpoints] for row in due}
        # Side by side, and with no transaction open: one that does not answer keeps nobody waiting.
        seen = await asyncio.gather(*(self._seen(each) for each in endpoints.values()))
        for binding_id, shown in zip(endpoints, seen, strict=True):
            async with self._database.transaction() as tx:
                binding = await tx.session.get(store.Binding, binding_id, with_for_update=True)
                if binding is not None and (binding.deployed_at is None or binding.deployed_at < now):
                    await self._take_in(tx, binding, shown, at=now, now=now)
        return len(due) == _AT_ONCE

    async def _seen(self, endpoints: list[Endpoint]) -> dict[str, str | None]:
        shown = await asyncio.gather(*(self._wire.served(each) for each in endpoints))
        return {place_of(each).key: one for each, one in zip(endpoints, shown, strict=True)}

    async def _take_in(
        self,
        tx: Transaction,
        binding: store.Binding,
        seen: Mapping[str, str | None],
        *,
        at: datetime,
        now: datetime,
    ) -> None:
        if binding.fingerprint is None or await store.is_on_its_way(tx.session, binding.id):
            return
        other = strange(seen, expected=binding.fingerprint)
        if other is not None:
            await self._drifted(tx, binding, other, at=at, now=now)
            return
        is_over = finding(seen, expected=binding.fingerprint) is Finding.SETTLED
        if is_over and binding.drift is not None and binding.drift["place"] in seen:
            binding.drift = binding.drifted_at = None
            tx.emit(settled(binding, at=at), now=now)

    async def _drifted(
        self, tx: Transaction, binding: store.Binding, other: Strange, *, at: datetime, now: datetime
    ) -> None:
        told = binding.drift
        is_new = told is None or told["fingerprint"] != other.fingerprint
        puts_right = is_put_right(OnDrift(binding.on_drift), last=binding.put_right_at, now=now)
        puts_right = puts_right and await self._put_right(tx, binding, other, now=now)
        if is_new:
            binding.drift = {"place": other.place, "fingerprint": other.fingerprint}
            binding.drifted_at = binding.drifted_at or at
            target = await tx.session.get_one(store.Target, binding.target_id)
            tx.emit(drifted(binding, other, target=target, is_put_right=puts_right, at=at), now=now)

    async def _put_right(
        self, tx: Transaction, binding: store.Binding, other: Strange, *, now: datetime
    ) -> bool:
        """Have the certificate put there again; return False where its key is not to be had."""
        row = await self._deployment(tx, binding)
        if row is None:
            return False
        renewal = await tx.session.get_one(store.Renewal, row.order_id)
        if renewal.key_is_on_target:  # it was moved into its place, and is gone with what stood there
            return False
        row.state, row.phase, row.attempt, row.next_attempt_at = State.PENDING, Phase.START, 0, now
        row.overridden_by, row.updated_at, binding.put_right_at = None, now, now
        text = f"{other.place} shows {other.fingerprint}, which we did not put there: it is put right."
        tx.session.add(_step(row, text, now=now))
        tx.after_commit(self._ring)
        return True

    @staticmethod
    async def _deployment(tx: Transaction, binding: store.Binding) -> store.Deployment | None:
        if binding.fingerprint is None:
            return None
        return await store.last_deployed(tx, binding.id, fingerprint=binding.fingerprint)


def _step(row: store.Deployment, text: str, *, now: datetime) -> store.Step:
    return store.Step(
        id=new_id(), deployment_id=row.id, attempt=row.attempt + 1, at=now, step="drift", ok=False, text=text
    )
