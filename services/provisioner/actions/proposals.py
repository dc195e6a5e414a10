"""Proposals of bindings: made from what configurations use, and accepted with one call."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from services.provisioner import store
from services.provisioner.actions.accesses import Document
from services.provisioner.actions.bindings import Bindings, NewBinding
from services.provisioner.actions.scopes import sees_lineage
from services.provisioner.actions.targets import NewTarget, Targets, found
from services.provisioner.connectors.file_slots import PEM, FilesSlot
from services.provisioner.connectors.inventory import Inventory, not_known
from services.provisioner.connectors.registry import target_kind
from services.provisioner.connectors.wire import Endpoint
from services.provisioner.domain.proposals import Plan, State, names_chain, obstacle, plan, products
from shared.access import Principal
from shared.errors import Conflict, NotFound
from shared.events import Event
from shared.events.discovery import CertificateFound, Held, PlaceLost
from shared.groups import listed
from shared.ids import new_id
from shared.store import Database, Transaction


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which proposals."""

    host: str | None = None
    product: str | None = None
    fingerprint: str | None = None
    lineage_id: str | None = None
    state: State | None = None
    is_ready: bool | None = None


@dataclass(frozen=True, kw_only=True)
class HostTarget:
    """A target that is made known with an acceptance; None for what the proposal says itself."""

    name: str | None = None
    kind: str = "files"
    host: str | None = None
    port: int = 22
    username: str
    host_key: str
    credential: Document | None = field(default=None, repr=False)
    credential_of: str | None = None
    """The target whose credential this one takes too, in place of one of its own."""
    options: Document = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """What is said with an acceptance; None for what the proposal says itself."""

    target_id: str | None = None
    target: HostTarget | None = None
    lineage_id: str | None = None
    test_command: str | None = None
    reload_command: str | None = None
    endpoints: Sequence[Endpoint] | None = None
    deploy_now: bool = True


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """A proposal as it stands."""

    row: store.Proposal
    held: Held
    plan: Plan
    binding: store.Bound | None

    @property
    def state(self) -> State:
        """Return what has become of it."""
        if self.row.gone_at is not None:
            return State.GONE
        return State.BOUND if self.binding is not None else State.OPEN


class Proposals:
    """What could be bound."""

    def __init__(
        self, database: Database, *, targets: Targets, bindings: Bindings, inventory: Inventory
    ) -> None:
        self._database = database
        self._targets = targets
        self._bindings = bindings
        self._inventory = inventory

    async def seen(self, tx: Transaction, event: Event[CertificateFound]) -> None:
        """Take in how a store keeps a certificate and what its configuration uses it for; mostly as before."""
        said, held = event.data, event.data.held
        if held is None or said.place.path is None:
            return
        host, path = said.place.address, said.place.path
        known = await store.proposal_at(tx.session, host=host, path=path)
        if not held.uses and (known is None or known.gone_at is not None):
            return
        row = store.Proposal(
            id=new_id(),
            host=host,
            path=path,
            fingerprint=said.fingerprint,
            products=f",{','.join(products(held))},"[:500],
            held=held.model_dump(mode="json") if held.uses or known is None else known.held,
            obstacle=obstacle(held, path=path, host=host),
            observed_at=said.observed_at,
            groups=listed(said.groups),
            gone_at=None if held.uses else said.observed_at,
        )
        if known is None or _differ(known, row):
            had_chain = known is not None and _chain_of(known) is not None
            await store.keep_proposal(tx, row)
            if had_chain or _chain_of(row) is not None:
                await _settle_chains(tx, host)

    async def lost(self, tx: Transaction, event: Event[PlaceLost]) -> None:
        """Take in that a store is not there any more."""
        said = event.data
        if said.place.kind != "store" or said.place.path is None:
            return
        known = await store.proposal_at(tx.session, host=said.place.address, path=said.place.path)
        if known is not None and known.observed_at <= said.observed_at:
            known.gone_at, known.observed_at = said.observed_at, said.observed_at
            await tx.session.flush()
            if _chain_of(known) is not None:
                await _settle_chains(tx, known.host)

    async def page(self, asked: Asked, *, after: str | None, limit: int, caller: Principal) -> list[Proposed]:
        """Return proposals that the caller sees, the newest first, one more than `limit` where there are more."""
        async with self._database.read() as session:
            rows = await store.proposals(
                session,
                after=after,
                limit=limit,
                scope=caller.scope,
                host=asked.host,
                product=asked.product,
                fingerprint=asked.fingerprint,
                lineage_id=asked.lineage_id,
                state=asked.state,
                is_ready=asked.is_ready,
            )
            bound = await store.bound(session, [row.id for row in rows], scope=caller.scope)
        return [_proposed(row, bound.get(row.id)) for row in rows]

    async def get(self, proposal_id: str, *, caller: Principal) -> Proposed:
        """Return a proposal. Raises `NotFound`."""
        async with self._database.read() as session:
            row = _found(await session.get(store.Proposal, proposal_id), proposal_id, caller=caller)
            bound = await store.bound(session, [row.id], scope=caller.scope)
        return _proposed(row, bound.get(row.id))

    async def accept(
        self, proposal_id: str, said: Acceptance, *, caller: Principal, now: datetime
    ) -> store.Binding:
        """Make the binding. Raises `NotFound`, `Conflict` where it cannot be, `Invalid` or `Unavailable`."""
        fingerprint = (await self.get(proposal_id, caller=caller)).row.fingerprint
        lineage = said.lineage_id or await self._lineage_of(fingerprint, caller=caller)
        async with self._database.transaction() as tx:
            row = _found(await store.proposal_to_accept(tx, proposal_id), proposal_id, caller=caller)
            if row.fingerprint != fingerprint and said.lineage_id is None:
                raise Conflict(
                    "The file holds another certificate since a moment ago.", next_step="Try again."
                )
            _must_be_ready(row, said)
            await _refuse_shared_chain(tx, row)
            target = await self._target(tx, row, said, caller=caller, now=now)
            new = NewBinding(
                lineage_id=lineage,
                target_id=target.id,
                slot=_slot(row, target, said),
                endpoints=said.endpoints or _endpoints(row, target),
                deploy_now=said.deploy_now,
            )
            binding = await self._bindings.add(tx, new, caller=caller, now=now)
            row.binding_id = binding.id
        return binding

    async def _lineage_of(self, fingerprint: str, *, caller: Principal) -> str:
        """Return what inventory says to us, where the caller sees that too. Raises `NotFound` or `Unavailable`."""
        lineage_id = await self._inventory.lineage_of(fingerprint)
        async with self._database.read() as session:
            if not await sees_lineage(session, lineage_id, caller=caller):
                raise not_known(fingerprint)
        return lineage_id

    async def _target(
        self, tx: Transaction, row: store.Proposal, said: Acceptance, *, caller: Principal, now: datetime
    ) -> store.Target:
        if said.target is None:
            return await _known_target(tx, row, said.target_id, caller=caller)
        caller.require("targets:write")
        given = said.target
        host = given.host or row.host
        credential = given.credential
        if credential is None:
            credential = await self._targets.credential_of(tx, given.credential_of or "", caller=caller)
        new = NewTarget(
            name=given.name or host,
            kind=given.kind,
            host=host,
            port=given.port,
            username=given.username,
            host_key=given.host_key,
            credential=credential,
            options=given.options,
        )
        return await self._targets.add(tx, new, caller=caller, now=now)


def _differ(known: store.Proposal, row: store.Proposal) -> bool:
    told = ("fingerprint", "products", "held", "groups", "gone_at")
    return any(getattr(known, name) != getattr(row, name) for name in told)


def _proposed(row: store.Proposal, binding: store.Bound | None) -> Proposed:
    held = Held.model_validate(row.held)
    return Proposed(row=row, held=held, plan=plan(held, path=row.path, reached_at=row.host), binding=binding)


def _must_be_ready(row: store.Proposal, said: Acceptance) -> None:
    if row.gone_at is not None:
        raise Conflict(
            f"No configuration on {row.host} uses {row.path} any more.",
            next_step="Read the source again, and list proposals with GET /v1/proposals.",
        )
    reason = obstacle(
        Held.model_validate(row.held),
        path=row.path,
        host=row.host,
        has_reload=said.reload_command is not None,
        has_endpoints=bool(said.endpoints),
    )
    if reason is not None:
        raise Conflict(reason, next_step="Put it in place by hand, or bind it with POST /v1/bindings.")


async def _settle_chains(tx: Transaction, host: str) -> None:
    """Say of each proposal of a host whether the file of its chain is in its way, now that one of them has changed."""
    rows = await store.proposals_of_host(tx.session, host)
    for row in rows:
        own = obstacle(Held.model_validate(row.held), path=row.path, host=host)
        row.obstacle = own or _shared_chain(row, rows)
    await tx.session.flush()


async def _refuse_shared_chain(tx: Transaction, row: store.Proposal) -> None:
    """Raise `Conflict` where the file of the chain belongs to another certificate too."""
    reason = _shared_chain(row, await store.proposals_of_host(tx.session, row.host))
    if reason is not None:
        raise Conflict(
            reason,
            next_step="Give each certificate a file for its chain, or let the chain follow the leaf in its file.",
        )


def _shared_chain(row: store.Proposal, of_host: Sequence[store.Proposal]) -> str | None:
    """Return that the file of the chain belongs to another certificate too: its chain would be exchanged with ours."""
    chain = _chain_of(row)
    if chain is None:
        return None
    for other in of_host:
        if other.id != row.id and names_chain(Held.model_validate(other.held), path=other.path, chain=chain):
            return f"{chain} is the chain of {other.path} too."
    return None


def _chain_of(row: store.Proposal) -> str | None:
    return _planned(row, reached_at=row.host).chain_path


async def _known_target(
    tx: Transaction, row: store.Proposal, target_id: str | None, *, caller: Principal
) -> store.Target:
    if target_id is not None:
        return found(await tx.session.get(store.Target, target_id), target_id, caller=caller)
    device = _planned(row, reached_at=row.host).device
    if device is not None:
        return await _known_device(tx, row, device.kind, caller=caller)
    # Not by the addresses that the host says it has: another host's target is not for it to choose.
    candidates = [
        target
        for target in await store.targets_of_host(tx.session, row.host, scope=caller.scope)
        if issubclass(target_kind(target.kind).slot_type, FilesSlot)
    ]
    # One of the product's own kind knows how its server is started.
    fitting = sorted(
        candidates, key=lambda target: (row.products != f",{target.kind},", target.host != row.host)
    )
    if not fitting:
        raise Conflict(
            f"There is no target for {row.host}.",
            next_step="Make the host known with POST /v1/targets, or here in `target`; or name a target in target_id.",
        )
    return fitting[0]


async def _known_device(
    tx: Transaction, row: store.Proposal, kind: str, *, caller: Principal
) -> store.Target:
    """Return the target of this kind whose API is at the address that the source has for the device."""
    for target in await store.targets_of_kind(tx.session, kind, scope=caller.scope):
        if urlsplit(str(target.options.get("url", ""))).hostname == row.host.lower():
            return target
    raise Conflict(
        f"There is no target of the kind {kind} for {row.host}.",
        next_step="Make it known with POST /v1/targets, and name the target in target_id.",
    )


def _planned(row: store.Proposal, *, reached_at: str) -> Plan:
    return plan(Held.model_validate(row.held), path=row.path, reached_at=reached_at)


def _slot(row: store.Proposal, target: store.Target, said: Acceptance) -> dict[str, Any]:
    wanted = _planned(row, reached_at=target.host or row.host)
    if wanted.device is not None:
        return dict(wanted.device.slot)
    is_its_own = row.products == f",{target.kind},"
    slot = {
        "certificate_path": wanted.certificate_path,
        "key_path": wanted.key_path,
        "chain_path": wanted.chain_path,
        "chain": None if wanted.chain else False,
        "key_first": wanted.key_first or None,
        "format": None if wanted.format == PEM else wanted.format,
        "alias": wanted.alias,
        "test_command": said.test_command or (None if is_its_own else wanted.test_command),
        "reload_command": said.reload_command or (None if is_its_own else wanted.reload_command),
    }
    return {name: value for name, value in slot.items() if value is not None}


def _endpoints(row: store.Proposal, target: store.Target) -> list[Endpoint]:
    return [
        Endpoint(address=each.address, port=each.port, server_name=each.server_name, starttls=each.starttls)
        for each in _planned(row, reached_at=target.host or row.host).endpoints
    ]


def _found(row: store.Proposal | None, proposal_id: str, *, caller: Principal) -> store.Proposal:
    if row is None or not caller.sees(row.groups):
        raise NotFound(f"There is no proposal {proposal_id}.", next_step="List them with GET /v1/proposals.")
    return row
