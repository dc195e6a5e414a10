"""Scans as callers know them: asked for, shown, cancelled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from services.discovery import store
from services.discovery.actions.plans import Bounds, end, halt, lay_out, read_wishes
from services.discovery.connectors.resolve import resolve
from services.discovery.domain.answers import Outcome
from services.discovery.domain.limits import Limits
from services.discovery.domain.looks import Reach
from services.discovery.domain.targets import (
    AUTO,
    Wish,
    parse_ports,
    parse_server_name,
    plan,
    refuse_too_many,
)
from shared.access import Principal
from shared.errors import Conflict, Fault, Invalid, NotFound
from shared.events.discovery import ScanCounts
from shared.groups import listed
from shared.ids import new_id
from shared.store import Database, Transaction
from shared.store.traces import remember

FEW_HOSTS = 20
"""So many names are resolved while the caller waits; of more, the caller hears through the scan."""
WHILE_WAITING = timedelta(seconds=5)
MOST_WORKERS = 1000
OPEN = ("queued", "running", "paused")


@dataclass(frozen=True, kw_only=True)
class NewScan:
    """What is asked of a scan, as the caller wrote it."""

    targets: Sequence[str]
    ports: str
    exclude: Sequence[str]
    server_names: Sequence[str]
    timeout: float
    concurrency: int
    reach: Reach = Reach.FAST
    starttls: str | None = AUTO
    rate: float | None = None
    per_host: int | None = None
    per_network: int | None = None
    does_fan_out: bool = False

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> "NewScan":
        """Return what `row` has written down."""
        return cls(**{**row, "reach": Reach(row["reach"])})

    def row(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Seconds one connection may take, how many are made at a time (to all, to one host, to one network), and per second."""

    timeout: float
    concurrency: int
    per_host: int
    per_network: int
    rate: float | None = None


class Scans:
    """What callers do with scans."""

    def __init__(self, database: Database, *, bounds: Bounds, ring: Callable[[], None]) -> None:
        self._database = database
        self._bounds = bounds
        self._ring = ring

    async def create(
        self, new: NewScan, *, groups: Sequence[str] = (), caller: Principal, now: datetime
    ) -> store.Scan:
        """Queue a scan. Raises `Invalid`, with a pointer to what cannot be scanned, `TooLarge` and `Forbidden`."""
        scan, wishes = self._scan(new, created_by=caller.name, now=now)
        scan.groups = listed(caller.grouped(groups))
        hosts = {wish.host for wish in wishes if wish.host}
        is_plain = len(hosts) <= FEW_HOSTS and not any(wish.under for wish in wishes)
        resolved: dict[str, list[str]] = {}
        unresolved: dict[str, str] = {}
        if is_plain:
            resolved, unresolved = await resolve(hosts, patience=WHILE_WAITING)
            _refuse_if_nothing_is_left(wishes, unresolved)
        async with self._database.transaction() as tx:
            tx.session.add(scan)
            await tx.session.flush()
            await remember(tx, scan.id, now=now)
            if is_plain:
                most = self._bounds.max_targets
                await lay_out(tx, scan, wishes=wishes, resolved=resolved, unresolved=unresolved, most=most)
            tx.after_commit(self._ring)
        return scan

    def check(self, new: NewScan, *, now: datetime) -> None:
        """Raise what `create` would raise before it looks anything up."""
        self._scan(new, created_by="", now=now)

    async def add(
        self, tx: Transaction, new: NewScan, *, groups: Sequence[str], created_by: str, now: datetime
    ) -> store.Scan:
        """Queue a scan whose names are resolved when it is laid out. Raises `Invalid` and `TooLarge`."""
        scan, _ = self._scan(new, created_by=created_by, now=now)
        scan.groups = list(groups)
        tx.session.add(scan)
        await tx.session.flush()
        await remember(tx, scan.id, now=now)
        tx.after_commit(self._ring)
        return scan

    def _scan(self, new: NewScan, *, created_by: str, now: datetime) -> tuple[store.Scan, Sequence[Wish]]:
        Limits(exclude=new.exclude)
        names = [
            parse_server_name(text, pointer=f"/body/server_names/{number}")
            for number, text in enumerate(new.server_names)
        ]
        wishes = read_wishes(new.targets)
        ports = parse_ports(new.ports, pointer="/body/ports")
        total = _at_least(wishes, ports=ports, server_names=names, most=self._bounds.max_targets)
        scan = store.Scan(
            id=new_id(),
            state="queued",
            targets=list(new.targets),
            ports=new.ports,
            exclude=list(new.exclude),
            server_names=list(dict.fromkeys(names)),
            unresolved={},
            timeout=new.timeout,
            concurrency=new.concurrency,
            reach=new.reach.value,
            starttls=new.starttls,
            rate=new.rate,
            per_host=new.per_host,
            per_network=new.per_network,
            most_workers=_most_workers(new),
            does_fan_out=new.does_fan_out,
            total=total,
            counts=ScanCounts().model_dump(),
            created_at=now,
            created_by=created_by,
        )
        return scan, wishes

    async def get(self, scan_id: str, *, caller: Principal) -> store.Scan:
        """Return a scan. Raises `NotFound`."""
        async with self._database.read() as session:
            scan = await session.get(store.Scan, scan_id)
        return _seen(scan, scan_id, caller=caller)

    async def page(self, *, after: str | None, limit: int, caller: Principal) -> Sequence[store.Scan]:
        """Return scans that the caller sees, newest first."""
        async with self._database.read() as session:
            return await store.list_scans(session, after=after, limit=limit, scope=caller.scope)

    async def results(
        self, scan_id: str, *, outcome: Outcome | None, after: int | None, limit: int, caller: Principal
    ) -> Sequence[store.Result]:
        """Return results in the order of the walk. Raises `NotFound`."""
        await self.get(scan_id, caller=caller)
        async with self._database.read() as session:
            return await store.list_results(session, scan_id, outcome=outcome, after=after, limit=limit)

    async def places(self, *, after: str | None, limit: int) -> Sequence[store.KnownPlace]:
        """Return the places that have served certificates, by key; which groups they are in is what inventory knows."""
        async with self._database.read() as session:
            return await store.list_places(session, after=after, limit=limit)

    async def cancel(self, scan_id: str, *, caller: Principal, now: datetime) -> store.Scan:
        """Stop a scan; what it has found stays. Raises `Conflict` where it has ended already."""
        async with self._database.transaction() as tx:
            _seen(await store.scan_to_update(tx, scan_id), scan_id, caller=caller)
            scan = await _open(tx, scan_id, *OPEN, next_step="There is nothing to cancel.")
            await end(tx, scan, state="cancelled", now=now)
        return scan

    async def pause(self, scan_id: str, *, caller: Principal, now: datetime) -> store.Scan:
        """Stop looking until the scan is resumed, after a restart too. Raises `Conflict` where it does not run."""
        async with self._database.transaction() as tx:
            _seen(await store.scan_to_update(tx, scan_id), scan_id, caller=caller)
            return await self.pause_in(tx, scan_id, now=now)

    async def pause_in(self, tx: Transaction, scan_id: str, *, now: datetime) -> store.Scan:
        """Pause as part of something larger."""
        scan = await _open(tx, scan_id, "queued", "running", next_step="There is nothing to pause.")
        halt(scan, now=now)
        scan.state = "paused"
        return scan

    async def resume(self, scan_id: str, *, caller: Principal, now: datetime) -> store.Scan:
        """Go on where a paused scan stood. Raises `Conflict` where it is not paused."""
        async with self._database.transaction() as tx:
            _seen(await store.scan_to_update(tx, scan_id), scan_id, caller=caller)
            return await self.resume_in(tx, scan_id, now=now)

    async def resume_in(self, tx: Transaction, scan_id: str, *, now: datetime) -> store.Scan:
        """Resume as part of something larger."""
        scan = await _open(tx, scan_id, "paused", next_step="Only a paused scan can be resumed.")
        scan.state = "running" if scan.started_at else "queued"
        scan.active_since = now if scan.started_at else None
        tx.after_commit(self._ring)
        return scan


async def _open(tx: Transaction, scan_id: str, *states: str, next_step: str) -> store.Scan:
    """Return a scan in one of these states, held until the transaction ends. Raises `NotFound` and `Conflict`."""
    scan = _there(await store.scan_to_update(tx, scan_id), scan_id)
    if scan.state not in states:
        raise Conflict(f"The scan is {scan.state} already.", next_step=next_step)
    return scan


def _most_workers(new: NewScan) -> int:
    """Return how many pieces may be worked on at a time, so that each may open a connection."""
    return min(limit for limit in (new.concurrency, new.per_host, new.per_network, MOST_WORKERS) if limit)


def _at_least(
    wishes: Sequence[Wish], *, ports: tuple[tuple[int, int], ...], server_names: Sequence[str], most: int
) -> int:
    """Return how many places there are if each name has one address. Raises `TooLarge`."""
    one_each = {wish.host: ("192.0.2.1",) for wish in wishes if wish.host}
    apart = [
        plan([wish], resolved=one_each, ports=ports, server_names=server_names, most=most) for wish in wishes
    ]
    total = sum(segment.size for segments in apart for segment in segments)
    refuse_too_many(total, most=most)
    return total


def _refuse_if_nothing_is_left(wishes: Sequence[Wish], unresolved: dict[str, str]) -> None:
    if all(wish.host in unresolved for wish in wishes):
        raise Invalid(
            "None of the targets can be resolved.",
            next_step="Check the names, and that this machine's resolver knows them.",
            faults=[
                Fault(pointer=wish.pointer, message=f"{wish.host}: {unresolved[wish.host or '']}")
                for wish in wishes
            ],
        )


def _seen(scan: store.Scan | None, scan_id: str, *, caller: Principal) -> store.Scan:
    return _there(caller.seen(scan, lambda scan: scan.groups), scan_id)


def _there(scan: store.Scan | None, scan_id: str) -> store.Scan:
    if scan is None:
        raise NotFound(f"There is no scan {scan_id}.", next_step="List scans to see their ids.")
    return scan
