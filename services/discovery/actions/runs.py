"""The work on scans: each is cut into pieces, and each piece is gone through by one process at a time.

What was seen is kept in the order of the way, a batch to a transaction: results, places, events, counts
and the position change together, so a crash repeats looks and never their effects.
"""

from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from services.discovery import store
from services.discovery.actions.leases import while_held
from services.discovery.actions.plans import MOST_PIECES, MOST_REASON, Bounds, end, route_of
from services.discovery.actions.sightings import fingerprint_of, keep
from services.discovery.connectors import Prober
from services.discovery.domain.counts import add, count
from services.discovery.domain.looks import LookOptions, Reach, Sharers
from services.discovery.domain.order import InOrder
from services.discovery.domain.routes import Route
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked
from shared import x509
from shared.clock import Clock
from shared.events.discovery import ScanCounts
from shared.ids import new_id
from shared.store import Database, Transaction
from shared.store.traces import continuing

BATCH = 256
"""Places per transaction."""
KEEP_EVERY = timedelta(seconds=1)
"""How old progress may be, where places come slowly."""

OpenProber = Callable[[LookOptions], Prober]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A piece of a scan that this process works on, as long as it keeps the lease."""

    scan_id: str
    number: int
    lease: str

    @property
    def is_of_second_round(self) -> bool:
        """Return whether its places are names that the scan found out about by itself."""
        return self.number >= 2 * MOST_PIECES


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What came of a place, and the number of its result."""

    number: int
    sighting: Sighting


class _NotOurs(Exception):
    """The scan was paused or cancelled, or the piece is another's: nothing of this batch is kept."""


class Runs:
    """Takes up pieces of scans and works them off, whatever number of processes there are."""

    def __init__(
        self,
        database: Database,
        *,
        bounds: Bounds,
        open_prober: OpenProber,
        clock: Clock,
        ring: Callable[[], None] = lambda: None,
    ) -> None:
        """`ring` says that the way of a scan is to be laid out further."""
        self._database = database
        self._bounds = bounds
        self._open_prober = open_prober
        self._clock = clock
        self._ring = ring

    async def forget_leases(self) -> None:
        """Let go of what a killed process held: only where there can be no other process."""
        async with self._database.transaction() as tx:
            await store.end_shard_lease(tx)

    async def forget_results(self, *, now: datetime) -> None:
        """Forget what came of each place of old scans."""
        async with self._database.transaction() as tx:
            await store.forget_results(tx, finished_before=now - self._bounds.keep_results)

    async def claim(self, *, now: datetime) -> Claim | None:
        """Take a piece that nobody works on; None where there is none."""
        async with self._database.read() as session:
            if not await store.is_shard_waiting(session, now=now):
                return None
        lease = new_id()
        async with self._database.transaction() as tx:
            shard = await store.claim_shard(tx, lease=lease, until=now + self._bounds.lease, now=now)
            if shard is None:
                return None
            return Claim(scan_id=shard.scan_id, number=shard.number, lease=lease)

    async def run(self, claim: Claim) -> None:
        """Work a piece off. Where the database is away, it is taken up again after its lease."""
        sharers = Sharers()

        async def keep_it() -> bool:
            return await self._keep_lease(claim, sharers)

        async def let_go() -> None:
            async with self._database.transaction() as tx:
                await store.end_shard_lease(tx, claim.lease)

        async def work() -> None:
            if await keep_it():
                async with continuing(self._database, claim.scan_id, "scan"):
                    await self._work(claim, sharers)

        every = min(1.0, self._bounds.lease.total_seconds() / 4)
        await while_held(work, keep=keep_it, let_go=let_go, every=every)

    async def _keep_lease(self, claim: Claim, sharers: Sharers) -> bool:
        now = self._clock()
        async with self._database.transaction() as tx:
            number = await store.keep_shard_lease(
                tx, claim.scan_id, claim.number, lease=claim.lease, until=now + self._bounds.lease, now=now
            )
        sharers.number = number or sharers.number
        return number is not None

    async def _work(self, claim: Claim, sharers: Sharers) -> None:
        async with self._database.read() as session:
            scan = await session.get_one(store.Scan, claim.scan_id)
            shard = await session.get(store.Shard, (claim.scan_id, claim.number))
        if shard is None:
            return  # cancelled a moment ago
        steps = _Steps(route_of(scan), first=shard.position, end=shard.end)
        source = self._open_prober(self._options(scan, sharers))
        order: InOrder[Seen] = InOrder(shard.position)
        kept_at = self._clock()
        try:
            async with aclosing(source.look(steps)) as seen:
                async for sighting in seen:
                    position, number = steps.step_of(sighting.asked)
                    order.add(position, Seen(number=number, sighting=sighting))
                    if len(order) >= BATCH or (len(order) and self._clock() - kept_at >= KEEP_EVERY):
                        await self._keep(claim, order.take(BATCH))
                        kept_at = self._clock()
            while batch := order.take(BATCH):
                await self._keep(claim, batch)
        except _NotOurs:
            return

    def _options(self, scan: store.Scan, sharers: Sharers) -> LookOptions:
        return LookOptions(
            timeout=timedelta(seconds=scan.timeout),
            concurrency=scan.concurrency,
            rate=scan.rate,
            per_host=scan.per_host,
            per_network=scan.per_network,
            limits=self._bounds.limits(exclude=scan.exclude),
            reach=Reach(scan.reach),
            sharers=sharers,
        )

    async def _keep(self, claim: Claim, batch: list[Seen]) -> None:
        """Keep what came of the next places. Raises `_NotOurs` where the piece is not ours or the scan does not run."""
        now = self._clock()
        async with self._database.transaction() as tx:
            shard = await store.shard_to_update(tx, claim.scan_id, claim.number)
            if shard is None or shard.lease != claim.lease:
                raise _NotOurs
            news = await keep(
                tx,
                [seen.sighting for seen in batch],
                now=now,
                misses_until_lost=self._bounds.misses_until_lost,
                scan_id=claim.scan_id,
                by_known_name=claim.is_of_second_round,
            )
            await store.write_results(tx, [_row(claim.scan_id, seen) for seen in batch])
            shard.position += len(batch)
            if shard.position >= shard.end:
                await tx.session.delete(shard)
            counts = add(count(seen.sighting.outcome for seen in batch), news)
            await self._count(tx, claim.scan_id, counts, now=now)

    async def _count(self, tx: Transaction, scan_id: str, counts: ScanCounts, *, now: datetime) -> None:
        """Add to a scan's counts, last of all: whoever else keeps something of the same scan waits for this."""
        scan = await store.scan_to_update(tx, scan_id)
        if scan is None or scan.state != "running":
            raise _NotOurs
        scan.counts = add(ScanCounts(**scan.counts), counts).model_dump()
        scan.position += counts.asked
        if scan.position < scan.total:
            return
        if scan.does_fan_out and scan.rounds == 1:
            tx.after_commit(self._ring)
        else:
            await end(tx, scan, state="finished", now=now)


class _Steps(Iterator[Asked]):
    """The places of a piece one by one, and which step a place that was looked at was."""

    def __init__(self, route: Route, *, first: int, end: int) -> None:
        self._route = route
        self._next = first
        self._end = end
        # The same place may be asked for twice, by targets that overlap.
        self._open: dict[Asked, list[tuple[int, int]]] = {}

    def __next__(self) -> Asked:
        if self._next >= self._end:
            raise StopIteration
        step = self._route.at(self._next)
        self._open.setdefault(step.asked, []).append((self._next, step.number))
        self._next += 1
        return step.asked

    def __length_hint__(self) -> int:
        return self._end - self._next

    def step_of(self, asked: Asked) -> tuple[int, int]:
        """Return the position and the number of a place that was looked at, once for each time it was asked for."""
        steps = self._open[asked]
        step = steps.pop(0)
        if not steps:
            del self._open[asked]
        return step


def _row(scan_id: str, seen: Seen) -> dict[str, object]:
    sighting = seen.sighting
    return {
        "scan_id": scan_id,
        "number": seen.number,
        "address": sighting.asked.address,
        "port": sighting.asked.port,
        "server_name": sighting.asked.server_name,
        "outcome": sighting.outcome.value,
        "reason": sighting.reason[:MOST_REASON],
        "fingerprint": fingerprint_of(sighting),
        "tls_version": sighting.tls_version,
        "cipher_suite": sighting.cipher_suite,
        "group": sighting.group,
        "starttls": sighting.starttls,
        "protocol": sighting.protocol,
        "wants_client_certificate": sighting.wants_client_certificate,
        "depth": asdict(sighting.depth) if sighting.depth is not None else None,
        "others": {kind: x509.fingerprint(chain[0]) for kind, chain in sighting.other_chains.items()},
    }
