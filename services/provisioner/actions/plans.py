"""A dry run: what the next deployments of a lineage would do, in which order and when, and what stands in the way."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.provisioner import store
from services.provisioner.actions.accesses import where
from services.provisioner.actions.rollouts import waves_of
from services.provisioner.actions.scopes import require_lineage, sees_lineage
from services.provisioner.actions.targets import read_options, read_slot
from services.provisioner.actions.timing import opening_of
from services.provisioner.connectors import MakesKeys
from services.provisioner.connectors.planning import TIDY, Coming, PlannedStep, planned
from services.provisioner.connectors.registry import target_kind
from services.provisioner.connectors.wire import Endpoint
from services.provisioner.domain.order import CANARY, arranged, in_waves
from services.provisioner.domain.windows import Opening
from shared.access import Principal
from shared.errors import EverleafError, NotFound
from shared.store import Database
from shared.x509 import fingerprint


@dataclass(frozen=True, kw_only=True)
class SlotPlan:
    """What would be done in one slot."""

    binding: store.Binding
    target: str
    position: int
    """In the order of the lineage, from 1."""
    wave: int
    opens: Opening
    """The first instant at which its target may be changed, as windows and freezes are now."""
    after: Sequence[str]
    """The slots that come first."""
    approval_rules: Sequence[str]
    """The names of the rules by which people have to agree before."""
    steps: Sequence[PlannedStep]
    endpoints: Sequence[str]
    obstacles: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What would be done for a lineage, in its order."""

    lineage_id: str
    latest: store.Renewal | None
    """The newest certificate; None where the first is still to come."""
    policy: store.RolloutPolicy | None
    slots: Sequence[SlotPlan]


class Plans:
    """Says what would be done. Connects to nothing, and changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_lineage(
        self, lineage_id: str, *, order_id: str | None = None, caller: Principal, now: datetime
    ) -> Plan:
        """Return the plan of all bindings of a lineage, for its newest certificate or that of an order. Raises `NotFound`."""
        async with self._database.read() as session:
            await require_lineage(session, lineage_id, caller=caller)
            return await _plan(session, lineage_id, order_id=order_id, now=now)

    async def of_binding(self, binding_id: str, *, caller: Principal, now: datetime) -> Plan:
        """Return the plan of one binding. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await session.get(store.Binding, binding_id)
            if row is None or not await sees_lineage(session, row.lineage_id, caller=caller):
                raise NotFound(
                    f"There is no binding {binding_id}.", next_step="List them with GET /v1/bindings."
                )
            return await _plan(session, row.lineage_id, only=binding_id, now=now)


async def _plan(
    session: AsyncSession,
    lineage_id: str,
    *,
    order_id: str | None = None,
    only: str | None = None,
    now: datetime,
) -> Plan:
    bindings = {row.id: row for row in await store.bindings_of_lineage(session, lineage_id)}
    policy = await session.get(store.RolloutPolicy, lineage_id)
    latest = await _renewal(session, lineage_id, order_id)
    order = arranged({row.id: row.after for row in bindings.values()})
    waves = in_waves(order, waves_of(policy)) if policy is not None else dict.fromkeys(order, CANARY)
    return Plan(
        lineage_id=lineage_id,
        latest=latest,
        policy=policy,
        slots=[
            await _slot(
                session,
                bindings,
                each,
                position=position,
                wave=waves[each],
                coming=_coming(latest),
                now=now,
            )
            for position, each in enumerate(order, start=1)
            if only in (None, each)
        ],
    )


async def _renewal(session: AsyncSession, lineage_id: str, order_id: str | None) -> store.Renewal | None:
    if order_id is None:
        return await store.latest_renewal(session, lineage_id)
    row = await session.get(store.Renewal, order_id)
    if row is None or row.lineage_id != lineage_id:
        raise NotFound(
            f"The lineage has no certificate of the order {order_id}.",
            next_step="Leave the order out for the newest certificate.",
        )
    return row


async def _slot(
    session: AsyncSession,
    bindings: Mapping[str, store.Binding],
    binding_id: str,
    *,
    position: int,
    wave: int,
    coming: Coming,
    now: datetime,
) -> SlotPlan:
    binding = bindings[binding_id]
    target = await session.get_one(store.Target, binding.target_id)
    endpoints = [Endpoint.model_validate(each) for each in binding.endpoints]
    obstacles: list[str] = []
    steps: list[PlannedStep] = []
    try:
        steps = list(_steps(binding, target, endpoints, coming=coming))
    except EverleafError as error:  # what a later version of a kind does not take any more
        obstacles.append(error.detail)
    obstacles.extend(
        f"The deployment {deployment.id} is {deployment.state}: "
        f"{deployment.hold_reason or deployment.reason or 'it is on its way'}"
        for deployment in await store.unfinished_of_binding(session, binding_id)
    )
    if binding.drift is not None:
        obstacles.append(f"{binding.drift['place']} shows {binding.drift['fingerprint']}, which is not ours.")
    return SlotPlan(
        binding=binding,
        target=target.name,
        position=position,
        wave=wave,
        opens=await opening_of(session, target, now=now),
        approval_rules=[rule.name for rule in await store.rules_for(session, target)],
        after=[bindings[each].slot_key for each in binding.after if each in bindings],
        steps=steps,
        endpoints=[str(each) for each in endpoints],
        obstacles=obstacles,
    )


def _coming(renewal: store.Renewal | None) -> Coming:
    if renewal is None:
        return Coming()
    issuers = [fingerprint(base64.b64decode(each)) for each in renewal.chain[1:]]
    return Coming(fingerprint=renewal.fingerprint, issuers=issuers)


def _steps(
    binding: store.Binding, target: store.Target, endpoints: Sequence[Endpoint], *, coming: Coming
) -> Iterator[PlannedStep]:
    kind = target_kind(target.kind)
    slot, options = read_slot(kind, binding.slot), read_options(kind, target.options)
    yield PlannedStep(step="connect", text=f"Log in to {where(target)}.")
    keys = "renewal" if not issubclass(kind, MakesKeys) else "renewal, or take the one that waits there"
    yield PlannedStep(step="fetch key", text=f"Fetch the key from {keys}; compare it with the certificate.")
    steps = planned(kind, slot, options=options, where=target.name, coming=coming)
    yield from (step for step in steps if step.step != TIDY)
    for endpoint in endpoints:
        yield PlannedStep(
            step="verify", text=f"Shake hands with {endpoint}: it must serve the new certificate."
        )
    last = [step for step in steps if step.step == TIDY]
    yield from last or [PlannedStep(step=TIDY, text="Remove what was kept for a way back.")]
