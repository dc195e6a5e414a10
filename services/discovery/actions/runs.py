"""The work on scans: each is walked by one process at a time, which another replaces where it dies.

What was seen is kept in the order of the walk, a batch to a transaction: results, places, events,
counts and the position change together, so a crash repeats looks and never their effects.
"""

from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import anyio
import structlog

from services.discovery import store
from services.discovery.actions.plans import MOST_REASON, Bounds, end, planned, read_wishes
from services.discovery.actions.sightings import fingerprint_of, keep
from services.discovery.connectors import Source
from services.discovery.connectors.resolve import resolve
from services.discovery.domain.counts import add, count
from services.discovery.domain.limits import Limits
from services.discovery.domain.looks import LookOptions, Reach
from services.discovery.domain.order import InOrder
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked, Segment, Walk
from shared import x509
from shared.clock import Clock
from shared.errors import TooLarge, Unavailable
from shared.events.discovery import ScanCounts
from shared.ids import new_id
from shared.store import Database, Transaction, is_away

log = structlog.get_logger(__name__)

BATCH = 256
"""Places per transaction."""
KEEP_EVERY = timedelta(seconds=1)
"""How old progress may be, where places come slowly."""

OpenSource = Callable[[LookOptions], Source]
Numbered = tuple[int, Sighting]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A scan that this process works on, as long as it keeps the lease."""

    scan_id: str
    lease: str


class Runs:
    """Takes up scans and works them off, whatever number of processes there are."""

    def __init__(self, database: Database, *, bounds: Bounds, open_source: OpenSource, clock: Clock) -> None:
        self._database = database
        self._bounds = bounds
        self._open_source = open_source
        self._clock = clock

    async def forget_leases(self) -> None:
        """Let go of what a killed process held: only where there can be no other process."""
        if self._database.is_sqlite:
            async with self._database.transaction() as tx:
                await store.end_lease(tx)

    async def forget_results(self, *, now: datetime) -> None:
        """Forget what came of each place of old scans."""
        async with self._database.transaction() as tx:
            await store.forget_results(tx, finished_before=now - self._bounds.keep_results)

    async def claim(self, *, now: datetime) -> Claim | None:
        """Take a scan that nobody works on; None where there is none."""
        async with self._database.read() as session:
            if not await store.is_scan_waiting(session, now=now):
                return None
        claim_id = new_id()
        async with self._database.transaction() as tx:
            until = now + self._bounds.lease
            scan = await store.claim_scan(tx, lease=claim_id, until=until, now=now)
            return Claim(scan_id=scan.id, lease=claim_id) if scan is not None else None

    async def run(self, claim: Claim) -> None:
        """Work a scan off. Where the database is away, the scan is taken up again after its lease."""
        try:
            await self._hold_and_work(claim)
        except* (Unavailable, OSError) as group:
            log.warning("scan.interrupted", scan_id=claim.scan_id, error=str(group.exceptions[0]))
        except* Exception as group:
            if not all(is_away(error) for error in group.exceptions):
                raise
            log.warning("scan.interrupted", scan_id=claim.scan_id, error=str(group.exceptions[0]))

    async def _hold_and_work(self, claim: Claim) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._hold, claim, tasks.cancel_scope)
                await self._work(claim)
                tasks.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            # This process is asked to end: the next one need not wait for the lease.
            with anyio.move_on_after(5, shield=True):
                await self._let_go(claim)
            raise

    async def _let_go(self, claim: Claim) -> None:
        try:
            async with self._database.transaction() as tx:
                await store.end_lease(tx, claim.lease)
        except Exception as error:
            if not is_away(error):
                raise

    async def _hold(self, claim: Claim, scope: anyio.CancelScope) -> None:
        """Keep the lease; where the scan was cancelled, or is another's, stop looking at once."""
        pause = min(1.0, self._bounds.lease.total_seconds() / 4)
        while True:
            await anyio.sleep(pause)
            async with self._database.transaction() as tx:
                until = self._clock() + self._bounds.lease
                if not await store.keep_lease(tx, claim.scan_id, lease=claim.lease, until=until):
                    scope.cancel()
                    return

    async def _work(self, claim: Claim) -> None:
        scan = await self._planned(claim)
        if scan is None:
            return
        segments = [Segment.read(segment) for segment in scan.segments or ()]
        walk = Walk(segments, starttls=scan.starttls)
        source = self._open_source(self._options(scan))
        order: InOrder[Numbered] = InOrder(scan.position)
        steps = _Steps(walk, first=scan.position)
        kept_at = self._clock()
        async with aclosing(source.look(steps)) as seen:
            async for sighting in seen:
                number = steps.number_of(sighting.asked)
                order.add(number, (number, sighting))
                if len(order) >= BATCH or (len(order) and self._clock() - kept_at >= KEEP_EVERY):
                    if not await self._keep(claim, order.take(BATCH), total=len(walk)):
                        return
                    kept_at = self._clock()
        while await self._keep(claim, order.take(BATCH), total=len(walk)):
            pass

    def _options(self, scan: store.Scan) -> LookOptions:
        return LookOptions(
            timeout=timedelta(seconds=scan.timeout),
            concurrency=scan.concurrency,
            rate=scan.rate,
            per_host=scan.per_host,
            per_network=scan.per_network,
            limits=Limits(allow=self._bounds.allow, deny=self._bounds.deny, exclude=scan.exclude),
            reach=Reach(scan.reach),
        )

    async def _planned(self, claim: Claim) -> store.Scan | None:
        """Return the scan with its walk laid out; None where it is not ours or cannot be walked."""
        async with self._database.read() as session:
            scan = await session.get_one(store.Scan, claim.scan_id)
        if scan.segments is not None:
            return scan
        hosts = {wish.host for wish in read_wishes(scan.targets) if wish.host}
        resolved, unresolved = await resolve(hosts)
        async with self._database.transaction() as tx:
            held = await self._held(tx, claim)
            if held is None:
                return None
            try:
                most = self._bounds.max_targets
                await planned(tx, held, resolved=resolved, unresolved=unresolved, most=most)
            except TooLarge as error:
                held.error = str(error)[:MOST_REASON]
                end(tx, held, state="failed", now=self._clock())
                return None
        return held

    async def _keep(self, claim: Claim, batch: list[Numbered], *, total: int) -> bool:
        """Keep what came of the next places; return whether the scan goes on, and is ours still."""
        now = self._clock()
        async with self._database.transaction() as tx:
            scan = await self._held(tx, claim)
            if scan is None:
                return False
            news = await keep(
                tx,
                [sighting for _, sighting in batch],
                now=now,
                misses_until_lost=self._bounds.misses_until_lost,
                scan_id=scan.id,
            )
            await store.write_results(tx, [_row(scan.id, number, sighting) for number, sighting in batch])
            outcomes = [sighting.outcome for _, sighting in batch]
            counts = add(ScanCounts(**scan.counts), count(outcomes))
            scan.counts = add(counts, news).model_dump()
            scan.position += len(batch)
            if scan.position >= total:
                end(tx, scan, state="finished", now=now)
                return False
        return bool(batch)

    async def _held(self, tx: Transaction, claim: Claim) -> store.Scan | None:
        scan = await store.scan_to_update(tx, claim.scan_id)
        is_ours = scan is not None and scan.lease == claim.lease and scan.state == "running"
        return scan if is_ours else None


class _Steps(Iterator[Asked]):
    """The places of a walk one by one, and which number a place that was looked at has."""

    def __init__(self, walk: Walk, *, first: int) -> None:
        self._walk = walk
        self._next = first
        # The same place may be asked for twice, by targets that overlap.
        self._open: dict[Asked, list[int]] = {}

    def __next__(self) -> Asked:
        if self._next >= len(self._walk):
            raise StopIteration
        asked = self._walk.at(self._next)
        self._open.setdefault(asked, []).append(self._next)
        self._next += 1
        return asked

    def __length_hint__(self) -> int:
        return len(self._walk) - self._next

    def number_of(self, asked: Asked) -> int:
        """Return the number of a place that was looked at, once for each time it was asked for."""
        numbers = self._open[asked]
        number = numbers.pop(0)
        if not numbers:
            del self._open[asked]
        return number


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
        "group": sighting.group,
        "starttls": sighting.starttls,
        "protocol": sighting.protocol,
        "wants_client_certificate": sighting.wants_client_certificate,
        "depth": asdict(sighting.depth) if sighting.depth is not None else None,
        "others": {kind: x509.fingerprint(chain[0]) for kind, chain in sighting.other_chains.items()},
    }
