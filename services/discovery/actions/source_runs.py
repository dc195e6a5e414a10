"""The work on sources: each run is read page by page by one process at a time, and goes on where it stood.

What a page shows, the events that tell of it, and the position change in one transaction.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from pydantic import BaseModel

from services.discovery import store
from services.discovery.actions.accesses import Accesses
from services.discovery.actions.leases import while_held
from services.discovery.actions.sources import recovered, start_run
from services.discovery.connectors.registry import readable_kind
from services.discovery.connectors.resolve import resolve
from services.discovery.domain.holdings import (
    Gap,
    Holding,
    Listener,
    Page,
    Use,
    is_hidden,
    storable,
    with_names,
)
from services.discovery.domain.networks import network_of
from services.discovery.domain.targets import is_address, parse_server_name
from shared import x509
from shared.clock import Clock
from shared.errors import EverleafError, Invalid, Unavailable
from shared.events.discovery import (
    CertificateFound,
    ConfiguredUse,
    Held,
    HeldKey,
    Listening,
    Place,
    PlaceLost,
    SourceFailed,
    SourceRead,
)
from shared.ids import new_id
from shared.store import Database, Transaction

LONGEST_NAME = 253
MOST_USES = 100
MOST_LISTENERS = 200
MOST_TOLD_NAMES = 2_000
MOST_PROTOCOLS = 20
LONGEST_CIPHERS = 1_000
MOST_ADDRESSES = 20
"""Of one certificate, in an event; all of them are with the holding."""
MOST_HOSTS = 200
"""Names of listeners that are resolved for one page."""
HOST_PATIENCE, HOSTS_PATIENCE = timedelta(seconds=2), timedelta(seconds=10)
"""For one name, and for all of a page."""
MOST_NAMES = 10_000
"""Configured names that are remembered of one page, counted for each address."""
MOST_GAPS = 1_000
"""Kept of one run."""
MOST_ATTEMPTS = 5
"""Of a run whose source does not answer."""
MOST_UNSEEN = 5.0
"""Seconds after which a process sees that a run is not its own any more; each look is a transaction."""
_FIRST_PAUSE = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True)
class SourceClaim:
    """A run that this process works on, as long as it keeps the lease."""

    run_id: str
    source_id: str
    lease: str


class SourceRuns:
    """Takes up runs and works them off, whatever number of processes there are."""

    def __init__(
        self,
        database: Database,
        *,
        accesses: Accesses,
        clock: Clock,
        lease: timedelta,
        misses_until_lost: int,
        room: store.Room,
    ) -> None:
        self._database = database
        self._accesses = accesses
        self._clock = clock
        self._lease = lease
        self._misses_until_lost = misses_until_lost
        self._room = room

    async def forget_leases(self) -> None:
        """Let go of what a killed process held: only where there can be no other process."""
        async with self._database.transaction() as tx:
            await store.end_run_lease(tx)

    async def claim(self, *, now: datetime) -> SourceClaim | None:
        """Start the runs whose time has come, and take one that nobody works on; None where there is none."""
        async with self._database.read() as session:
            if not await store.is_run_due(session, room=self._room, now=now):
                return None
        lease = new_id()
        async with self._database.transaction() as tx:
            for source in await store.due_sources(tx, now=now):
                await _start(tx, source, now=now)
            await tx.session.flush()
            until = now + self._lease
            run = await store.claim_run(tx, room=self._room, lease=lease, until=until, now=now)
            return SourceClaim(run_id=run.id, source_id=run.source_id, lease=lease) if run else None

    async def run(self, claim: SourceClaim) -> None:
        """Read a source to its end; a failure is kept in the run's row."""

        async def keep() -> bool:
            async with self._database.transaction() as tx:
                until = self._clock() + self._lease
                return await store.keep_run_lease(tx, claim.run_id, lease=claim.lease, until=until)

        async def let_go() -> None:
            async with self._database.transaction() as tx:
                await store.end_run_lease(tx, claim.lease)

        async def work() -> None:
            try:
                if await self._has_room(claim):
                    await self._read(claim)
            except EverleafError as error:
                await self._failed(claim, error)

        await while_held(
            work, keep=keep, let_go=let_go, every=min(MOST_UNSEEN, self._lease.total_seconds() / 4)
        )

    async def _has_room(self, claim: SourceClaim) -> bool:
        """Learn the network of a host that is named, once; give the run back where enough are read there."""
        async with self._database.read() as session:
            run = await session.get(store.SourceRun, claim.run_id)
        if run is None or run.host is None or run.network is not None:
            return True
        found, _ = await resolve([run.host])
        async with self._database.transaction() as tx:
            run = await store.run_to_update(tx, claim.run_id)
            if run is None or run.lease != claim.lease:
                return False
            run.network = next((network_of(each) for each in found.get(run.host or "", ())), None) or ""
            await tx.session.flush()
            has_room = await store.has_room(tx, run, room=self._room, now=self._clock())
            if not has_room:
                run.state, run.attempts = "queued", run.attempts - 1
        return has_room

    async def _read(self, claim: SourceClaim) -> None:
        async with self._database.read() as session:
            source = await session.get(store.SourceRow, claim.source_id)
            run = await session.get(store.SourceRun, claim.run_id)
        if source is None or run is None:
            return  # forgotten a moment ago
        async with readable_kind(source.kind).open(await self._accesses.of(source)) as opened:
            pages = opened.read(after=run.position)
            async with aclosing(pages):
                async for page in pages:
                    await self._keep(claim, await addressed(page))

    async def _keep(self, claim: SourceClaim, page: Page) -> None:
        now = self._clock()
        async with self._database.transaction() as tx:
            run = await store.run_to_update(tx, claim.run_id)
            if run is None or run.lease != claim.lease:
                return
            source = await tx.session.get_one(store.SourceRow, run.source_id)
            run.holdings += await keep_holdings(tx, page.holdings, run=run, groups=source.groups, now=now)
            run.gaps = _with_gaps(run.gaps, page.gaps)
            run.position = page.position
            if page.position is None:
                await finish(tx, run, misses_until_lost=self._misses_until_lost, now=now)

    async def _failed(self, claim: SourceClaim, error: EverleafError) -> None:
        now = self._clock()
        async with self._database.transaction() as tx:
            run = await store.run_to_update(tx, claim.run_id)
            if run is None or run.lease != claim.lease:
                return
            run.error, run.next_step = error.detail[:1000], error.next_step[:500]
            # Who said no says it again: with a wrong password, until the account is locked.
            if isinstance(error, Unavailable) and run.attempts < MOST_ATTEMPTS:
                run.next_attempt_at = now + _FIRST_PAUSE * 2 ** (run.attempts - 1)
            else:
                run.state, run.finished_at = "failed", now
                source = await tx.session.get_one(store.SourceRow, run.source_id)
                tx.emit(_failure(source, run=run, now=now), now=now)


async def keep_holdings(
    tx: Transaction,
    holdings: Iterable[Holding],
    *,
    run: store.SourceRun,
    groups: Sequence[str],
    now: datetime,
) -> int:
    """Keep what a run has shown, and tell of it; return how many certificates that are.

    `groups` are those of the source.
    """
    told = [storable(with_names(holding)) for holding in holdings]
    shown = {(holding.address, holding.path): holding for holding in told}
    for holding in shown.values():
        tx.emit(_found(holding, run=run, groups=groups, now=now), now=now)
    await store.write_holdings(tx, [_row(shown[key], run=run, now=now) for key in sorted(shown)])
    names = islice(_names(shown.values()), MOST_NAMES)
    await store.remember_names(tx, names, origin="configuration", now=now)
    return len(shown)


async def finish(tx: Transaction, run: store.SourceRun, *, misses_until_lost: int, now: datetime) -> None:
    """End a run that has shown all; what it has not shown is missed, and lost when that was so often enough."""
    run.state, run.finished_at, run.error, run.next_step = "finished", now, None, None
    gaps = [Gap(**gap) for gap in run.gaps]
    for row in await store.holdings_not_seen(tx, run.source_id, run_id=run.id):
        if not is_hidden(row.path, is_used=bool(row.details["uses"]), gaps=gaps):
            await _miss(tx, row, misses_until_lost=misses_until_lost, now=now)
    source = await tx.session.get_one(store.SourceRow, run.source_id)
    tx.emit(_read(run, gaps=gaps, now=now), now=now)
    if await store.has_failed(tx, source.id, before=run.id):
        tx.emit(recovered(source, reason="It was read to its end.", now=now), now=now)


async def _miss(tx: Transaction, row: store.HoldingRow, *, misses_until_lost: int, now: datetime) -> None:
    row.misses += 1
    if row.misses < misses_until_lost:
        return
    lost = PlaceLost(
        place=Place(kind="store", address=row.address, path=row.path),
        fingerprint=row.fingerprint,
        observed_at=now,
        reason="it is not there any more",
    )
    tx.emit(lost, now=now)
    await tx.session.delete(row)


async def _start(tx: Transaction, source: store.SourceRow, *, now: datetime) -> None:
    source.next_run_at = now + timedelta(seconds=source.every) if source.every is not None else None
    if await store.open_run(tx, source.id) is None:
        start_run(tx, source, now=now)


def _failure(source: store.SourceRow, *, run: store.SourceRun, now: datetime) -> SourceFailed:
    return SourceFailed(
        source_id=source.id,
        run_id=run.id,
        name=source.name,
        kind=source.kind,
        reason=run.error or "",
        next_step=run.next_step or "",
        failed_at=now,
        groups=source.groups,
    )


def _read(run: store.SourceRun, *, gaps: Sequence[Gap], now: datetime) -> SourceRead:
    return SourceRead(
        source_id=run.source_id,
        run_id=run.id,
        is_complete=all(gap.is_absent for gap in gaps),
        started_at=run.created_at,
        finished_at=now,
    )


def _with_gaps(kept: Sequence[dict[str, Any]], more: Sequence[Gap]) -> list[dict[str, Any]]:
    """Return all gaps; where they are too many to be kept, a last one says so and hides everything."""
    # A run that is taken up again comes upon the gaps of its beginning once more.
    gaps = [*kept, *(row for row in map(asdict, more) if row not in kept)]
    if len(gaps) <= MOST_GAPS:
        return gaps
    rest = Gap(
        scope="", reason=f"There are more than {MOST_GAPS} gaps.", next_step="Close those that are listed."
    )
    return [*gaps[: MOST_GAPS - 1], asdict(rest)]


def held(holding: Holding) -> Held:
    """Return what others are told of how a certificate is kept; of very many uses and names only the first."""
    key = holding.key
    uses = tuple(_uses(holding.uses))
    return Held(
        format=holding.format,
        owner=holding.owner,
        group=holding.group,
        mode=holding.mode,
        key=HeldKey(fingerprint=key.spki_sha256, **_same(HeldKey, key)) if key else None,
        in_use=holding.in_use,
        uses=[use for use, _ in uses],
        use_count=len(holding.uses),
        is_abridged=len(uses) < len(holding.uses) or any(is_abridged for _, is_abridged in uses),
        addresses=list(holding.addresses[:MOST_ADDRESSES]),
    )


def _uses(uses: Sequence[Use]) -> Iterator[tuple[ConfiguredUse, bool]]:
    """Yield what is told of uses, as long as there is room for it, and whether that is less than there is."""
    listeners_left, names_left = MOST_LISTENERS, MOST_TOLD_NAMES
    for use in uses[:MOST_USES]:
        listeners, names = use.listeners[:listeners_left], _told_names(use.server_names)[:names_left]
        if (use.listeners and not listeners) or (use.server_names and not names):
            return
        listeners_left, names_left = listeners_left - len(listeners), names_left - len(names)
        is_abridged = (len(listeners), len(names)) < (len(use.listeners), len(use.server_names))
        yield _use(use, listeners=listeners, names=names), is_abridged


def _use(use: Use, *, listeners: Sequence[Listener], names: Sequence[str]) -> ConfiguredUse:
    told = _same(ConfiguredUse, use) | {
        "server_names": list(names),
        "listeners": [Listening(**_same(Listening, each)) for each in listeners],
        "protocols": list(use.protocols[:MOST_PROTOCOLS]),
        "ciphers": use.ciphers[:LONGEST_CIPHERS] if use.ciphers else None,
    }
    return ConfiguredUse(**told)


async def addressed(page: Page) -> Page:
    """Return a page with the addresses of listeners that are given by a name, where the source itself tells none.

    A cloud's load balancer is such a listener. A name that is not resolved in time leaves its holding as it was.
    """
    unknown = [holding for holding in page.holdings if not holding.addresses]
    names = list(dict.fromkeys(name for holding in unknown for name in _hosts(holding)))[:MOST_HOSTS]
    if not names:
        return page
    found: dict[str, list[str]] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(HOSTS_PATIENCE.total_seconds()):
            found, _ = await resolve(names, patience=HOST_PATIENCE)
    return replace(page, holdings=tuple(_addressed(holding, found) for holding in page.holdings))


def _addressed(holding: Holding, found: Mapping[str, Sequence[str]]) -> Holding:
    if holding.addresses:
        return holding
    addresses = [address for name in _hosts(holding) for address in found.get(name, ())]
    return replace(holding, addresses=tuple(dict.fromkeys(addresses))[:MOST_ADDRESSES])


def _hosts(holding: Holding) -> Iterator[str]:
    """Yield the host names that it listens at."""
    for listener in (each for use in holding.uses for each in use.listeners):
        if listener.address is not None and not is_address(listener.address):
            with suppress(Invalid):  # a pattern, or no host name at all
                yield parse_server_name(listener.address, pointer="")


def _names(holdings: Iterable[Holding]) -> Iterator[tuple[str, str]]:
    """Yield the names that servers are configured for, each with the addresses that may be asked for it."""
    for holding in holdings:
        for name in dict.fromkeys(name for use in holding.uses for name in use.server_names):
            with suppress(Invalid):  # a wildcard, or no host name at all
                asked = parse_server_name(name, pointer="")
                yield from ((asked, address) for address in holding.addresses)


def _told_names(names: Sequence[str]) -> list[str]:
    return [name for name in names if len(name) <= LONGEST_NAME]


def _same(model: type[BaseModel], value: object) -> dict[str, Any]:
    """Return what the model has names for."""
    return {name: getattr(value, name) for name in model.model_fields if hasattr(value, name)}


def _found(
    holding: Holding, *, run: store.SourceRun, groups: Sequence[str], now: datetime
) -> CertificateFound:
    return CertificateFound(
        place=Place(kind="store", address=holding.address, path=holding.path),
        fingerprint=x509.fingerprint(holding.chain[0]),
        chain=list(holding.chain),
        observed_at=now,
        scan_id=run.id,
        held=held(holding),
        groups=list(groups),
    )


def _row(holding: Holding, *, run: store.SourceRun, now: datetime) -> dict[str, object]:
    details = asdict(holding)
    for name in ("address", "path", "chain"):
        del details[name]
    return {
        "source_id": run.source_id,
        "path": holding.path,
        "address": holding.address,
        "fingerprint": x509.fingerprint(holding.chain[0]),
        "details": details,
        "run_id": run.id,
        "first_seen": now,
        "last_seen": now,
        "misses": 0,
    }
