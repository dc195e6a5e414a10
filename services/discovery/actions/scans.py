"""Scans: asked for, worked off shard by shard, cancelled, shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.discovery import store
from services.discovery.actions.sightings import fingerprint_of, keep
from services.discovery.connectors import Sighting, Source
from services.discovery.connectors.resolve import resolve
from services.discovery.domain.answers import Outcome, add, count
from services.discovery.domain.targets import (
    Limits,
    Segment,
    Walk,
    Wish,
    parse_ports,
    parse_target,
    plan,
)
from shared.access import Principal
from shared.clock import Clock
from shared.errors import Conflict, Fault, Invalid, NotFound
from shared.events.discovery import ScanCounts, ScanFinished
from shared.ids import new_id
from shared.store import Database, Transaction

SHARD = 256
"""Places per transaction: what a crash repeats at most, and how often progress is seen."""
MOST_REASON = 500


@dataclass(frozen=True, kw_only=True)
class NewScan:
    """What is asked of a scan, as the caller wrote it."""

    targets: Sequence[str]
    ports: str
    exclude: Sequence[str]
    server_names: Sequence[str]
    timeout: float
    concurrency: int


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Seconds one connection may take, and how many are made at a time."""

    timeout: float
    concurrency: int


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What the operator allows, and how patient we are."""

    allow: Sequence[str]
    deny: Sequence[str]
    max_targets: int
    misses_until_lost: int
    lease: timedelta


OpenSource = Callable[[timedelta, int], Source]
"""Opens a source with a time-out and a number of connections at a time."""


class Scans:
    """Everything there is to do with scans."""

    def __init__(
        self,
        database: Database,
        *,
        bounds: Bounds,
        open_source: OpenSource,
        clock: Clock,
        ring: Callable[[], None],
    ) -> None:
        self._database = database
        self._bounds = bounds
        self._open_source = open_source
        self._clock = clock
        self._ring = ring

    async def create(self, new: NewScan, *, caller: Principal, now: datetime) -> store.Scan:
        """Queue a scan. Raises `Invalid`, with a pointer for each target that cannot be scanned."""
        Limits(exclude=new.exclude)
        ports = parse_ports(new.ports, pointer="/body/ports")
        wishes = [parse_target(text, pointer=f"/body/targets/{i}") for i, text in enumerate(new.targets)]
        resolved, unresolved = await resolve([wish.host for wish in wishes if wish.host])
        _refuse_if_nothing_is_left(wishes, unresolved)
        segments = plan(
            [wish for wish in wishes if wish.host not in unresolved],
            resolved=resolved,
            ports=ports,
            server_names=new.server_names,
            most=self._bounds.max_targets,
        )
        scan = store.Scan(
            id=new_id(),
            state="queued",
            targets=list(new.targets),
            exclude=list(new.exclude),
            segments=[segment.model_dump(mode="json") for segment in segments],
            unresolved=unresolved,
            timeout=new.timeout,
            concurrency=new.concurrency,
            total=len(Walk(segments)),
            counts=_unresolved_counts(unresolved).model_dump(),
            created_at=now,
            created_by=caller.name,
        )
        async with self._database.transaction() as tx:
            tx.session.add(scan)
        self._ring()
        return scan

    async def get(self, scan_id: str) -> store.Scan:
        """Return a scan. Raises `NotFound`."""
        async with self._database.read() as session:
            scan = await session.get(store.Scan, scan_id)
        return _there(scan, scan_id)

    async def page(self, *, after: str | None, limit: int) -> Sequence[store.Scan]:
        """Return scans, newest first."""
        async with self._database.read() as session:
            return await store.scans(session, after=after, limit=limit)

    async def results(
        self, scan_id: str, *, outcome: Outcome | None, after: int | None, limit: int
    ) -> Sequence[store.Result]:
        """Return results in the order of the walk. Raises `NotFound`."""
        await self.get(scan_id)
        async with self._database.read() as session:
            return await store.results(session, scan_id, outcome=outcome, after=after, limit=limit)

    async def places(self, *, after: str | None, limit: int) -> Sequence[store.KnownPlace]:
        """Return the places that have served certificates, by key."""
        async with self._database.read() as session:
            return await store.places(session, after=after, limit=limit)

    async def cancel(self, scan_id: str, *, now: datetime) -> store.Scan:
        """Stop a scan; what it has found stays. Raises `Conflict` where it has ended already."""
        async with self._database.transaction() as tx:
            scan = _there(await store.scan_to_update(tx, scan_id), scan_id)
            if scan.state not in ("queued", "running"):
                raise Conflict(f"The scan is {scan.state} already.", next_step="There is nothing to cancel.")
            _end(tx, scan, state="cancelled", now=now)
        return scan

    async def work(self, now: datetime) -> bool:
        """Work off one scan, or go on with one whose process died; return whether there was one."""
        async with self._database.transaction() as tx:
            scan = await store.claim_scan(tx, now=now, lease=self._bounds.lease)
        if scan is None:
            return False
        walk = Walk([Segment.model_validate(segment) for segment in scan.segments])
        source = self._open_source(timedelta(seconds=scan.timeout), scan.concurrency)
        limits = Limits(allow=self._bounds.allow, deny=self._bounds.deny, exclude=scan.exclude)
        while await self._shard(scan.id, walk, source=source, limits=limits):
            pass
        return True

    async def _shard(self, scan_id: str, walk: Walk, *, source: Source, limits: Limits) -> bool:
        """Look at the next places and keep what came of them; return whether any are left."""
        position = (await self.get(scan_id)).position
        numbers = range(position, min(position + SHARD, len(walk)))
        sightings = await _look(walk, numbers, source=source, limits=limits)
        now = self._clock()
        async with self._database.transaction() as tx:
            scan = _there(await store.scan_to_update(tx, scan_id), scan_id)
            if scan.state != "running" or scan.position != position:
                return False  # cancelled, or another process has taken it over
            await keep(
                tx,
                [sighting for _, sighting in sightings],
                now=now,
                misses_until_lost=self._bounds.misses_until_lost,
                scan_id=scan_id,
            )
            await store.write_results(tx, [_row(scan_id, number, s) for number, s in sightings])
            done = ScanCounts(**scan.counts)
            scan.counts = add(done, count(s.outcome for _, s in sightings)).model_dump()
            scan.position = numbers.stop
            scan.lease_until = now + self._bounds.lease
            if scan.position >= len(walk):
                _end(tx, scan, state="finished", now=now)
                return False
        return True


async def _look(walk: Walk, numbers: range, *, source: Source, limits: Limits) -> list[tuple[int, Sighting]]:
    asked = {number: walk.at(number) for number in numbers}
    permitted = {one: number for number, one in asked.items() if limits.permits(one.address)}
    sightings = [
        (number, Sighting(asked=one, outcome=Outcome.EXCLUDED, reason="excluded, or denied by the operator"))
        for number, one in asked.items()
        if one not in permitted
    ]
    seen = [sighting async for sighting in source.look(list(permitted))]
    return sightings + [(permitted[sighting.asked], sighting) for sighting in seen]


def _row(scan_id: str, number: int, sighting: Sighting) -> dict[str, object]:
    return {
        "scan_id": scan_id,
        "number": number,
        "address": sighting.asked.address,
        "port": sighting.asked.port,
        "server_name": sighting.asked.server_name,
        "outcome": sighting.outcome.value,
        "reason": sighting.reason[:MOST_REASON],
        "fingerprint": fingerprint_of(sighting),
        "tls_version": sighting.tls_version,
        "cipher_suite": sighting.cipher_suite,
    }


def _end(tx: Transaction, scan: store.Scan, *, state: str, now: datetime) -> None:
    scan.state = state
    scan.finished_at = now
    scan.lease_until = None
    finished = ScanFinished.model_validate(
        {
            "scan_id": scan.id,
            "state": state,
            "counts": scan.counts,
            "started_at": scan.started_at or now,
            "finished_at": now,
        }
    )
    tx.emit(finished, now=now)


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


def _unresolved_counts(unresolved: dict[str, str]) -> ScanCounts:
    return count([Outcome.FAILED] * len(unresolved))


def _there(scan: store.Scan | None, scan_id: str) -> store.Scan:
    if scan is None:
        raise NotFound(f"There is no scan {scan_id}.", next_step="List scans to see their ids.")
    return scan
